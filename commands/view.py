"""`/view_invite_logs`: recent joins, or those of a user, or of an invite, in pages."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
from discord import app_commands

from commands import asking, choices, listing, paging, replies
from commands.listing import Filter, Key, Page, Row
from commands.paging import Shown
from commands.refusals import Refused
from commands.services import Services
from joins.records import EXACT

_LONGEST_NAMES = 32  # characters of one name in a line, so that ten lines fit an embed


def command(services: Services) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""

    @asking.staff_only
    @app_commands.command(
        name="view_invite_logs", description="Recent joins, or those of a user, an invite or a period"
    )
    @app_commands.describe(
        user_id="Only this user: the id, or a mention",
        invite_code="Only this invite",
        since="From this day on: year-month-day (UTC)",
        until="Up to and with this day: year-month-day (UTC)",
    )
    @app_commands.autocomplete(invite_code=choices.codes(services.folder))
    async def view_invite_logs(
        interaction: discord.Interaction[Any],
        user_id: str | None = None,
        invite_code: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        guild_id = await asking.begin(interaction)
        first, last = asking.period(since, until)
        wanted = Filter(guild_id, asking.user_id(user_id), asking.invite_code(invite_code), first, last)
        page = await asyncio.to_thread(listing.page, services.folder, wanted)
        if not page.rows:
            raise Refused(_nothing(wanted))
        total = await asyncio.to_thread(listing.total, services.folder, wanted)

        async def turn(key: Key) -> Shown:
            return _shown(await asyncio.to_thread(listing.page, services.folder, wanted, key), wanted, total)

        await paging.send(interaction, _shown(page, wanted, total), turn)

    return view_invite_logs


def _nothing(wanted: Filter) -> str:
    period = " in that period" if wanted.since or wanted.until else ""
    if wanted.user_id and wanted.invite_code:
        return f"No join of {replies.code(wanted.user_id)} by the invite {replies.code(wanted.invite_code)}{period}."
    if wanted.invite_code:
        return (
            f"No recorded join of this server used the invite {replies.code(wanted.invite_code)}{period}. "
            "Codes tell capital letters from small ones."
        )
    if wanted.user_id:
        return f"No join of the user {replies.code(wanted.user_id)} is recorded in this server{period}."
    if period:
        return f"No join is recorded in this server{period}."
    return "No join is recorded in this server yet; the log begins by itself with the next one."


def _shown(page: Page, wanted: Filter, total: int | None) -> Shown:
    made = replies.embed(_title(wanted, total), "\n".join(_line(row) for row in page.rows))
    notes = ["Newest first"]
    if page.behind:
        notes.append("the database is catching up, so the newest joins may be missing")
    if page.from_log:
        notes.append("read from the JSON log: there is no database, so later corrections are not shown")
    made.set_footer(text="; ".join(notes) + ".")
    if not page.rows:
        return Shown(made)
    first, last = page.rows[0], page.rows[-1]
    newer = Key(first.timestamp, first.position, newer=True) if page.newer else None
    return Shown(made, newer, Key(last.timestamp, last.position) if page.older else None)


def _title(wanted: Filter, total: int | None) -> str:
    title = "Joins" if total is None else replies.count(total, "join")
    if wanted.user_id:
        title += f" of user {wanted.user_id}"
    if wanted.invite_code:
        title += f" by invite {wanted.invite_code}"
    return title


def _line(row: Row) -> str:
    who = replies.name((row.display_name or row.username or "erased")[:_LONGEST_NAMES])
    uses = f" ({row.uses_before}→{row.uses_after})" if row.uses_after is not None and not row.altered else ""
    if row.invite_code:
        how = f"{replies.code(row.invite_code)}{uses}"
    else:
        how = "no invite" if row.confidence == EXACT else row.confidence
        how += f" ({row.source})" if row.source not in ("unknown", "invite") else ""
    staff = f"<@{row.staff_id}>" if row.staff_id else ""
    if row.staff_username:
        staff = replies.name(row.staff_username[:_LONGEST_NAMES])
    parts = [replies.at(row.timestamp), f"**{who}** {replies.code(row.user_id)}", how, staff]
    return " · ".join(part for part in parts if part) + (" · corrected" if row.altered else "")
