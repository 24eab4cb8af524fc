"""Healing the streams of a server that forgot: what it no longer has is added again, under the original ids.

The records come from the longest copy on this disk, and from the outbox above that. Only the newest are added, as many
as a stream keeps anyway; a sink that ends below them is told so (`trimmed`) and does not skip any. Where the records
that a sink is known to hold cannot be given back without a hole, nothing is added: a hole would fork the order.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.client import Pipeline

from joins import event_id, keys, process_report
from joins.chain import Record
from joins.errors import InvalidRecord, NewerVersion, StreamForgot
from joins.event_id import ZERO
from joins.groups import Entry
from joins.lease import Lease
from joins.publish import MAX_BATCH, Publisher, Sequenced, look_up
from joins.records import CHANGES, LOGS
from joins.redis_url import Client
from joins.scripts import text
from producer.copies import Copy, longest
from producer.outbox import Outbox

REPORTS_SECONDS = 3.0  # twice the time between two reports of a consumer
_log = logging.getLogger("producer.healing")


def last_known(outbox: Outbox, folder: Path, log: str) -> str:
    """The highest id that was surely published: what the outbox and the copies on this disk say."""
    copy = longest(folder, log)
    return event_id.latest(outbox.published[log], copy.head if copy else ZERO)


@dataclass(frozen=True)
class _Plan:
    """What one log's stream is given back."""

    log: str
    copy: Copy | None
    above: str  # records of the copy above this id, and
    kept: list[Sequenced]  # what the outbox has above the copy
    skipped: bool  # whether the copy has older ones that the stream lacks too

    def records(self) -> Iterator[Sequenced]:
        for record in self.copy.after(self.above) if self.copy else ():
            bare = {key: value for key, value in record.items() if key not in ("event_id", "hash")}
            yield Sequenced(self.log, record["event_id"], bare)
        yield from self.kept


def heal(client: Client, publisher: Publisher, outbox: Outbox, folder: Path, lease: Lease, window: int) -> int:
    """Makes the streams whole under a new epoch; gives the number of records added again.

    A crash in between is harmless: the stream still ends below what is known, so the next start heals the rest.
    Raises StreamForgot when no copy here reaches as far as some sink, LeaseLost, redis errors.
    """
    if any(last_known(outbox, folder, log) != ZERO for log in LOGS):
        _await_reports(client)
    plans = [_plan(client, publisher, outbox, folder, log, window) for log in LOGS]
    epoch, added = uuid4().hex, 0
    publisher.begin_epoch(epoch)
    with outbox.lock:
        outbox.set_epoch(epoch)
    for plan in plans:
        if plan.skipped:
            publisher.mark_trimmed(plan.log, plan.above)
        records = plan.records()
        while batch := list(itertools.islice(records, MAX_BATCH)):
            lease.renew()  # a long log takes longer than a lease lasts
            publisher.publish(plan.log, batch, epoch, lease.value or "", ZERO)
            added += len(batch)
    relearn_staff(client, folder)
    if added:
        _log.warning("the Redis server had forgotten %d records; they were added again under their own ids", added)
    return added


def _await_reports(client: Client) -> None:
    """Gives the consumers time to say how far they are: a server that lost everything lost that too."""
    until = time.monotonic() + REPORTS_SECONDS
    while time.monotonic() < until:
        reports = process_report.read(client, keys.SINKS)
        if len(reports) == len(keys.SINKS) and all(report.heads for report in reports.values()):
            return
        time.sleep(REPORTS_SECONDS / 30)


def _plan(client: Client, publisher: Publisher, outbox: Outbox, folder: Path, log: str, window: int) -> _Plan:
    last, copy = publisher.last_id(log), longest(folder, log)
    head = copy.head if copy else ZERO
    with outbox.lock:
        kept = [item for _, item in outbox.kept.values() if item.log == log and event_id.is_above(item.event_id, head)]
        floor = outbox.floor[log]
    reach = event_id.latest(last, head, *(item.event_id for item in kept))
    hole = kept and event_id.is_above(floor, event_id.latest(head, last))
    reports = process_report.read(client, keys.SINKS)
    ahead = [name for name, report in reports.items() if event_id.is_above(report.heads.get(log, ZERO), reach)]
    if hole or ahead:
        who = f"the {' and the '.join(ahead)} sink reaches further" if ahead else f"records after {head} are gone"
        raise StreamForgot(
            f"the Redis server has forgotten the {log} log, and no copy on this disk can give it back whole: {who}. "
            "Nothing is published until the JSON log or the database is put back, whole, from a backup"
        )
    oldest = copy.before_newest(window) if copy else ZERO
    above = event_id.latest(last, oldest)
    kept.sort(key=lambda item: event_id.parse(item.event_id))
    return _Plan(log, copy, above, [item for item in kept if event_id.is_above(item.event_id, last)], above != last)


def relearn_staff(client: Client, folder: Path) -> None:
    """Fills the staff look-up hashes again, from the changes in the longest copy and those after it in the stream.

    In that order: a copy may lag behind the stream, and must not put an older name over a later one. Raises redis
    errors.
    """
    copy = longest(folder, CHANGES)
    records = itertools.chain(copy.after(ZERO) if copy else (), _published_after(client, copy.head if copy else ZERO))
    while batch := list(itertools.islice(records, MAX_BATCH)):
        with client.pipeline() as pipeline:
            for record in batch:
                _relearn(pipeline, record)
            pipeline.execute()


def _published_after(client: Client, last: str) -> Iterator[Record]:
    untyped: Any = client  # redis-py's types allow for replies that this client never gives
    while entries := untyped.xrange(keys.stream(CHANGES), f"({last}", count=MAX_BATCH):
        for name, fields in entries:
            last = text(name)
            try:
                yield Entry(CHANGES, last, fields).record()
            except (InvalidRecord, NewerVersion):
                continue


def _relearn(pipeline: Pipeline, record: Record) -> None:
    which, field, value = look_up(CHANGES, record)
    if which:
        pipeline.hset(keys.STAFF if which == "staff" else keys.CODES, field, value)
