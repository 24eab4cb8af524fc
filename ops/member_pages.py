"""A guild's members page by page, from any place on: by member search with their invites, or from the list without.

One page is in memory at a time, whatever the size of the guild. A *place* is JSON-able; None is the beginning.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joins.errors import DiscordUnreachable, InviteLogError
from joins.records import moment
from joins.settings import Settings
from ops import discord_rest
from producer import found, payloads
from producer.found import ForeignShape, Found

PAGE = 1000  # members in one answer; Discord's limit
OLDEST_FIRST = 2  # `sort` of member search
INDEX_PATIENCE = 600.0  # seconds that a guild may take to be indexed


class SearchRefused(InviteLogError):
    """The guild grants no member search; the message says what Discord answered."""


@dataclass(frozen=True)
class Page:
    """Raw members, how each came in where that is known (by user id), and the place after them (None: the end)."""

    members: list[Mapping[str, Any]]
    found: Mapping[str, Found]
    place: Any


def searched(settings: Settings, guild_id: str, place: Any) -> Iterator[Page]:
    """All members, oldest first. Raises SearchRefused, DiscordUnreachable."""
    while True:
        answer = _search(
            settings, guild_id, {"limit": PAGE, "sort": OLDEST_FIRST} | ({"after": place} if place else {})
        )
        try:
            entries = found.page(answer)
        except ForeignShape as error:
            raise SearchRefused(f"Discord answers in a shape that is not known: {error}") from error
        if not entries:
            return
        last = entries[-1]
        before, place = place, {"guild_joined_at": _milliseconds(last.joined_at), "user_id": last.user_id}
        if place == before:
            return
        ends = len(entries) < PAGE
        members = [entry["member"] for entry in answer["members"]]
        yield Page(members, {one.user_id: one for one in entries}, None if ends else place)
        if ends:
            return


def listed(settings: Settings, guild_id: str, place: Any) -> Iterator[Page]:
    """All members by rising id, without a word of how they came in. Raises DiscordUnreachable."""
    after = str(place or 0)
    while True:
        status, members = discord_rest.ask_patiently(settings, f"/guilds/{guild_id}/members?limit={PAGE}&after={after}")
        if status != 200 or not isinstance(members, list):
            said = members.get("message", "no reason given") if isinstance(members, dict) else members
            raise DiscordUnreachable(f"Discord does not list the members of guild {guild_id}: {status} ({said}).")
        if not members:
            return
        after = str(members[-1]["user"]["id"])
        ends = len(members) < PAGE
        yield Page(members, {}, None if ends else after)
        if ends:
            return


def refusal(settings: Settings, guild_id: str) -> str | None:
    """Why the guild grants no member search, or None when it does. Raises DiscordUnreachable."""
    try:
        found.page(_search(settings, guild_id, {"limit": 1}))
    except (SearchRefused, ForeignShape) as error:
        return str(error)
    return None


def count(settings: Settings, guild_id: str) -> int:
    """About how many members the guild has; 0 when Discord does not say."""
    _, guild = discord_rest.ask_patiently(settings, f"/guilds/{guild_id}?with_counts=true")
    return int(guild.get("approximate_member_count") or 0) if isinstance(guild, dict) else 0


def joined(settings: Settings, guild_id: str, user_id: str) -> datetime | None:
    """When a member joined; None when Discord does not say. Raises DiscordUnreachable."""
    status, member = discord_rest.ask_patiently(settings, f"/guilds/{guild_id}/members/{user_id}")
    return payloads.joined(member) if status == 200 else None


def _search(settings: Settings, guild_id: str, body: Mapping[str, Any]) -> Any:
    until = time.monotonic() + INDEX_PATIENCE
    while True:
        status, answer = discord_rest.ask_patiently(settings, f"/guilds/{guild_id}/members-search", body)
        if status >= 400:
            raise SearchRefused(f"Discord answers {status} ({answer.get('message') or 'no reason given'})")
        wait = found.indexing(answer)
        if wait is None:
            return answer
        if time.monotonic() + wait > until:
            raise SearchRefused("Discord is still indexing the members; try again in some minutes")
        time.sleep(wait)


def _milliseconds(joined_at: str) -> int:
    return int(moment(joined_at).timestamp() * 1000)
