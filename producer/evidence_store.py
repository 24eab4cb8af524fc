"""Each guild's evidence, kept in Redis across restarts.

Why kill -9 at any moment cannot make a later join wrong:

- Evidence is kept after the joins judged with it are durable in the outbox, never before. So what is in Redis may be
  older than the records, never newer.
- It is kept together with `judged`, the highest event id that the sequencer had given by then. A guild's joins are
  judged one batch after the other, so every join of the guild with a higher id was judged later than this evidence:
  its use may lie above the baseline, though it has a record. These joins are read back from the outbox and the
  stream and become debtors (`Evidence.restarted`): they claim their uses before any later join does.
- Joins that have no record yet are in the outbox as arrivals, and wait again. Joins that nobody heard are found by
  reconciling. Until that has found them all, the restart is a gap, and over a gap nothing is exact.
- Where the stream has been trimmed above `judged` the joins since are not all known, and after a day without
  listening too many may have come and gone: such evidence is dropped, and so is what cannot be read. Without
  evidence the joins of the gap are recorded as `unknown`, and the next look is a new baseline.

A server that forgets its last second forgets evidence and stream alike, and the stream is healed before this is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import RedisError

from joins import event_id, keys
from joins.chain import Record
from joins.errors import InvalidRecord, NewerVersion
from joins.json_format import from_line
from joins.records import HISTORY, JOINS, moment
from joins.redis_url import Client
from joins.scripts import text
from producer import evidence_json
from producer.evidence import Evidence, Waiting

log = logging.getLogger("producer")

LONGEST_GAP = timedelta(days=1)  # without listening; older evidence is dropped
PAUSE = 0.2  # seconds between two writes: many looks in a row are one write
RETRY = 5.0  # seconds between tries while Redis is away
PAGE = 500  # entries of the stream in one read
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


class EvidenceStore:
    """Takes evidence at once, and writes the latest of each guild as soon as Redis takes it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._told = False

    def keep(self, guild_id: str, evidence: Evidence, judged: str) -> None:
        """Keeps the evidence; `judged` is the highest event id of the joins that were recorded by now."""
        self._waiting[guild_id] = evidence_json.dump(evidence, judged)
        self._wake.set()

    @property
    def failing(self) -> bool:
        """Whether Redis took nothing when it was last tried."""
        return self._told

    async def run(self) -> None:
        """Writes what waits, until it is cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(PAUSE if await self.write() else RETRY)

    async def write(self) -> bool:
        """Writes what waits; False when Redis is away, so that it waits on."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return True
        fields: Any = waiting
        try:
            await asyncio.to_thread(self._client.hset, keys.EVIDENCE, mapping=fields)
        except RedisError as error:
            if not self._told:
                log.warning("the evidence of %d guilds cannot be kept just now: %s", len(waiting), error)
            self._told = True
            self._waiting = waiting | self._waiting  # what came meanwhile is newer
            self._wake.set()
            return False
        self._told = False
        return True


def load(
    client: Client, recent: Iterable[tuple[str, Record]], listened: Mapping[str, datetime], now: datetime
) -> dict[str, Evidence]:
    """Every guild's evidence that can be trusted, with the joins that were recorded since as debtors.

    `recent` are joins of the outbox with their event ids; `listened` says up to when each guild was listened to.
    Raises redis errors.
    """
    kept: dict[str, tuple[Evidence, str]] = {}
    dropped: list[str] = []
    trimmed = text(client.hget(keys.TRIMMED, JOINS) or event_id.ZERO)
    for field, value in client.hscan_iter(keys.EVIDENCE, count=10):
        guild_id = text(field)
        try:
            evidence, judged = evidence_json.load(value)
            event_id.parse(judged)
        except UNREADABLE as error:
            log.warning("guild %s: the evidence kept for it cannot be read and is dropped: %s", guild_id, error)
            dropped.append(guild_id)
            continue
        if reason := _stale(evidence, judged, trimmed, listened.get(guild_id), now):
            log.warning("guild %s: the evidence kept for it is dropped: %s", guild_id, reason)
            dropped.append(guild_id)
        else:
            kept[guild_id] = evidence, judged
    if dropped:
        client.hdel(keys.EVIDENCE, *dropped)
    try:
        since = _since(client, {guild_id: judged for guild_id, (_, judged) in kept.items()}, recent)
    except NewerVersion as error:
        log.warning("all evidence that was kept is dropped: %s", error)
        return {}
    return {
        guild_id: evidence.restarted(now, [_debtor(evidence, record) for record in since[guild_id]])
        for guild_id, (evidence, _) in kept.items()
    }


def _stale(evidence: Evidence, judged: str, trimmed: str, listened: datetime | None, now: datetime) -> str | None:
    if evidence.baseline is None:
        return "it holds no snapshot"
    if event_id.is_above(trimmed, judged):
        return "more joins were recorded since than the stream holds"
    if now - max(listened or evidence.baseline.taken_at, evidence.baseline.taken_at) > LONGEST_GAP:
        return "nobody has listened for longer than a day"
    return None


def _since(client: Client, judged: Mapping[str, str], recent: Iterable[tuple[str, Record]]) -> dict[str, list[Record]]:
    """The joins of each guild that were recorded above its event id, in the outbox or the stream."""
    found: dict[str, dict[str, Record]] = {guild_id: {} for guild_id in judged}

    def take(place: str, record: Record) -> None:
        above = judged.get(record["guild_id"])
        if above and event_id.is_above(place, above) and _claims(record):
            found[record["guild_id"]][record["join_id"]] = record

    for place, record in recent:
        take(place, record)
    position = min(judged.values(), key=event_id.parse, default=None)
    while position is not None:
        entries: Any = client.xrange(keys.stream(JOINS), f"({position}", "+", count=PAGE)
        for entry_id, fields in entries:
            try:
                take(text(entry_id), from_line(JOINS, fields[b"r"]))
            except (InvalidRecord, KeyError):
                continue  # the sinks condemn it
        position = text(entries[-1][0]) if len(entries) == PAGE else None
    return {guild_id: list(records.values()) for guild_id, records in found.items()}


def _claims(record: Record) -> bool:
    return record["source"] != "bot" and HISTORY.isdisjoint(record["flags"])


def _debtor(evidence: Evidence, record: Record) -> Waiting:
    """A recorded join whose use may lie above the baseline. When its event came is not recorded: not before that."""
    assert evidence.baseline is not None
    joined_at = moment(record["timestamp"])
    return Waiting(record["join_id"], joined_at, max(joined_at, evidence.baseline.taken_at))
