"""Invite codes offered while somebody types: those of recent joins first, then by the alphabet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import discord
from discord import app_commands

from commands import replies
from commands.database import Database
from joins.errors import InviteLogError

MOST = 25  # choices, Discord's limit
_LONGEST = 100  # characters of a choice, Discord's limit
_RECENT_JOINS = 500
_log = logging.getLogger("commands.choices")
Complete = Callable[[discord.Interaction[Any], str], Coroutine[Any, Any, list[app_commands.Choice[str]]]]


def codes(folder: Path) -> Complete:
    """An autocompletion for an option that takes an invite code."""

    async def complete(interaction: discord.Interaction[Any], typed: str) -> list[app_commands.Choice[str]]:
        if interaction.guild_id is None:
            return []
        try:
            found = await asyncio.to_thread(matching, folder, str(interaction.guild_id), typed)
        except InviteLogError as error:
            _log.info("no codes to offer: %s", error)
            return []
        return [app_commands.Choice(name=_label(code, staff), value=code) for code, staff in found.items()]

    return complete


def matching(folder: Path, guild_id: str, typed: str) -> dict[str, str | None]:
    """At most 25 codes of a guild that fit what was typed, with the staff of their latest join."""
    typed = typed.strip()
    found: dict[str, str | None] = {}
    with Database(folder) as database:
        recent = database.rows(
            "select invite_code, staff_username from joins where guild_id = ? order by timestamp desc limit ?",
            guild_id,
            _RECENT_JOINS,
        )
        for row in recent:
            code = row["invite_code"]
            if code and typed.casefold() in code.casefold() and len(code) <= _LONGEST:
                found.setdefault(code, row["staff_username"])
        for row in database.rows("select invite_code from codes where guild_id = ? limit 1000", guild_id):
            if typed.casefold() in row["invite_code"].casefold() and len(row["invite_code"]) <= _LONGEST:
                found.setdefault(row["invite_code"], None)
        step, code = ">=", typed
        while len(found) < MOST and (code := _next(database, guild_id, step, code, typed) or ""):
            found.setdefault(code, None)
            step = ">"
    return dict(list(found.items())[:MOST])


def _next(database: Database, guild_id: str, step: str, code: str, prefix: str) -> str | None:
    """The next code that begins with `prefix`: one step in the index, however many joins a code has."""
    row = database.row(
        f"select min(invite_code) as code from joins where guild_id = ? and invite_code {step} ?", guild_id, code
    )
    found = row["code"] if row else None
    return found if found and found.startswith(prefix) and len(found) <= _LONGEST else None


def _label(code: str, staff: str | None) -> str:
    return (f"{code} — {replies.plain(staff)}" if staff else code)[:_LONGEST]
