"""What the JSON log and the CSV log share: a writer a log, and batches cut to the size a write may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from joins.chain import Record
from joins.durable import disk_errors, is_there
from joins.erasure import Erasure
from joins.errors import HeadMoved
from joins.records import LOGS
from joins.tail import MAX_WRITE_BYTES, Head, empty_head

_MARGIN = 64  # bytes a write needs beyond its lines: brackets and separators


class Writer(Protocol):
    """An open log file: `joins.array_file.ArrayWriter` or `joins.csv_file.CsvWriter`."""

    @property
    def head(self) -> Head: ...
    def check_identity(self) -> None: ...
    def append(self, lines: list[bytes], head: Head) -> None: ...
    def close(self) -> None: ...


class FileLog:
    """Both logs as files. A file is made at its log's first record, not before."""

    def __init__(
        self,
        path_of: Callable[[str], Path],
        open_writer: Callable[[Path, str], Writer],
        encode: Callable[[str, Record], bytes],
        scrub: Callable[[Path, str, Sequence[Erasure]], bool],
    ) -> None:
        self._path_of, self._open, self._encode, self._scrub = path_of, open_writer, encode, scrub
        self._writers: dict[str, Writer] = {}
        try:
            for log in LOGS:
                with disk_errors(path_of(log)):
                    there = is_there(path_of(log))
                if there:
                    self._writers[log] = open_writer(path_of(log), log)
        except BaseException:
            self.close()
            raise

    def head(self, log: str) -> Head:
        """See Sink. Raises HeadMoved when the file was replaced under this process."""
        writer = self._writers.get(log)
        if writer is None:
            self._check_absent(log)
            return empty_head(log)
        writer.check_identity()
        return writer.head

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """See Sink."""
        if log not in self._writers:
            self._check_absent(log)
            self._writers[log] = self._open(self._path_of(log), log)
        lines = [self._encode(log, record) for record in batch]
        for run in runs(lines, MAX_WRITE_BYTES - _MARGIN):
            last = batch[run[-1]]
            self._writers[log].append([lines[index] for index in run], (last["event_id"], last["hash"]))

    def erase(self, erasures: Sequence[Erasure], again: bool = False) -> list[str]:
        """See Sink. The file is replaced as a whole, the one time that old bytes are touched."""
        for log, writer in list(self._writers.items()):
            writer.check_identity()
            if self._scrub(self._path_of(log), log, erasures):
                writer.close()
                self._writers[log] = self._open(self._path_of(log), log)
        return []

    def _check_absent(self, log: str) -> None:
        path = self._path_of(log)
        with disk_errors(path):
            there = is_there(path)
        if there:
            raise HeadMoved(f"{path} was not there before: it was restored, or another program made it")

    def close(self) -> None:
        """See Sink."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def runs(lines: Sequence[bytes], limit: int) -> list[range]:
    """Cuts encoded records into runs of at most `limit` bytes, separators included."""
    found, start, size = [], 0, 0
    for index, line in enumerate(lines):
        if index > start and size + len(line) + 2 > limit:
            found.append(range(start, index))
            start, size = index, 0
        size += len(line) + 2
    return [*found, range(start, len(lines))] if lines else []
