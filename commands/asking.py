"""What every command does first: who may use it, in which guild it was asked, and time to answer."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, TypeVar

import discord
from discord import app_commands

from commands.refusals import GUILD_ONLY, Refused

CommandT = TypeVar(
    "CommandT", bound="app_commands.Command[Any, ..., Any] | app_commands.Group | app_commands.ContextMenu"
)

_MENTION = re.compile(r"<@!?(\d+)>")
_ID = re.compile(r"\d{15,20}")  # snowflakes: the first ones of 2015 had 17 digits


def staff_only(command: CommandT) -> CommandT:
    """Restricts a command to guilds, and by default to those who may manage the guild."""
    app_commands.guild_only(command)
    app_commands.allowed_installs(guilds=True, users=False)(command)
    app_commands.default_permissions(manage_guild=True)(command)
    return command


async def begin(interaction: discord.Interaction[Any]) -> str:
    """Asks Discord for time, and returns the guild's id. Raises Refused in a direct message."""
    if interaction.guild_id is None:
        raise Refused(GUILD_ONLY)
    await interaction.response.defer(ephemeral=True, thinking=True)
    return str(interaction.guild_id)


def user_id(text: str | None) -> str | None:
    """The id in what somebody typed: digits or a mention. Raises Refused when it is neither."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    mention = _MENTION.fullmatch(text)
    digits = mention[1] if mention else text
    if not digits.isascii() or not _ID.fullmatch(digits):
        raise Refused(
            "That is no user id. An id is a number of 17 to 20 digits: switch on Developer Mode in Discord's advanced "
            "settings, right-click the user, and choose Copy User ID."
        )
    return digits


def invite_code(text: str | None) -> str | None:
    """The code in what somebody typed: the code itself, or a whole invite link."""
    if text is None or not text.strip():
        return None
    code = re.sub(r"^(https?://)?(www\.)?(discord\.gg|discord(app)?\.com/invite)/", "", text.strip())
    if not re.fullmatch(r"[\w-]{1,64}", code):
        raise Refused("That is no invite code. It is what follows discord.gg/ in an invite link, such as abc123XYZ.")
    return code


def period(since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Two days as times of the log: the first one's beginning, and the beginning of the day after the last.

    Raises Refused when one is no date, or they are the wrong way round.
    """
    first, last = _day("since", since), _day("until", until)
    if first is not None and last is not None and first > last:
        raise Refused(f"The period ends before it begins: since {first} is later than until {last}.")
    return _time(first), _time(last + timedelta(days=1) if last is not None else None)


def _day(option: str, text: str | None) -> date | None:
    if text is None or not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        day = None
    if day is None or len(text.strip()) != len("2025-10-31") or not 2015 <= day.year <= 9000:
        raise Refused(f"`{option}` must be a date written as year-month-day, such as 2025-10-31 (UTC).")
    return day


def _time(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00.000000"
