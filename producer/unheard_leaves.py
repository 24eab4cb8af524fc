"""Members who left while nobody listened: who has a join on record without an end, and is not in the guild's list.

Each is a `member_left` change as for a leave that was heard, under the same id, but with the flag `reconciled`. When it
was is not known, so there is no `left_at` and no time spent, but two bounds: `left_before`, when the list was read, and
`left_after`, the join, or the time up to which all leaves of the guild were on record, if that is later.

Nothing is concluded from a list that was not read to its end, so nothing in a guild that was asked by member search
alone. Nor from a database that lacks what is recorded: it is waited for, else a leave or a rejoin could be in it only
after the conclusion was drawn. A join of the last minute, or recorded since, is left to the next list, as this one may
be older. All this goes on aside, a batch of changes at a time, so that joins never wait for it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from redis.exceptions import RedisError

from joins import event_id
from joins.chain import Record
from joins.event_id import ZERO
from joins.records import JOINS, LOGS, moment, timestamp
from producer import open_stays
from producer.known_joins import Known, KnownJoins
from producer.leaves import Leaves, change_id
from producer.listened import Listened
from producer.open_stays import Stay
from producer.payloads import Arrival
from producer.presence import Presence
from producer.reconciling import RECONCILED
from producer.roll_call import RollCall

LATE = 5.0  # seconds after a list was read until the events of leaves that it shows already have come
FRESH = timedelta(minutes=1)  # a join that is no older than this when the reading begins may not be in the list yet
BATCH = 25  # changes made durable together; sealing one takes the loop about a millisecond
REST = 0.1  # seconds after a batch, so that the loop is the joins' and the outbox, which keeps a minute's, stays small
RETRY = 2.0  # seconds between looks at a database that lags
log = logging.getLogger("producer")


class Records(Protocol):
    """What is recorded, and how far that has come."""

    def unresolved(self) -> list[Arrival]: ...
    async def published(self) -> Mapping[str, str] | None: ...


class UnheardLeaves:
    """Takes lists of members, at once and in any number; `run` works them off one by one."""

    def __init__(self, folder: Path, records: Records, leaves: Leaves, known: KnownJoins, listened: Listened) -> None:
        """`folder` is the log folder."""
        self._folder, self._records, self._leaves = folder, records, leaves
        self._known, self._listened = known, listened
        self._queue: asyncio.Queue[tuple[Presence, RollCall]] = asyncio.Queue()
        self._said = False

    def take(self, presence: Presence, roll: RollCall) -> None:
        """A guild's joins are known; `roll` is what was read of its list of members."""
        if roll.is_whole(presence):
            self._queue.put_nowait((presence, roll))
        elif roll.ended:
            log.warning(
                "guild %s: its list of members has %d of %d, so nobody is taken to have left",
                presence.guild_id,
                len(roll),
                presence.members,
            )

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            presence, roll = await self._queue.get()
            try:
                await self._conclude(presence, roll)
            except Exception:
                log.exception("guild %s: a fault in finding who left meanwhile", presence.guild_id)
            finally:
                self._queue.task_done()

    async def finished(self) -> None:
        """Until every list is worked off."""
        await self._queue.join()

    async def _conclude(self, presence: Presence, roll: RollCall) -> None:
        guild_id, ended = presence.guild_id, roll.ended
        assert ended is not None
        await asyncio.sleep(max(LATE - (datetime.now(UTC) - ended).total_seconds(), 0.0))
        await self._leaves.finished()
        if (head := await self._caught_up(presence, roll)) is None:
            return
        count, sure, after = 0, True, self._listened.leaves.get(guild_id)
        pages = open_stays.pages(self._folder, guild_id) if head != ZERO else iter(())
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            gone = [stay for stay in page if not roll.has(stay.join.user_id)]
            older = [stay.join for stay in gone if _is_older(stay, roll)]
            others = (stay.join for stay in gone if not _is_older(stay, roll))
            sure = sure and not any(moment(join.timestamp) < roll.began for join in others)
            count += await self._record(_change(join, after, ended) for join in older if self._has_left(join))
        if count:
            log.info("guild %s: %d left while nobody listened", guild_id, count)
        self._listened.accounted(guild_id, roll.began - FRESH, sure and presence.here)

    async def _record(self, changes: Iterable[Record]) -> int:
        """Records them in batches, each durable before the next, at most 250 a second; gives how many there were."""
        count = 0
        while batch := list(itertools.islice(changes, BATCH)):
            await asyncio.gather(*map(self._leaves.unheard, batch))
            count += len(batch)
            await asyncio.sleep(REST)
        return count

    def _has_left(self, join: Known) -> bool:
        """Whether nobody here knows better: that the member has joined anew, or when he left."""
        recent = self._known.recent(join.guild_id, join.user_id)
        is_latest = recent is None or recent.timestamp <= join.timestamp
        return is_latest and not self._leaves.has_heard(join)

    async def _caught_up(self, presence: Presence, roll: RollCall) -> str | None:
        """The last join of the database, once it has all that is recorded; None when the guild is gone before that."""
        target: Mapping[str, str] | None = None
        while presence.here:
            if target is None and not self._waits(presence.guild_id, timestamp(roll.began)):
                target = await self._published()
            heads = await asyncio.to_thread(open_stays.heads, self._folder)
            if target is not None and not any(event_id.is_above(target[log], heads[log]) for log in LOGS):
                self._said = False
                return heads[JOINS]
            if not self._said:
                log.info("who left meanwhile is recorded as soon as the database has all that is recorded")
                self._said = True
            await asyncio.sleep(RETRY)
        return None

    def _waits(self, guild_id: str, began: str) -> bool:
        """Whether somebody who joined before has no record yet."""
        return any(one["guild_id"] == guild_id and one["timestamp"] < began for one in self._records.unresolved())

    async def _published(self) -> Mapping[str, str] | None:
        try:
            return await self._records.published()
        except RedisError:
            return None


def _is_older(stay: Stay, roll: RollCall) -> bool:
    """Whether the list, had the member not left, would have had him. Neither clock alone is trusted with it."""
    return moment(stay.join.timestamp) < roll.began - FRESH and moment(stay.recorded_at) < roll.began


def _change(join: Known, after: datetime | None, before: datetime) -> Record:
    return {
        "recorded_at": timestamp(datetime.now(UTC)),
        "change": "member_left",
        "change_id": change_id(join.join_id),
        "join_id": join.join_id,
        "guild_id": join.guild_id,
        "user_id": join.user_id,
        "left_after": max(join.timestamp, timestamp(after)) if after else join.timestamp,
        "left_before": timestamp(before),
        "flags": [RECONCILED],
    }
