"""`/export_invite_logs`: the guild's joins as a file to download."""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import discord
from discord import app_commands

from commands import asking, choices, replies, selection, spreadsheet
from commands.refusals import Refused
from commands.selection import Selection, Wanted
from commands.services import Services

LEAST_ROW_BYTES = 60  # of a compressed row: its hash and its join id alone are 48 bytes of chance

Format = Literal["csv", "xlsx"]


def command(services: Services) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""
    # A large export keeps a thread busy for seconds; several must not take all of them from the lookups.
    one_at_a_time = asyncio.Semaphore(1)

    @asking.staff_only
    @app_commands.command(name="export_invite_logs", description="Download the invite log, whole or filtered")
    @app_commands.describe(
        format="csv (the default), or xlsx, which Excel shows with every id intact",
        since="From this day on: year-month-day (UTC)",
        until="Up to and with this day: year-month-day (UTC)",
        invite_code="Only joins by this invite",
        staff="Only joins referred by this member of staff",
    )
    @app_commands.autocomplete(invite_code=choices.codes(services.folder))
    async def export_invite_logs(
        interaction: discord.Interaction[Any],
        format: Format = "csv",
        since: str | None = None,
        until: str | None = None,
        invite_code: str | None = None,
        staff: discord.User | None = None,
    ) -> None:
        guild_id = await asking.begin(interaction)
        first, last = asking.period(since, until)
        staff_id = str(staff.id) if staff else None
        wanted = Wanted(guild_id, first, last, asking.invite_code(invite_code), staff_id)
        with tempfile.TemporaryDirectory(prefix="invite-export-") as folder:
            rows = Selection(services.folder, wanted)
            async with one_at_a_time:
                path = await asyncio.to_thread(made, rows, Path(folder), format, interaction.filesize_limit)
            await interaction.followup.send(_summary(rows), file=discord.File(path), ephemeral=True)

    return export_invite_logs


def made(rows: Selection, folder: Path, format: Format, limit: int) -> Path:
    """The file, at most `limit` bytes long, zipped where need be. Raises Refused when there is nothing, or too much."""
    most = limit // LEAST_ROW_BYTES
    path = folder / f"invite_logs_{datetime.now(UTC):%Y%m%d}.{format}"
    if format == "xlsx":
        names = (selection.NUMBERS, selection.TIMES, selection.WIDTHS)
        spreadsheet.write_xlsx(path, selection.HEADER, _at_most(most, rows, limit), *names)
    else:
        spreadsheet.write_csv(path, selection.HEADER, _at_most(most, rows, limit))
    if not rows.rows and rows.unreadable:
        raise Refused(
            f"Nothing could be exported: {replies.count(rows.unreadable, 'line')} of the log could not be read. "
            "Have an administrator verify the logs."
        )
    if not rows.rows:
        raise Refused("There is nothing to export: no recorded join of this server fulfils all of that.")
    if path.stat().st_size > limit and format == "csv":
        path = _zipped(path)
    if path.stat().st_size > limit:
        raise _too_large(f"The export of {replies.count(rows.rows, 'join')}", limit)
    return path


def _at_most(most: int, rows: Selection, limit: int) -> Iterator[list[str]]:
    """The rows, given up as soon as no packing could make them small enough: a million take a minute to write."""
    for row in rows:
        if rows.rows > most:
            raise _too_large(f"An export of more than {replies.count(most, 'join')}", limit)
        yield row


def _too_large(what: str, limit: int) -> Refused:
    return Refused(
        f"{what} is larger than the {limit / 2**20:.0f} MB that Discord takes here: narrow it by date with `since` and "
        "`until`, or take it from the server's log folder."
    )


def _zipped(path: Path) -> Path:
    archive = path.with_name(f"{path.name}.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(path, path.name)
    return archive


def _summary(rows: Selection) -> str:
    text = f"{replies.count(rows.rows, 'join')}, from {replies.at(str(rows.first))} to {replies.at(str(rows.last))}."
    if rows.unreadable:
        text += f" ⚠️ {replies.count(rows.unreadable, 'line')} of the log could not be read: have the logs verified."
    return text
