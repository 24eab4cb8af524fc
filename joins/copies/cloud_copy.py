"""The cloud backup as a copy: its objects are found by their positions, and read one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from joins import event_id
from joins.chain import Record
from joins.cloud import generations, merges, segments
from joins.cloud.bucket import Bucket
from joins.cloud.segments import Segment
from joins.copies.copy import reading
from joins.errors import NoBucket
from joins.event_id import ZERO
from joins.json_format import from_line
from joins.tail import empty_head


class CloudCopy:
    """One log in a bucket."""

    sink = "cloud"

    def __init__(self, bucket: Bucket, log: str) -> None:
        self._bucket, self._log = bucket, log
        self._names = merges.split(bucket, log, generations.current(bucket))[0]
        self.head = self._read(len(self._names) - 1).head if self._names else empty_head(log)

    def count(self) -> int:
        """See Copy."""
        return self._read(len(self._names) - 1).end if self._names else 0

    def before_newest(self, count: int) -> str:
        """See Copy."""
        left = count
        for index in range(len(self._names) - 1, -1, -1):
            segment = self._read(index)
            if segment.records > left:
                return str(self._records(segment)[segment.records - left - 1]["event_id"])
            left -= segment.records
        return ZERO

    def at(self, event: str) -> Record | None:
        """See Copy."""
        index = self._holding(event)
        found = self._records(self._read(index)) if index < len(self._names) else []
        return next((record for record in found if record["event_id"] == event), None)

    def after(self, event: str) -> Iterator[Record]:
        """See Copy."""
        for index in range(self._holding(event), len(self._names)):
            for record in self._records(self._read(index)):
                if event_id.is_above(record["event_id"], event):
                    yield record

    def _holding(self, event: str) -> int:
        """Which object holds the record with that event id, or else begins above it."""
        low, high = 0, len(self._names)
        while low < high:
            middle = (low + high) // 2
            if event_id.is_above(event, self._read(middle).last):
                low = middle + 1
            else:
                high = middle
        return low

    def _read(self, index: int) -> Segment:
        return segments.read(self._bucket, self._names[index])

    def _records(self, segment: Segment) -> list[Record]:
        with reading(segment.name):
            return [from_line(self._log, line) for line in segment.lines]


def cloud_copy(url: str, log: str) -> CloudCopy | None:
    """The log in the bucket at `url`; None when there is none yet. Raises SinkUnavailable, LogDamaged."""
    try:
        copy = CloudCopy(Bucket(url), log)
    except NoBucket:
        return None
    return copy if copy.head != empty_head(log) else None
