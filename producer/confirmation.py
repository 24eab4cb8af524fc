"""Confirms recorded joins by member search: some 20 s after the join, then ever less often, many in one question.

The outcome is a change, `attribution_confirmed` or `attribution_corrected`; the join's record is never touched. A join
that cannot be settled stays as it was recorded, and the log says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from redis.exceptions import RedisError

from joins.chain import Record
from joins.errors import PermanentError, SearchUnavailable
from joins.records import CHANGES, HISTORY, moment
from producer import referral, verdict
from producer.agenda import Agenda, Item
from producer.found import Found
from producer.member_search import MOST_IDS, OFF, REFUSED, SearchState
from producer.ports import Recorder
from producer.unconfirmed import Unconfirmed, UnconfirmedStore, of_record
from producer.verdict import MEMBER_SEARCH, Verdict

MOST_WAITING = 20_000  # joins that wait at most, about 1 kB each; beyond it the oldest are given up
LONGEST_SLEEP = 60.0  # seconds
log = logging.getLogger("producer")


class Search(Protocol):
    """What is needed of member search."""

    def state(self, guild_id: str) -> SearchState:
        """How a guild's search was when it was last asked."""
        ...

    async def by_ids(self, guild_id: str, ids: Iterable[str]) -> dict[str, Found]:
        """How these members came in. Raises SearchUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class ConfirmingPace:
    """When to ask, in seconds."""

    ages: tuple[float, ...] = (20.0, 40.0, 90.0, 300.0, 1200.0, 3600.0, 21600.0, 86400.0)  # since the record was made
    gather: float = 1.0  # how long the first join that is due waits for others to share its question
    closed: float = 60.0  # between two looks at whether a guild that refuses would be asked again
    retry: float = 10.0  # before a change that could not be recorded is tried again


class Confirmation:
    """The joins of all guilds that wait. `run` works them off; every other method only takes note."""

    def __init__(
        self, search: Search, recorder: Recorder, store: UnconfirmedStore, pace: ConfirmingPace | None = None
    ) -> None:
        self._search, self._recorder, self._store = search, recorder, store
        self._pace = pace or ConfirmingPace()
        self._agenda = Agenda()
        self._ready: dict[str, list[Item]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._decided: set[str] = set()  # joins that a person has decided, or is about to
        self._settling: dict[str, asyncio.Event] = {}  # joins whose change is being recorded
        self._wake = asyncio.Event()
        self._saved = True  # whether Redis took what was to be kept, the last time

    @property
    def waiting(self) -> int:
        """How many joins are not confirmed yet."""
        return len(self._agenda)

    async def recorded(self, record: Record) -> None:
        """A join was recorded: it is to be confirmed, unless it is a bot's, history, or from member search itself."""
        if record["source"] == "bot" or record["method"] == MEMBER_SEARCH or not HISTORY.isdisjoint(record["flags"]):
            return
        if record["join_id"] in self._agenda:
            return
        join = of_record(record, referral.foreseen(self._recorder.registry, record))
        if join.join_id in self._decided:
            return
        self._store.put(join)
        self._add(join)

    def left(self, guild_id: str, user_id: str) -> None:
        """A member left: his joins are asked for once more, at once, while the search may still know of them."""
        for item in self._agenda.of_user(guild_id, user_id):
            item.last = True
            self._at(item, time.time())

    @contextlib.asynccontextmanager
    async def deciding(self, join_id: str) -> AsyncIterator[None]:
        """Within this a person's word on a join is recorded: member search has no say any more, unless that fails.

        What member search settles just then is waited for, so that the person's word is the later one.
        """
        new = join_id not in self._decided
        self._decided.add(join_id)
        if settling := self._settling.get(join_id):
            await settling.wait()
        try:
            yield
        except Exception:
            if new:
                self._decided.discard(join_id)
                if (item := self._agenda.get(join_id)) is not None:
                    self._at(item, time.time())
            raise
        self._remove(join_id)

    async def run(self, joins: Iterable[Record] = (), changes: Iterable[Record] = ()) -> None:
        """Works until it is cancelled. First takes up what earlier starts left: from Redis, and `joins`.

        `joins` and `changes` are the latest that an earlier start recorded: it may have ended before it could note in
        Redis that the one waits, or that the other has settled it.
        """
        settled = {change["join_id"] for change in changes if change["change"].startswith("attribution_")}
        recent = [record for record in joins if record["join_id"] not in settled]
        loaded = False
        while True:
            self._wake.clear()
            loaded = loaded or await self._load(recent, settled)
            self._saved = await asyncio.to_thread(self._store.flush)
            wait = self._start_due()
            if not loaded or not self._saved:
                wait = min(wait, self._pace.retry)
            # Not `wait_for`: up to Python 3.11 it may swallow a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def stop(self) -> None:
        """Ends what is under way and keeps what waits. `run` must have ended."""
        tasks = list(self._working.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._saved:  # while Redis is away the end would wait for it; the outbox has what is not noted there
            await asyncio.to_thread(self._store.flush)

    async def _load(self, recent: Iterable[Record], settled: set[str]) -> bool:
        try:
            joins = await asyncio.to_thread(self._store.load)
        except RedisError:
            return False
        for join in joins:
            if join.join_id in settled or join.join_id in self._decided:
                self._store.drop(join.join_id)
            elif join.join_id not in self._agenda:
                self._add(join)
        for record in recent:
            await self.recorded(record)
        return True

    def _add(self, join: Unconfirmed) -> None:
        # What is older than the first age has waited for this start, and first gets the time to log in.
        since = max(moment(join.recorded_at).timestamp(), time.time() - 1)
        self._agenda.add(join, since + self._pace.ages[0])
        self._wake.set()
        if len(self._agenda) > MOST_WAITING:
            self._give_up([self._agenda.oldest()], "too many joins wait to be confirmed")

    def _remove(self, join_id: str) -> None:
        if self._agenda.remove(join_id):
            self._store.drop(join_id)
            self._wake.set()

    def _at(self, item: Item, due: float) -> None:
        self._agenda.put_off(item, due)
        self._wake.set()

    def _start_due(self) -> float:
        """Hands the joins that are due to their guilds' tasks; seconds until the next may be due."""
        now = time.time()
        for item in self._agenda.due(now):
            guild_id = item.join.guild_id
            self._ready.setdefault(guild_id, []).append(item)
            if guild_id not in self._working:
                self._working[guild_id] = asyncio.create_task(self._work(guild_id), name=f"confirming {guild_id}")
        due = self._agenda.next_due()
        # A clock that is set must not make it oversleep for long.
        return LONGEST_SLEEP if due is None else min(max(due - now, 0.0), LONGEST_SLEEP)

    async def _work(self, guild_id: str) -> None:
        """Asks for the joins of one guild until none is ready: a guild that is slow does not hold up the others."""
        ready = self._ready[guild_id]
        try:
            await asyncio.sleep(self._pace.gather)
            while ready:
                some, ready[:MOST_IDS] = ready[:MOST_IDS], []
                try:
                    await self._ask(guild_id, some)
                except Exception:
                    log.exception("guild %s: a fault in confirming joins; they are tried again", guild_id)
                    for item in some:
                        self._later(item)
        finally:
            del self._working[guild_id], self._ready[guild_id]

    async def _ask(self, guild_id: str, some: list[Item]) -> None:
        try:
            found = await self._search.by_ids(guild_id, [item.join.user_id for item in some])
        except SearchUnavailable as error:
            ready = self._ready[guild_id]
            some, ready[:] = [*some, *ready], []
            self._put_off(guild_id, some, error)
            return
        settled: Counter[str] = Counter()
        waiting = [item for item in some if item.join.join_id in self._agenda]
        asked = [item for item in waiting if item.join.join_id not in self._decided]
        # Together, so that their changes are made durable with one fsync.
        await asyncio.gather(*(self._judge(item, found.get(item.join.user_id), settled) for item in asked))
        if settled:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(settled.items()))
            log.info("guild %s: member search: %s", guild_id, kinds)

    async def _judge(self, item: Item, found: Found | None, settled: Counter[str]) -> None:
        match verdict.judge(item.join, found):
            case Verdict.SETTLED:
                assert found is not None
                await self._settle(item, found, settled)
            case Verdict.REJOINED:
                self._give_up([item], "the member has joined again since")
            case Verdict.NOT_YET if item.last:
                self._give_up([item], "the member left before")
            case Verdict.NOT_YET:
                self._later(item)

    async def _settle(self, item: Item, found: Found, settled: Counter[str]) -> None:
        join = item.join
        if join.join_id in self._decided:
            return
        credited = referral.of_found(self._recorder.registry, join, found)
        change = verdict.change(join, found, credited.staff, datetime.now(UTC), credited.flags)
        try:
            await self._record(join.join_id, change)
        except PermanentError as error:
            self._give_up([item], f"what member search says makes no valid record ({error})")
            return
        except Exception as error:
            log.warning("join %s is settled, but that cannot be recorded just now: %s", join.join_id, error)
            self._at(item, time.time() + self._pace.retry)
            return
        settled[change["change"].removeprefix("attribution_")] += 1
        if join.invite_code not in (None, found.invite_code):
            log.warning(
                "join %s was recorded with %s, but member search says %s: corrected",
                join.join_id,
                join.invite_code,
                found.invite_code or found.source,
            )
        self._remove(join.join_id)

    async def _record(self, join_id: str, change: Record) -> None:
        """Records a change; a person who decides the same join waits until that is done."""
        done = self._settling[join_id] = asyncio.Event()
        try:
            await self._recorder.record(CHANGES, change)
        finally:
            done.set()
            if self._settling.get(join_id) is done:
                del self._settling[join_id]

    def _later(self, item: Item) -> None:
        """The next of the ages, or the end."""
        recorded, now = moment(item.join.recorded_at).timestamp(), time.time()
        ahead = [age for age in self._pace.ages if recorded + age > now]
        if ahead:
            self._at(item, recorded + ahead[0])
        else:
            self._give_up([item], "member search did not tell how the member joined")

    def _put_off(self, guild_id: str, some: list[Item], error: SearchUnavailable) -> None:
        """Nothing was learnt: it costs no try, but does not go on for ever either."""
        now, oldest = time.time(), self._pace.ages[-1]
        closed = self._search.state(guild_id).state in (REFUSED, OFF)
        wait = min(error.retry_after, self._pace.closed) if closed else error.retry_after
        over = [one for one in some if one.last or moment(one.join.recorded_at).timestamp() + oldest < now]
        self._give_up(over, str(error))
        for item in some:
            if item.join.join_id in self._agenda:
                self._at(item, now + wait)

    def _give_up(self, some: list[Item], why: str) -> None:
        for item in some:
            self._remove(item.join.join_id)
        if some:
            shown = ", ".join(f"{one.join.join_id} ({one.join.confidence})" for one in some[:MOST_IDS])
            more = f" and {len(some) - MOST_IDS} more" if len(some) > MOST_IDS else ""
            log.info("not confirmed, and left as recorded: %s; join %s%s", why, shown, more)
