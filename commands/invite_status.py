"""`/invite_status`: whether joins are recorded and attributed as they should be here, and what stands in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import discord
from discord import app_commands

from commands import asking, recording, replies
from commands.recording import Recording
from commands.refusals import PermissionMissing
from commands.services import GuildState, Services, SinkState
from joins.errors import FetchFailed
from joins.permissions import NEEDED
from joins.records import timestamp

_REASON = 200  # characters shown of one
_FEW = 0.05  # share of unsettled joins that needs no explanation
_SEARCH = {
    "available": "✅ works: it settles joins that the invite counts cannot tell apart",
    "refused": "⚠️ refused by Discord: the invite counts stand alone",
    "indexing": "⏳ Discord is still indexing the members",
    "untried": "not asked yet",
    "off": "switched off: the invite counts stand alone",
}
_SINKS = {
    "working": "✅ works",
    "failing": "⚠️ fails",
    "waiting": "⏳ waits",
    "starting": "⏳ starts",
    "gone": "⚠️ is gone",
}


def command(services: Services) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""

    @asking.staff_only
    @app_commands.command(name="invite_status", description="Does the invite log work here, and is anything missing?")
    async def invite_status(interaction: discord.Interaction[Any]) -> None:
        guild_id = await asking.begin(interaction)
        readable, sinks, found = await asyncio.gather(
            _invites(services, guild_id),
            services.sink_states(),
            asyncio.to_thread(recording.of_guild, services.folder, guild_id),
        )
        state = services.guild_state(guild_id)
        made = replies.embed("Invite log status")
        replies.add(made, "Permissions", _permissions(state))
        replies.add(made, "Invites", _read(readable, state))
        replies.add(made, "Member Search", _search(state))
        replies.add(made, "Joins", _joins(found))
        replies.add(made, "Copies", _sinks(sinks))
        policy = services.credit_policy.sentence
        replies.add(made, "Credit", [f"Policy: {policy}, once a person, and never for oneself."])
        await interaction.followup.send(embed=made, ephemeral=True)

    return invite_status


async def _invites(services: Services, guild_id: str) -> str:
    """Whether they can be read, tried now."""
    try:
        counts = await services.invite_counts(guild_id)
    except PermissionMissing:
        return "⚠️ Discord does not show them to me: joins are recorded as unknown"
    except FetchFailed as error:
        return f"⚠️ Discord does not answer just now ({replies.text(str(error), _REASON)}); I try again by myself"
    vanity = " and the vanity URL" if counts.vanity else ""
    return f"✅ {replies.count(len(counts.invites), 'invite')}{vanity} can be read now"


def _permissions(state: GuildState) -> list[str]:
    if state.missing is None:
        return ["not known: this server is not in reach just now"]
    parts = []
    for one in NEEDED:
        lacking = one in state.missing
        parts.append(f"⚠️ **{one.name}** is missing: {one.loss}" if lacking else f"✅ **{one.name}**")
    if state.missing:
        parts.append("Grant it in Server Settings, Roles, my role; I notice by myself.")
    return parts


def _read(readable: str, state: GuildState) -> list[str]:
    if state.invites_read_at is None:
        return [readable, "Not compared yet since the start."]
    when = timestamp(state.invites_read_at)
    return [readable, f"Last compared for a join or a start: {replies.at(when)} ({replies.at(when, 'R')})"]


def _search(state: GuildState) -> list[str]:
    reason = [replies.text(state.search_reason, _REASON)] if state.search_reason else []
    return [_SEARCH.get(state.search, replies.plain(state.search)), *reason]


def _joins(found: Recording | None) -> list[str]:
    if found is None or found.begins is None or found.last is None:
        return ["None is recorded in this server yet; the log begins by itself with the next one."]
    unsettled = found.ambiguous + found.unknown
    parts = [
        f"Last recorded: {replies.at(found.last)} ({replies.at(found.last, 'R')})",
        f"The log begins: {replies.at(found.begins)}",
        f"Of the last {replies.count(found.counted, 'join')}: {found.ambiguous} ambiguous "
        f"({found.ambiguous / found.counted:.0%}), {found.unknown} unknown",
    ]
    if unsettled / found.counted > _FEW:
        parts.append("`/correct_invite` settles one by hand; `/lookup_user_invite` names its candidates.")
    if found.behind:
        parts.append("⏳ The database is catching up, so the newest joins may be missing here.")
    if found.from_log:
        parts.append("Read from the JSON log: there is no database, so later settlements are not counted.")
    return parts


def _sinks(sinks: Sequence[SinkState] | None) -> list[str]:
    if sinks is None:
        return ["⚠️ not known: Redis does not answer; joins are kept on the producer's disk"]
    parts = []
    for sink in sinks:
        text = f"{_SINKS.get(sink.state, replies.plain(sink.state))} · `{sink.name}`"
        if sink.state in ("failing", "waiting") and sink.since:
            text += f" since {discord.utils.format_dt(datetime.fromtimestamp(sink.since, UTC), 'R')}"
        if sink.reason:
            text += f": {replies.text(sink.reason, _REASON)}"
        parts.append(text)
    return parts
