"""Merges small objects of the cloud backup, one merge at a time, while the consumer has nothing else to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from joins.chain import Record
from joins.cloud import merges, segments
from joins.cloud.bucket import Bucket
from joins.cloud.merges import Range
from joins.cloud.segments import Segment
from joins.errors import LogDamaged
from joins.json_format import from_line
from joins.records import LOGS

EVERY = 600.0  # seconds between two looks when nothing was merged
GRACE = 3600.0  # seconds that a superseded object stays for those who listed it before
REMOVED = 200  # superseded objects that are removed at one look
_log = logging.getLogger("consumers.merging")


class Merging:
    """For one generation of a backup. Nothing is merged before the first EVERY is over."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._next = time.monotonic() + EVERY
        self._refused = False
        self._superseded: dict[str, float] = {}  # object -> when it was first seen to be superseded

    def look(self, go_on: Callable[[], bool]) -> None:
        """Merges once where it is due. Raises SinkUnavailable, LogDamaged."""
        if time.monotonic() < self._next:
            return
        more = [merge(self._bucket, log, self._prefix, go_on) for log in LOGS]
        self._next = time.monotonic() + (0.0 if any(more) else EVERY)
        for log in LOGS:
            self._remove(log, go_on)

    def _remove(self, log: str, go_on: Callable[[], bool]) -> None:
        now, superseded = time.monotonic(), merges.split(self._bucket, log, self._prefix)[1]
        seen = {name: self._superseded.setdefault(name, now) for name in superseded}
        for name in [name for name in superseded if now - seen[name] >= GRACE][:REMOVED]:
            if self._refused or not go_on():
                return
            if not self._bucket.delete(name):
                _log.info("%s keeps objects that were merged into larger ones, such as %s", self._bucket.shown, name)
                self._refused = True
            self._superseded.pop(name)


def merge(bucket: Bucket, log: str, prefix: str, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Makes the next merge that is due, reads it back, and declares it; whether there was one.

    A crash between any two steps leaves every record in one object that counts, and the next call makes the same merge.
    Raises SinkUnavailable, and LogDamaged where an object does not continue the one before it.
    """
    live = merges.split(bucket, log, prefix)[0]
    names = merges.due(live)
    read: list[Segment] = []
    for name in names:
        if not go_on():
            return False
        segment = segments.read(bucket, name)
        if read and (segment.position, segment.previous_hash) != (read[-1].end, read[-1].hash):
            raise LogDamaged(f"{segment.name} does not continue the object before it, so it is not merged")
        read.append(segment)
    if not read:
        return False
    whole = Range(read[0].position, read[-1].end)
    target = merges.object_name(log, whole, prefix)
    records: list[Record] = [from_line(log, line) for segment in read for line in segment.lines]
    index = live.index(names[0])
    data = segments.encode(log, whole.position, live[index - 1] if index else None, read[0].previous_hash, records)
    if not bucket.create(target, data):
        bucket.replace(target, data)  # of a try that was given up; it does not count yet, and names may be gone since
    made = segments.read(bucket, target)
    if (made.position, made.end, made.previous_hash, made.hash, made.lines) != (
        whole.position, whole.end, read[0].previous_hash, read[-1].hash,
        tuple(line for segment in read for line in segment.lines),
    ):  # fmt: skip
        raise LogDamaged(f"{made.name} is not what was written there, so it does not count")
    bucket.create(merges.manifest_name(log, whole, prefix), merges.manifest(made, names))
    _log.info("%d objects of the %s log were merged into %s", len(names), log, target)
    return True
