"""Healing the streams of a server that forgot: what it no longer has is added again, under the original ids.

The records come from the producer's outbox and from the JSON log beside it. The order cannot fork: every sink holds a
prefix of it, and the ids are the old ones.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.client import Pipeline

from joins import event_id, keys
from joins.array_reader import ArrayReader
from joins.chain import Record
from joins.errors import InvalidRecord, NewerVersion
from joins.groups import Entry
from joins.log_files import json_path
from joins.publish import MAX_BATCH, Publisher, Sequenced, look_up
from joins.records import CHANGES, LOGS
from joins.redis_url import Client
from joins.scripts import text
from producer.outbox import Outbox

_log = logging.getLogger("producer.healing")


def last_known(outbox: Outbox, folder: Path, log: str) -> str:
    """The highest id that was surely published: what the outbox and the JSON log say."""
    return event_id.latest(outbox.published[log], *(record["event_id"] for record in _newest(folder, log)))


def heal(publisher: Publisher, outbox: Outbox, folder: Path, lease: str) -> int:
    """Makes the streams whole under a new epoch; gives the number of records added again. Raises redis errors.

    A crash in between is harmless: the stream still ends below what is known, so the next start heals the rest.
    """
    epoch = uuid4().hex
    publisher.begin_epoch(epoch)
    outbox.set_epoch(epoch)
    added = 0
    for log in LOGS:
        missing = _missing(outbox, folder, log, publisher.last_id(log))
        for start in range(0, len(missing), MAX_BATCH):
            publisher.publish(log, missing[start : start + MAX_BATCH], epoch, lease, event_id.ZERO)
        added += len(missing)
    if added:
        _log.warning("the Redis server had forgotten %d records; they were added again under their own ids", added)
    return added


def relearn_staff(client: Client, folder: Path) -> None:
    """Fills the staff look-up hashes again, from the changes in the JSON log and those after it in the stream.

    In that order: the log may lag behind the stream, and must not put an older name over a later one. Raises redis
    errors.
    """
    last = event_id.ZERO
    with client.pipeline() as pipeline:
        with contextlib.suppress(FileNotFoundError), ArrayReader(json_path(folder, CHANGES)) as reader:
            for record in reader:
                last = record["event_id"]
                _relearn(pipeline, record)
        untyped: Any = client  # redis-py's types allow for replies that this client never gives
        while entries := untyped.xrange(keys.stream(CHANGES), f"({last}", count=MAX_BATCH):
            for name, fields in entries:
                last = text(name)
                with contextlib.suppress(InvalidRecord, NewerVersion):
                    _relearn(pipeline, Entry(CHANGES, last, fields).record())
        pipeline.execute()


def _relearn(pipeline: Pipeline, record: Record) -> None:
    which, field, value = look_up(CHANGES, record)
    if which:
        pipeline.hset(keys.STAFF if which == "staff" else keys.CODES, field, value)


def _missing(outbox: Outbox, folder: Path, log: str, last: str) -> list[Sequenced]:
    found = {}
    try:
        with ArrayReader(json_path(folder, log)) as reader:
            for record in reader.backward():
                if not event_id.is_above(record["event_id"], last):
                    break
                bare = {key: value for key, value in record.items() if key not in ("event_id", "hash")}
                found[record["event_id"]] = Sequenced(log, record["event_id"], bare)
    except FileNotFoundError:
        pass
    for _, kept in outbox.kept.values():
        if kept.log == log and event_id.is_above(kept.event_id, last):
            found.setdefault(kept.event_id, kept)
    return sorted(found.values(), key=lambda item: event_id.parse(item.event_id))


def _newest(folder: Path, log: str) -> Iterator[Record]:
    try:
        with ArrayReader(json_path(folder, log)) as reader:
            if (record := reader.last()) is not None:
                yield record
    except FileNotFoundError:
        return
