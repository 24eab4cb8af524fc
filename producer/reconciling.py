"""Finds who joined while nobody listened, once a guild is there after a new session or an outage of its own.

The list of members says who is there, with everybody's time of joining; member search says by which invite, where the
guild grants it. A guild too large to be listed at each new session is asked by member search alone, twice, because
its index lags. Whoever joined since the guild was last listened to and has no record is recorded then, flagged
`reconciled`, and claims a use of the difference over the gap like everybody else. Only when all are known is that
gap closed (`Evidence.reconciled`).

`AT_ONCE` guilds are reconciled at a time, none of them twice at once, and each holds one page of its list. A guild's
joins wait for that, `PATIENCE` at the longest: then they are judged over the gap, where nothing is exact. A session
that was resumed has missed nothing, so it asks for none of this.

A list that was read to its end tells as well who is not there any more: `UnheardLeaves` is given it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from joins.errors import FetchFailed, SearchUnavailable, SinkUnavailable
from joins.records import EXACT, moment
from producer import payloads
from producer.attribution import Attribution
from producer.differences import SKEW
from producer.found import Found
from producer.guild_worker import GuildWorker
from producer.guild_workers import GuildWorkers
from producer.known_joins import Known
from producer.listened import MARGIN, Listened
from producer.payloads import Arrival
from producer.presence import Presence
from producer.roll_call import RollCall
from producer.verdict import MEMBER_SEARCH

log = logging.getLogger("producer")

PATIENCE = 30.0  # seconds that a guild's joins wait to be judged until everybody is known
LISTED = 20_000  # members up to which a guild is listed rather than searched: 20 requests
ONE_BY_ONE = 200  # members who are read one by one; more are read from the list
INDEXED_AFTER = 60.0  # seconds after which a second search finds whom the first one was too early for
SEARCH_PATIENCE = 10.0  # seconds that a search may wait for a guild that is being indexed
# Guilds reconciled at once. An answer takes about 200 ms, so these are some 40 requests a second, below the 50 that
# Discord grants a bot (https://docs.discord.com/developers/topics/rate-limits#global-rate-limit); what it holds back
# all the same, discord.py waits for.
AT_ONCE = 8
RETRY, LONGEST_RETRY = 1.0, 300.0  # seconds between tries while Discord does not answer
SAME = timedelta(seconds=2)  # two times of joining of one user that are no further apart are one join
RECONCILED = "reconciled"  # the flag of a join that no event announced


class Members(Protocol):
    """Who is in a guild; raw member objects. Raises FetchFailed."""

    def everybody(self, guild_id: str) -> AsyncIterator[Mapping[str, Any]]: ...
    async def one(self, guild_id: str, user_id: str) -> Mapping[str, Any] | None: ...


class Search(Protocol):
    """By which invite members came. Raises SearchUnavailable."""

    def joined_between(
        self, guild_id: str, after: datetime, before: datetime, patience: float = ...
    ) -> AsyncIterator[Found]: ...


class Joins(Protocol):
    """Which joins are known. `has` raises SinkUnavailable while nobody can tell."""

    async def has(self, join_id: str) -> bool: ...
    async def latest(self, guild_id: str, user_id: str) -> Known | None: ...


class Unheard(Protocol):
    """Finds who left. Takes what it is given at once."""

    def take(self, presence: Presence, roll: RollCall) -> None: ...


class Reconciling:
    """Takes what the gateway says of its guilds, at once; `run` works it off."""

    def __init__(
        self,
        workers: GuildWorkers,
        members: Members,
        search: Search,
        known: Joins,
        listened: Listened,
        unheard: Unheard | None = None,
    ) -> None:
        """`unheard` is given each guild whose joins are known by then, with the list that was read of it."""
        self._workers, self._members, self._search = workers, members, search
        self._known, self._listened, self._unheard = known, listened, unheard
        self._present: dict[str, Presence] = {}
        self._queue: asyncio.Queue[Presence] = asyncio.Queue()
        self._under_way: set[str] = set()  # guilds that are being reconciled
        self._next: dict[str, Presence] = {}  # of those, the ones that are there anew, and wait for that to end
        self._away: set[str] = set()  # guilds whose shard has lost its connection
        self._session_began = datetime.now(UTC)

    def new_session(self) -> None:
        """READY: its guilds follow, each with an event of its own."""
        self._session_began = datetime.now(UTC)

    def available(self, presence: Presence) -> bool:
        """GUILD_CREATE; False when it is doubled. The guild's joins are judged once it is reconciled."""
        guild_id = presence.guild_id
        if guild_id in self._present:
            return False
        self._present[guild_id] = presence
        self._away.discard(guild_id)
        self._queue.put_nowait(presence)
        asyncio.get_running_loop().call_later(PATIENCE, self._judge, presence)
        return True

    def gone(self, guild_id: str) -> None:
        """The guild's events are not heard any more: a new session, an outage of the guild, or we are out of it."""
        if presence := self._present.pop(guild_id, None):
            presence.here = False
        self._listened.pause(guild_id)
        self._listened.missed(guild_id)

    def away(self, guild_id: str) -> None:
        """The connection is lost; it may yet be resumed."""
        self._away.add(guild_id)
        self._listened.pause(guild_id)

    def back(self, guild_id: str) -> None:
        """The session was resumed: nothing is missed."""
        self._away.discard(guild_id)
        presence = self._present.get(guild_id)
        if presence and presence.reconciled:
            self._listened.begin(guild_id, self._listened.since(guild_id, presence.bot_joined))
        if presence and presence.judged:
            self._judge(presence)

    async def run(self) -> None:
        """Reconciles guilds, `AT_ONCE` at a time, until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        """Reconciles one guild after the other. A fault in one is logged, and that one is tried again."""
        while True:
            presence = await self._queue.get()
            guild_id = presence.guild_id
            if not presence.here:
                continue
            if guild_id in self._under_way:
                self._next[guild_id] = presence
                continue
            self._under_way.add(guild_id)
            try:
                await self._reconcile(presence)
            except (FetchFailed, SinkUnavailable) as error:
                self._again(presence, error)
            except Exception:
                log.exception("guild %s: a fault in finding who joined meanwhile", guild_id)
                self._again(presence, None)
            finally:
                self._under_way.discard(guild_id)
                if waiting := self._next.pop(guild_id, None):
                    self._queue.put_nowait(waiting)

    async def _reconcile(self, presence: Presence) -> None:
        guild_id, began = presence.guild_id, datetime.now(UTC)
        since = self._listened.since(guild_id, presence.bot_joined)
        missed: list[tuple[Arrival, Attribution | None]] = []
        roll, sure = RollCall(began), True
        if not self._is_new(presence, since):
            searched = await self._searched(guild_id, since, began)
            sure = searched is None or presence.members <= LISTED or len(searched) > ONE_BY_ONE
            listed = roll.read(self._members.everybody(guild_id)) if sure else self._some(guild_id, searched or {})
            missed = [join async for join in self._missed(presence, listed, since, searched or {})]
        if not presence.here:
            return
        worker = self._workers.of(guild_id)
        await worker.found(missed, began if sure and self._may_close_gap(presence, worker) else None)
        if missed:
            log.info("guild %s: %d joined while nobody listened", guild_id, len(missed))
        if not presence.here:
            return
        if sure or presence.searched:
            presence.reconciled = True
            if guild_id not in self._away:
                self._listened.begin(guild_id, max(since, began - MARGIN))
        else:
            presence.searched = True
            asyncio.get_running_loop().call_later(INDEXED_AFTER, self._queue.put_nowait, presence)
        self._judge(presence)
        if self._unheard:
            self._unheard.take(presence, roll)

    async def _missed(
        self,
        presence: Presence,
        members: AsyncIterator[Mapping[str, Any]],
        since: datetime,
        searched: Mapping[str, Found],
    ) -> AsyncIterator[tuple[Arrival, Attribution | None]]:
        """Those who joined since and have no record."""
        async for member in members:
            if not presence.here:
                return
            user_id, joined_at = str(member["user"]["id"]), payloads.joined(member)
            if joined_at is None or joined_at <= since or user_id == presence.bot_id:
                continue
            # No event announced it, so it counts as received at the moment of joining.
            arrival = payloads.arrival({**member, "guild_id": presence.guild_id}, presence.name, joined_at)
            if await self._is_known(arrival):
                continue
            arrival["flags"].append(RECONCILED)
            yield arrival, self._settled(arrival, searched.get(user_id))

    async def _is_known(self, arrival: Arrival) -> bool:
        if await self._known.has(arrival["join_id"]):
            return True
        latest = await self._known.latest(arrival["guild_id"], arrival["user_id"])
        return latest is not None and moment(arrival["timestamp"]) <= moment(latest.timestamp) + SAME

    async def _searched(self, guild_id: str, since: datetime, until: datetime) -> dict[str, Found] | None:
        """Those who joined since then and are indexed; None when the guild grants no search."""
        try:
            found = self._search.joined_between(guild_id, since, until, SEARCH_PATIENCE)
            return {one.user_id: one async for one in found}
        except SearchUnavailable:
            return None

    async def _some(self, guild_id: str, searched: Mapping[str, Found]) -> AsyncIterator[Mapping[str, Any]]:
        for user_id in searched:
            if (member := await self._members.one(guild_id, user_id)) is not None:
                yield member

    def _settled(self, arrival: Arrival, found: Found | None) -> Attribution | None:
        """What member search says of the join, where that is all there is to know."""
        if found is None or not found.settles or found.joined_at != arrival["timestamp"]:
            return None
        baseline = self._workers.of(arrival["guild_id"]).evidence.baseline
        invite = baseline.invites.get(found.invite_code or "") if baseline else None
        return Attribution(
            arrival["join_id"],
            found.source,
            MEMBER_SEARCH,
            EXACT,
            invite_code=found.invite_code,
            inviter_id=found.inviter_id,
            inviter_name=invite.inviter_name if invite and invite.inviter_id == found.inviter_id else None,
            temporary=invite.temporary if invite else False,
            evidence=found.evidence,
        )

    def _judge(self, presence: Presence) -> None:
        """The guild's joins may be judged, as soon as the connection is there."""
        if presence.here:
            presence.judged = True
            if presence.guild_id not in self._away:
                self._workers.of(presence.guild_id).online()

    def _is_new(self, presence: Presence, since: datetime) -> bool:
        """Whether the bot was added in this session, so that every join since has been heard."""
        added = presence.bot_joined
        return added is not None and since <= added and added > self._session_began + SKEW

    @staticmethod
    def _may_close_gap(presence: Presence, worker: GuildWorker) -> bool:
        """Not where many come without an invite (assumption 6), nor over a time when the bot was not there."""
        baseline, added = worker.evidence.baseline, presence.bot_joined
        was_out = baseline is not None and added is not None and baseline.taken_at < added
        return not presence.discoverable and not was_out

    def _again(self, presence: Presence, error: Exception | None) -> None:
        if not presence.here:
            return
        delay = min(RETRY * 2**presence.failures, LONGEST_RETRY)
        if error and not presence.failures:
            log.warning("%s; trying again", error)
        presence.failures += 1
        asyncio.get_running_loop().call_later(delay, self._queue.put_nowait, presence)
