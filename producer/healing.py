"""Healing the streams of a server that forgot: what it no longer has is added again, under the original ids.

The records come from the copy that reaches furthest, of all four, and from the outbox above that. Only the newest are
added, as many as a stream keeps anyway; a sink that ends below them is told so (`trimmed`), and heals from another
copy. Where records that a sink is known to hold cannot be given back without a hole, nothing is added: a hole would
fork the order. The cloud is waited for, for a while; where nothing else is left, until it answers.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from redis.client import Pipeline

from joins import event_id, keys, process_report
from joins.chain import Record
from joins.copies import finding
from joins.copies.copy import Copy
from joins.errors import (
    InvalidRecord,
    InviteLogError,
    LeaseLost,
    NewerVersion,
    PermanentError,
    SinkUnavailable,
    StreamForgot,
)
from joins.event_id import ZERO
from joins.groups import Entry
from joins.lease import Lease
from joins.publish import MAX_BATCH, Publisher, Sequenced, look_up
from joins.records import CHANGES, LOGS
from joins.redis_url import Client
from joins.scripts import text
from joins.settings import Settings
from producer.far_copy import from_cloud
from producer.forgetting import forget_staff_name
from producer.outbox import Outbox

REPORTS_SECONDS = 3.0  # twice the time between two reports of a consumer
Copies = Mapping[str, Sequence[Copy]]
_log = logging.getLogger("producer.healing")


def on_disk(settings: Settings) -> dict[str, list[Copy]]:
    """The copies on this disk that can be read, by log."""
    return {log: finding.readable(log, settings, finding.ON_DISK) for log in LOGS}


def last_known(outbox: Outbox, copies: Copies, log: str) -> str:
    """The highest id that was surely published: what the outbox and the copies say."""
    return event_id.latest(outbox.published[log], *(copy.head[0] for copy in copies[log]))


def knows_nothing(outbox: Outbox, copies: Copies) -> bool:
    """Whether this disk remembers no record: it is new, or it vanished."""
    return all(last_known(outbox, copies, log) == ZERO == outbox.last[log] for log in LOGS)


def with_cloud(settings: Settings, outbox: Outbox, local: Copies, lease: Lease, must: bool) -> Copies:
    """The copies with the cloud's among them, as far as it answers in time.

    `must`: where this disk remembers nothing, raises StreamForgot instead of going on without. Raises LeaseLost,
    redis errors.
    """
    try:
        far = from_cloud(settings, lease)
    except LeaseLost:
        raise
    except InviteLogError as error:
        if must and knows_nothing(outbox, local):
            raise StreamForgot(
                f"the Redis server holds no records and neither does this disk, so the cloud backup must be asked: "
                f"{error}. Nothing is published until it answers; to begin without it, unset CLOUD_BACKUP_URL"
            ) from error
        _log.warning("the cloud's copy is passed over: %s", error)
        return local
    return {log: [*local[log], *([far[log]] if log in far else [])] for log in LOGS}


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


def heal(client: Client, publisher: Publisher, outbox: Outbox, settings: Settings, lease: Lease) -> int:
    """Makes the streams whole under a new epoch; gives the number of records added again.

    A crash in between is harmless: the stream still ends below what is known, so the next start heals the rest.
    Raises StreamForgot when no copy reaches as far as some sink, or copies contradict each other; LeaseLost, redis
    errors.
    """
    local = on_disk(settings)
    if not knows_nothing(outbox, local):
        _await_reports(client, lease)
    copies = with_cloud(settings, outbox, local, lease, must=True)
    plans = [_plan(client, publisher, outbox, copies[log], log, settings.stream_window) for log in LOGS]
    epoch, added = uuid4().hex, 0
    relearn_staff(client, plans[LOGS.index(CHANGES)].copy, lease.renew)
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
    if added:
        _log.warning("the Redis server had forgotten %d records; they were added again under their own ids", added)
    return added


def _await_reports(client: Client, lease: Lease) -> None:
    """Gives the consumers time to say how far they are: a server that lost everything lost that too."""
    until = time.monotonic() + REPORTS_SECONDS
    while time.monotonic() < until:
        reports = process_report.read(client, keys.SINKS)
        if len(reports) == len(keys.SINKS) and all(report.heads for report in reports.values()):
            return
        time.sleep(REPORTS_SECONDS / 30)
    lease.renew()


def _plan(client: Client, publisher: Publisher, outbox: Outbox, copies: Sequence[Copy], log: str, window: int) -> _Plan:
    last = publisher.last_id(log)
    copy, above = _sound(copies, log, last, window)
    head = copy.head[0] if copy else ZERO
    with outbox.lock:
        kept = [item for _, item in outbox.kept.values() if item.log == log and event_id.is_above(item.event_id, head)]
        floor, published = outbox.floor[log], outbox.published[log]
    reach = event_id.latest(last, head, *(item.event_id for item in kept))
    hole = event_id.is_above(published, reach) or (kept and event_id.is_above(floor, event_id.latest(head, last)))
    reports = process_report.read(client, keys.SINKS)
    ahead = [name for name, report in reports.items() if event_id.is_above(report.heads.get(log, ZERO), reach)]
    if hole or ahead:
        who = f"the {' and the '.join(ahead)} sink reaches further" if ahead else f"records after {head} are gone"
        raise StreamForgot(
            f"the Redis server has forgotten the {log} log, and no copy that this process can read gives it back "
            f"whole: {who}. Nothing is published until that copy is put back here, or one of them from a backup"
        )
    if copy is not None:
        _agree(copy, copies, log)
    kept.sort(key=lambda item: event_id.parse(item.event_id))
    return _Plan(log, copy, above, [item for item in kept if event_id.is_above(item.event_id, last)], above != last)


def _sound(copies: Sequence[Copy], log: str, last: str, window: int) -> tuple[Copy | None, str]:
    """The copy that reaches furthest and has no fault in what the stream is to be given back, and above which id."""
    for copy in sorted(copies, key=lambda copy: event_id.parse(copy.head[0]), reverse=True):
        try:
            above = event_id.latest(last, copy.before_newest(window))
            # From the first of them on: what comes before may be an entry that is in no copy, a dead letter.
            for first in itertools.islice(copy.after(above), 1):
                for _ in finding.checked(copy, log, (first["event_id"], first["hash"])):
                    pass
        except (PermanentError, SinkUnavailable, NewerVersion) as error:
            _log.error("the %s copy of the %s log is passed over: %s", copy.sink, log, error)
            continue
        return copy, above
    return None, last


def _agree(longest: Copy, copies: Sequence[Copy], log: str) -> None:
    """Raises StreamForgot where a shorter copy is not a beginning of the longest one."""
    for copy in copies:
        if copy is longest or copy.head[0] == ZERO:
            continue
        same = longest.at(copy.head[0])
        if same is None or same["hash"] != copy.head[1]:
            raise StreamForgot(
                f"the Redis server has forgotten the {log} log, and its {copy.sink} and {longest.sink} copies "
                f"contradict each other at {copy.head[0]}: one of them was changed. Nothing is published until the "
                "wrong one is moved aside; `invitelog verify` tells which"
            )


def relearn_staff(client: Client, copy: Copy | None, renew: Callable[[], None]) -> None:
    """Fills the staff look-up hashes again, from the changes in the longest copy and those after it in the stream.

    In that order: a copy may lag behind the stream, and must not put an older name over a later one. `renew` keeps the
    lease meanwhile. Raises redis errors.
    """
    records = itertools.chain(
        copy.after(ZERO) if copy else (), _published_after(client, copy.head[0] if copy else ZERO)
    )
    while batch := list(itertools.islice(records, MAX_BATCH)):
        renew()
        with client.pipeline() as pipeline:
            for record in batch:
                _relearn(client, pipeline, record)
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


def _relearn(client: Client, pipeline: Pipeline, record: Record) -> None:
    which, field, value = look_up(CHANGES, record)
    if which == "erased":
        pipeline.hset(keys.ERASED, field, record["event_id"])
        pipeline.execute()  # what came before it is there, and loses the name
        forget_staff_name(client, field)
    elif which:
        pipeline.hset(keys.STAFF if which == "staff" else keys.CODES, field, value)
