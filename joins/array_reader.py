"""Reading a log's JSON array without reading it whole: by event id, backward by an id, or forward line by line.

Bytes before the last record's end never change, so a reader holds the shared lock only while it finds that end.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from joins import event_id
from joins.array_file import BLANK, OPEN, parse_line
from joins.chain import Record
from joins.durable import file_lock
from joins.json_format import to_line
from joins.tail import end_of_data


class ArrayReader:
    """A view of the array as it was when opened. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens the log. Raises FileNotFoundError when there is none yet."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with file_lock(self._descriptor, exclusive=False):
                self._end = _end_of_records(self._descriptor)
            empty = os.fstat(self._descriptor).st_size == 0  # which cannot be mapped, and holds no record
            self._map = mmap.mmap(-1, 1) if empty else mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._map.close()
        os.close(self._descriptor)

    def __iter__(self) -> Iterator[Record]:
        """Every record, oldest first."""
        return self.after(event_id.ZERO)

    def backward(self) -> Iterator[Record]:
        """Every record, newest first."""
        position = self._end
        while position > len(OPEN):
            start, stop = self._line_at(position - 1)
            yield parse_line(self._map[start:stop].removesuffix(b","))
            position = start - 1

    def last(self) -> Record | None:
        """The newest record, or None."""
        return next(self.backward(), None)

    def after(self, wanted: str) -> Iterator[Record]:
        """The records above the event id `wanted`, oldest first."""
        position = self._search(wanted)[0]
        while position < self._end:
            start, stop = self._line_at(position)
            yield parse_line(self._map[start:stop].removesuffix(b","))
            position = stop + 1

    def with_text(self, key: str, value: str) -> Iterator[Record]:
        """The records whose `key` is the text `value`, newest first, found by a backward search for the bytes."""
        needle = needle_of(key, value)
        position = self._end
        while (found := self._map.rfind(needle, len(OPEN), position)) >= 0:
            start, stop = self._line_at(found)
            record = parse_line(self._map[start:stop].removesuffix(b","))
            # The same bytes may stand in a nested object; the record's own key decides.
            if record.get(key) == value:
                yield record
            position = start

    def at(self, wanted: str) -> Record | None:
        """The record with the event id `wanted`, by binary search; None when the log has it not."""
        return self._search(wanted)[1]

    def _search(self, wanted: str) -> tuple[int, Record | None]:
        """Where the records above `wanted` begin, and the record itself."""
        low, high = len(OPEN), self._end
        while low < high:
            start, stop = self._line_at((low + high) // 2)
            record = parse_line(self._map[start:stop].removesuffix(b","))
            if record["event_id"] == wanted:
                return stop + 1, record
            if event_id.is_above(record["event_id"], wanted):
                high = start
            else:
                low = stop + 1
        return low, None

    def _line_at(self, position: int) -> tuple[int, int]:
        start = self._map.rfind(b"\n", 0, position) + 1
        stop = self._map.find(b"\n", position, self._end)
        return start, self._end if stop < 0 else stop


def needle_of(key: str, value: str) -> bytes:
    """The bytes by which `key` with the text `value` stands in a line."""
    return to_line({key: value})[1:-1]


def _end_of_records(descriptor: int) -> int:
    """The offset just after the last record; just after the opening line when there is none."""
    return max(end_of_data(descriptor, BLANK + b"]"), len(OPEN))
