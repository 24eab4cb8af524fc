"""Asking Discord's member search by which invite members came: definitive where a guild grants it, and optional.

Discord does not document it, so a guild whose search refuses, or answers in a shape that is not known, is left alone:
that is said once, and tried again after an hour or when the bot's permissions there have changed. Rate limits are
discord.py's to wait for. Source: https://docs.discord.food/resources/guild#search-guild-members (unofficial)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import discord

from joins.errors import SearchUnavailable
from joins.records import moment
from producer import found as answers
from producer.found import ForeignShape, Found
from producer.rest import FAILURES

MOST_IDS = 10  # values in one list of a query; Discord's limit
PAGE = 1000  # members in one answer; Discord's limit
PROBE_AFTER = 3600.0  # seconds until a guild that refused is asked again
RETRY_AFTER = 30.0  # seconds until a search that failed is worth another try
OLDEST_FIRST = 2  # `sort`
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AVAILABLE, REFUSED, INDEXING, OFF, UNTRIED = "available", "refused", "indexing", "off", "untried"
log = logging.getLogger("producer")


@dataclass(frozen=True, slots=True)
class SearchState:
    """What is known of a guild's member search, for people: one of the five words above, and why."""

    state: str
    reason: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Refusal:
    until: float  # by the loop's clock
    permissions: int  # the bot's in that guild, when it refused


class MemberSearch:
    """The member search of every guild that `client` is in. Not `enabled`: nothing is ever asked."""

    def __init__(self, client: discord.Client, enabled: bool = True) -> None:
        self._client, self._enabled = client, enabled
        self._states: dict[str, SearchState] = {}
        self._refusals: dict[str, _Refusal] = {}

    def state(self, guild_id: str) -> SearchState:
        """How a guild's search was when it was last asked."""
        if not self._enabled:
            return SearchState(OFF, "MEMBER_SEARCH is no")
        return self._states.get(guild_id, SearchState(UNTRIED))

    async def by_ids(self, guild_id: str, ids: Iterable[str], patience: float = 0.0) -> dict[str, Found]:
        """How those of the users who are in the guild, and indexed, came in; by user id.

        Waits up to `patience` seconds for a guild that is being indexed. Raises SearchUnavailable.
        """
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Found] = {}
        for start in range(0, len(wanted), MOST_IDS):
            some = wanted[start : start + MOST_IDS]
            body = {"or_query": {"user_id": {"or_query": some}}, "limit": MOST_IDS}
            found |= {one.user_id: one for one in await self._ask(guild_id, body, patience)}
        return found

    async def joined_between(
        self, guild_id: str, after: datetime, before: datetime, patience: float = 60.0
    ) -> AsyncIterator[Found]:
        """Members who are in the guild now and joined from `after` to `before`, both included, oldest first.

        Asks page by page, as the iteration goes on; waits and raises as `by_ids`.
        """
        # A millisecond more on either side, since nobody says how Discord rounds; what is beyond is left out here.
        span = {"range": {"gte": _milliseconds(after) - 1, "lte": _milliseconds(before) + 1}}
        body: dict[str, Any] = {"and_query": {"guild_joined_at": span}, "limit": PAGE, "sort": OLDEST_FIRST}
        seen: set[str] = set()
        while True:
            page = await self._ask(guild_id, body, patience)
            new = [one for one in page if one.user_id not in seen]
            for one in new:
                if after <= moment(one.joined_at) <= before:
                    yield one
            if len(page) < PAGE or not new:
                return
            seen = {one.user_id for one in page}
            last = page[-1]
            body["after"] = {"guild_joined_at": _milliseconds(moment(last.joined_at)), "user_id": last.user_id}

    async def _ask(self, guild_id: str, body: dict[str, Any], patience: float) -> list[Found]:
        self._must_be_open(guild_id)
        until = _clock() + patience
        while True:
            answer = await self._post(guild_id, body)
            wait = answers.indexing(answer)
            if wait is None:
                break
            self._enter(guild_id, INDEXING, "Discord is still indexing the members of this server")
            if _clock() + wait > until:
                raise SearchUnavailable(f"the members of guild {guild_id} are still being indexed by Discord", wait)
            await asyncio.sleep(wait)
        try:
            page = answers.page(answer)
        except ForeignShape as error:
            raise self._refused(guild_id, f"Discord answers in a shape that is not known: {error}") from error
        self._refusals.pop(guild_id, None)
        self._enter(guild_id, AVAILABLE, None)
        return page

    async def _post(self, guild_id: str, body: dict[str, Any]) -> Any:
        route = discord.http.Route("POST", "/guilds/{guild_id}/members-search", guild_id=guild_id)
        try:
            return await self._client.http.request(route, json=body)
        except discord.HTTPException as error:
            if 400 <= error.status < 500 and error.status != 429:
                text = error.text or getattr(error.response, "reason", None) or "no reason given"
                raise self._refused(guild_id, f"Discord answers {error.status} ({text})") from error
            raise _failed(guild_id, error) from error
        except FAILURES as error:
            raise _failed(guild_id, error) from error

    def _must_be_open(self, guild_id: str) -> None:
        if not self._enabled:
            raise SearchUnavailable("member search is off: MEMBER_SEARCH is no", PROBE_AFTER)
        refusal = self._refusals.get(guild_id)
        if refusal and _clock() < refusal.until and refusal.permissions == self._permissions(guild_id):
            reason = self.state(guild_id).reason
            raise SearchUnavailable(f"guild {guild_id} refuses member search: {reason}", refusal.until - _clock())

    def _refused(self, guild_id: str, reason: str) -> SearchUnavailable:
        self._refusals[guild_id] = _Refusal(_clock() + PROBE_AFTER, self._permissions(guild_id))
        self._enter(guild_id, REFUSED, reason)
        return SearchUnavailable(f"guild {guild_id} refuses member search: {reason}", PROBE_AFTER)

    def _enter(self, guild_id: str, state: str, reason: str | None) -> None:
        before = self.state(guild_id).state
        if state == before == REFUSED or state != before:
            since = self.state(guild_id).since if state == before else datetime.now(UTC)
            self._states[guild_id] = SearchState(state, reason, since)
        if state == before:
            return
        if state == REFUSED:
            log.warning(
                "guild %s: member search is refused: %s. Invites are found by their counts alone; it is tried again "
                "in an hour, or when the bot's permissions change",
                guild_id,
                reason,
            )
        elif state == INDEXING or before in (REFUSED, INDEXING):
            log.info("guild %s: member search: %s", guild_id, reason or "works")

    def _permissions(self, guild_id: str) -> int:
        guild = self._client.get_guild(int(guild_id))
        return guild.me.guild_permissions.value if guild and guild.me else 0


def _failed(guild_id: str, error: BaseException) -> SearchUnavailable:
    said = str(error) or type(error).__name__
    return SearchUnavailable(f"the members of guild {guild_id} could not be searched: {said}", RETRY_AFTER)


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _clock() -> float:
    return asyncio.get_running_loop().time()
