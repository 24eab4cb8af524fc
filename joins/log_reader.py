"""Reading a log file without reading it whole: by event id, backward, or forward line by line.

Each record is one line, in the order of event ids. Bytes before the last record's end never change, so a reader holds
the shared lock only while it finds that end.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from joins import event_id
from joins.chain import Record
from joins.durable import file_lock, open_file
from joins.errors import InvalidRecord, LogDamaged
from joins.tail import place

_STEP = 1 << 20  # bytes counted at once


class LogReader:
    """A view of the file as it was when opened. Use as a context manager.

    Whatever gives a record raises LogDamaged, naming the line, where that is none, and NewerVersion.
    """

    def __init__(self, path: Path, begin: int, end_of: Callable[[int], int], parse: Callable[[bytes], Record]) -> None:
        """The records' lines lie from the byte `begin` to the one that `end_of` tells of the open file.

        `parse` raises ValueError or InvalidRecord for a line that is no record. Raises FileNotFoundError when there is
        no file, another OSError when it cannot be opened.
        """
        self._path, self._begin, self._parse = path, begin, parse
        self._descriptor = open_file(path, os.O_RDONLY)
        try:
            with file_lock(self._descriptor, exclusive=False):
                self._end = max(end_of(self._descriptor), begin)
            # A file that ends before its first record cannot hold one; one of no bytes cannot even be mapped.
            short = os.fstat(self._descriptor).st_size < begin
            self._end = begin if short else self._end
            self._map = mmap.mmap(-1, 1) if short else mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
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

    def count(self, above: str = event_id.ZERO) -> int:
        """How many records there are above an event id: a pass over their bytes, none of which is looked into."""
        begin = self._begin if above == event_id.ZERO else self._search(above)[0]
        if self._end <= begin:
            return 0
        steps = range(begin, self._end, _STEP)
        return 1 + sum(self._map[start : min(start + _STEP, self._end)].count(b"\n") for start in steps)

    def backward(self) -> Iterator[Record]:
        """Every record, newest first."""
        position = self._end
        while position > self._begin:
            start, stop = self._line_at(position - 1)
            yield self._record(start, stop)
            position = start - 1

    def last(self) -> Record | None:
        """The newest record, or None."""
        return next(self.backward(), None)

    def after(self, wanted: str) -> Iterator[Record]:
        """The records above the event id `wanted`, oldest first."""
        position = self._search(wanted)[0]
        while position < self._end:
            start, stop = self._line_at(position)
            yield self._record(start, stop)
            position = stop + 1

    def at(self, wanted: str) -> Record | None:
        """The record with the event id `wanted`, by binary search; None when the log has it not."""
        return self._search(wanted)[1]

    def containing(self, needle: bytes) -> Iterator[Record]:
        """The records in whose line these bytes stand, newest first."""
        position = self._end
        while (found := self._map.rfind(needle, self._begin, position)) >= 0:
            start, stop = self._line_at(found)
            yield self._record(start, stop)
            position = start

    def lines(self, above: str = event_id.ZERO) -> Iterator[bytes]:
        """Every line of a record above an event id, without its newline, oldest first; see `parse`."""
        position = self._begin if above == event_id.ZERO else self._search(above)[0]
        while position < self._end:
            start, stop = self._line_at(position)
            yield self._map[start:stop]
            position = stop + 1

    def parse(self, line: bytes) -> Record:
        """The record in a line."""
        return self._parse(line)

    def _search(self, wanted: str) -> tuple[int, Record | None]:
        """Where the records above `wanted` begin, and the record itself."""
        low, high = self._begin, self._end
        while low < high:
            start, stop = self._line_at((low + high) // 2)
            record = self._record(start, stop)
            if record["event_id"] == wanted:
                return stop + 1, record
            if event_id.is_above(record["event_id"], wanted):
                high = start
            else:
                low = stop + 1
        return low, None

    def _record(self, start: int, stop: int) -> Record:
        try:
            record = self._parse(self._map[start:stop])
            event_id.parse(record["event_id"])
        except (InvalidRecord, ValueError, KeyError, AttributeError) as error:
            where = f"{self._path}, {place(self._descriptor, start)}"
            raise LogDamaged(f"{where}: no record of this program ({error})") from error
        return record

    def _line_at(self, position: int) -> tuple[int, int]:
        start = self._map.rfind(b"\n", 0, position) + 1
        stop = self._map.find(b"\n", position, self._end)
        return start, self._end if stop < 0 else stop
