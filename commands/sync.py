"""`/sync_member_invites`: Discord's own invite counts against what the database tracked, with the differences."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import discord
from discord import app_commands

from commands import asking, replies, tally
from commands.registry import Register, Registry
from commands.services import Services
from commands.tally import Line, Tally

_SHOWN = 15  # lines of live invites in the answer; all of them are in the attached file when there are more
_GONE_SHOWN = 8


def command(services: Services, registry: Registry) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""

    @asking.staff_only
    @app_commands.command(
        name="sync_member_invites", description="Compare Discord's invite counts with the recorded joins"
    )
    async def sync_member_invites(interaction: discord.Interaction[Any]) -> None:
        guild_id = await asking.begin(interaction)
        counts = await services.invite_counts(guild_id)
        found = await asyncio.to_thread(tally.compare, services.folder, guild_id, counts)
        register = await asyncio.to_thread(registry.of_guild, guild_id)
        made = _embed(found, register)
        if len(found.live) <= _SHOWN and len(found.gone) <= _GONE_SHOWN:
            await interaction.followup.send(embed=made, ephemeral=True)
            return
        made.set_footer(text="Every invite is in the attached file.")
        await interaction.followup.send(embed=made, file=_file(found, register), ephemeral=True)

    return sync_member_invites


def _embed(found: Tally, register: Register) -> discord.Embed:
    agree = sum(1 for line in found.live if line.unexplained == 0)
    made = replies.embed("Discord's invite counts and the database", _headline(found, agree))
    if found.behind:
        replies.add(made, "Not up to date", ["The database does not hold the newest joins yet: ask again in a while."])
    replies.add(made, "Totals", _totals(found))
    shown = [_shown(line, register) for line in found.live[:_SHOWN]]
    # A field holds about five lines, so the invites go into as many fields as they need.
    for start in range(0, len(shown), 5):
        more = len(found.live) - _SHOWN if start + 5 >= len(shown) else 0
        rest = [f"… and {more:,} more"] if more > 0 else []
        replies.add(made, "Invites" if start == 0 else "\u200b", shown[start : start + 5] + rest)
    if found.gone:
        gone = [f"{_name(line, register)}: {replies.count(line.recorded, 'join')}" for line in found.gone[:_GONE_SHOWN]]
        if len(found.gone) > _GONE_SHOWN:
            gone.append(f"… and {len(found.gone) - _GONE_SHOWN:,} more")
        replies.add(made, "Recorded for invites that are gone", gone)
    return made


def _headline(found: Tally, agree: int) -> str:
    if not found.live:
        return "Discord lists no invite of this server now."
    if agree == len(found.live):
        earlier = (
            " (☑️: apart from uses before the first recorded join)" if any(x.difference for x in found.live) else ""
        )
        return f"✅ {replies.count(agree, 'invite')} of {agree:,} agree with the database{earlier}."
    wrong = len(found.live) - agree
    text = f"⚠️ {replies.count(wrong, 'invite')} of {len(found.live):,} differ{'s' if wrong == 1 else ''}."
    if found.ambiguous or found.unknown:
        text += f" {replies.count(found.ambiguous + found.unknown, 'join')} without a settled invite may explain it."
    return text


def _totals(found: Tally) -> list[str]:
    uses, recorded = sum(line.uses or 0 for line in found.live), sum(line.recorded for line in found.live)
    before = sum(line.before_first for line in found.live)
    parts = [
        f"Discord counts **{uses:,}** · recorded **{recorded:,}** · difference **{uses - recorded:+,}**"
        + (f" (of which {before:,} before an invite's first recorded join)" if before else "")
    ]
    gone = sum(line.recorded for line in found.gone)
    if gone:
        exist = "exists" if len(found.gone) == 1 else "exist"
        parts.append(f"Recorded for {replies.count(len(found.gone), 'invite')} that no longer {exist}: {gone:,}")
    if any(line.uses and not line.recorded for line in found.live):
        parts.append("The uses of an invite without a recorded join may all be older than the log.")
    if found.ambiguous or found.unknown:
        parts.append(f"Joins not settled: {found.ambiguous:,} ambiguous, {found.unknown:,} unknown")
    if found.no_invite:
        parts.append(f"Joins without an invite (bots, Discovery and the like): {found.no_invite:,}")
    return parts


def _shown(line: Line, register: Register) -> str:
    sign = "⚠️" if line.unexplained else "☑️" if line.difference else "✅"
    text = f"{sign} {_name(line, register)}\n\u2003Discord {line.uses or 0:,} · recorded {line.recorded:,}"
    text += f" · difference **{line.difference:+,}**"
    return text + (f" ({line.before_first:,} before its first recorded join)" if line.before_first else "")


def _name(line: Line, register: Register) -> str:
    text = replies.code(line.code) + (" (vanity URL)" if line.vanity else "")
    who = _staff_name(line, register)
    return text + (f" · {replies.name(who)}" if who else "")


def _staff_name(line: Line, register: Register) -> str | None:
    """Who the invite counts for now: its assignment, else who its latest join was recorded for, else its maker."""
    owner = register.codes.get(line.code)
    staff = register.staff.get(owner or line.staff_id or "")
    return (staff.name if staff else None) or (owner if owner else line.staff_name)


def _file(found: Tally, register: Register) -> discord.File:
    rows = [("invite", "staff", "Discord", "recorded", "difference", "before first join"), *_rows(found.live, register)]
    text = _table(rows)
    if found.gone:
        text += "\n\nInvites that no longer exist\n\n" + _table(_rows(found.gone, register))
    totals = "\n".join(_totals(found)).replace("**", "")
    data = io.BytesIO(f"{totals}\n\n{text}\n".encode())
    return discord.File(data, filename=f"invite_sync_{datetime.now(UTC):%Y%m%d}.txt")


def _rows(lines: Iterable[Line], register: Register) -> list[tuple[str, ...]]:
    return [
        (
            replies.plain(line.code),
            replies.plain(_staff_name(line, register)),
            "gone" if line.uses is None else str(line.uses),
            str(line.recorded),
            "" if line.uses is None else f"{line.difference:+}",
            str(line.before_first or ""),
        )
        for line in lines
    ]


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
