"""Records of the outbox that wait on disk alone: what memory should not hold while Redis is away for long.

A queue in one file, written at its end and read from its front. Memory keeps one number a record, a hash of its
identity, so that a second try of the same record is known. Each file has a number of its own: once all of it is read
and safe elsewhere it is removed, and the next has the next number, so that a place in one is never taken for one in
another.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from joins import durable
from joins.publish import Sequenced
from joins.records import identity
from producer.checked_lines import lines, of_record, read, to_record

_log = logging.getLogger("producer.outbox")
Place = tuple[int, int]  # number of the file, offset in bytes


class Overflow:
    """Methods that write raise SinkUnavailable when the disk says no, and change nothing then."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet: `open` does."""
        self._folder, self._descriptor = folder, -1
        self._number, self._front, self._end = 1, 0, 0
        self._hashes: set[int] = set()
        self._done: set[int] = set()  # offsets of records that an earlier start published or gave up
        self._closed = False
        self.count = 0  # records that wait and are in no memory

    @property
    def place(self) -> Place:
        """Up to where it is read."""
        return self._number, self._front

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._end

    @property
    def unread(self) -> bool:
        """Whether there is more to take, be it published before the last start."""
        return self._front < self._end

    @property
    def remembers(self) -> bool:
        """Whether some of that was published before the last start, or given up."""
        return bool(self._done)

    @property
    def exists(self) -> bool:
        """Whether there is a file, if only of records that were read."""
        return self._descriptor >= 0

    def open(self, safe: Place, waits: Callable[[Sequenced], bool]) -> None:
        """Takes up what an earlier start left; what lies before `safe` is not needed.

        `waits` is told of each record, and says whether it is yet to be published. What a crash tore at the end is cut:
        it had not been promised to anybody.
        """
        numbers = [int(path.stem.rpartition("-")[2]) for path in self._folder.glob("overflow-*.jsonl")]
        self._number = max(numbers, default=safe[0] + 1)
        if not numbers:
            return
        self._front = self._end = safe[1] if safe[0] == self._number else 0
        with self._path.open("rb") as file:
            file.seek(self._front)
            for line, item in read(file):
                if item is not None:
                    record = to_record(item)
                    if waits(record):
                        self._note(record)
                    else:
                        self._done.add(self._end)
                self._end += len(line)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(self._descriptor, self._end)

    def add(self, records: list[Sequenced]) -> None:
        """Puts records at the end; durable on return."""
        data = lines(map(of_record, records))
        with durable.disk_errors(self._path):
            if self._closed:
                raise OSError(errno.EBADF, "the outbox is closed")
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                durable.sync_folder(self._folder)
            # Always at the known end: what a failed write left behind is overwritten.
            durable.write_all(self._descriptor, data, self._end)
            os.fdatasync(self._descriptor)
        self._end += len(data)
        for record in records:
            self._note(record)

    def take(self, count: int) -> list[tuple[int, Sequenced]]:
        """The next records, each with the offset at which it stands; from now on they are the caller's."""
        taken: list[tuple[int, Sequenced]] = []
        before = self._front
        with durable.disk_errors(self._path), self._path.open("rb") as file:
            file.seek(self._front)
            for line, item in read(file):
                if self._front >= self._end or len(taken) == count:
                    break
                if item is None:
                    aside = durable.set_aside(self._path, line, "damaged")
                    _log.error("%s is damaged at byte %d; that line is kept in %s", self._path, self._front, aside)
                else:
                    taken.append((self._front, to_record(item)))
                self._front += len(line)
        self.count -= sum(offset not in self._done for offset, _ in taken)
        self._done.difference_update(offset for offset, _ in taken)
        if self._front in (before, self._end):
            self.count = 0
            self._hashes.clear()
            self._done.clear()
        return taken

    def find(self, key: str) -> Sequenced | None:
        """The record of that identity, if it waits here; the file is read only where it may."""
        if hash(key) not in self._hashes:
            return None
        return next((item for item in self.records() if identity(item.log, item.record) == key), None)

    def records(self) -> Iterator[Sequenced]:
        """All that wait here now, in order, one at a time, whatever is taken or added meanwhile."""
        if not self.count:
            return iter(())
        reading = self._records()
        next(reading)  # the file is open from here on
        return (record for record in reading if record is not None)

    def remove(self) -> None:
        """Removes the file, all of which was taken and is safe elsewhere."""
        with durable.disk_errors(self._path):
            self._path.unlink(missing_ok=True)
            durable.sync_folder(self._folder)
        os.close(self._descriptor)
        self._descriptor = -1
        self._number, self._front, self._end = self._number + 1, 0, 0

    def close(self) -> None:
        """Closes the file; nothing is added any more."""
        self._closed = True
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @property
    def _path(self) -> Path:
        return self._folder / f"overflow-{self._number}.jsonl"

    def _records(self) -> Iterator[Sequenced | None]:
        place, end = self._front, self._end
        with self._path.open("rb") as file:
            yield None
            file.seek(place)
            for line, item in read(file):
                if place >= end:
                    return
                yield to_record(item) if item is not None and place not in self._done else None
                place += len(line)

    def _note(self, record: Sequenced) -> None:
        self._hashes.add(hash(identity(record.log, record.record)))
        self.count += 1
