"""What the JSON log and the CSV log share: a writer a log, batches cut to the size a write may have, and archiving."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from consumers import archiving
from joins.chain import Record
from joins.durable import disk_errors, is_there
from joins.erasure import Erasure
from joins.errors import HeadMoved, Interrupted
from joins.form import Form
from joins.records import LOGS
from joins.scrubbing import scrub
from joins.tail import MAX_WRITE_BYTES, Head

LOOK_EVERY = 3600.0  # seconds between two looks whether a month is due for the archive
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
        folder: Path,
        form_of: Callable[[str], Form],
        open_writer: Callable[[Path, str, Head], Writer],
        encode: Callable[[str, Record], bytes],
        archive_after: int,
    ) -> None:
        """`archive_after`: after how many months a month goes to the archive; 0 for never."""
        self._folder, self._form_of, self._open, self._encode = folder, form_of, open_writer, encode
        self._archive_after, self._next_look = archive_after, 0.0
        self._writers: dict[str, Writer] = {}
        self._bases: dict[str, Head] = {}  # where each log's archives end
        try:
            for log in LOGS:
                self._open_log(log)
        except BaseException:
            self.close()
            raise

    def head(self, log: str) -> Head:
        """See Sink. Raises HeadMoved when the file was replaced under this process."""
        writer = self._writers.get(log)
        if writer is None:
            self._check_absent(log)
            return self._bases[log]
        writer.check_identity()
        return writer.head

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """See Sink."""
        if log not in self._writers:
            self._check_absent(log)
            self._writers[log] = self._open(self._path(log), log, self._bases[log])
        lines = [self._encode(log, record) for record in batch]
        for run in runs(lines, MAX_WRITE_BYTES - _MARGIN):
            last = batch[run[-1]]
            self._writers[log].append([lines[index] for index in run], (last["event_id"], last["hash"]))

    def erase(self, erasures: Sequence[Erasure], again: bool = False) -> list[str]:
        """See Sink. A file is replaced as a whole, which happens to old bytes only here and by archiving."""
        for log in LOGS:
            form = self._form_of(log)
            archiving.scrub(self._folder, form, erasures)
            if (writer := self._writers.get(log)) is not None:
                writer.check_identity()
                if scrub(self._path(log), form, erasures):
                    self._reopen(log)
        return []

    def rest(self, go_on: Callable[[], bool]) -> None:
        """Archives the next month of a log that is due, if any. Raises SinkUnavailable, LogDamaged, HeadMoved."""
        if self._archive_after and time.monotonic() >= self._next_look:
            with contextlib.suppress(Interrupted):
                more = [self.archive(log, self._archive_after, go_on) is not None for log in LOGS if go_on()]
                self._next_look = time.monotonic() + (0.0 if any(more) else LOOK_EVERY)

    def archive(self, log: str, after: int, go_on: Callable[[], bool] = lambda: True) -> str | None:
        """Moves the oldest month that is due `after` so many months to the archive; gives it, or None.

        The file is made shorter once no further month is due: until then its records are in both. Raises Interrupted
        when `go_on` says no, SinkUnavailable, LogDamaged, HeadMoved.
        """
        if (writer := self._writers.get(log)) is None:
            return None
        writer.check_identity()
        form = self._form_of(log)
        month = archiving.archive_next(self._folder, form, after, writer.head, go_on)
        if month is None and archiving.is_overlapping(self._folder, form):
            self._reopen(log)
        return month

    def close(self) -> None:
        """See Sink."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _open_log(self, log: str) -> None:
        """Opens the file where there is one, without what a crash, or an earlier file put back, left in both places."""
        path, form = self._path(log), self._form_of(log)
        archiving.sweep(self._folder, form)
        begins = archiving.begins(self._folder, form)
        self._bases[log] = begins.base
        with disk_errors(path):
            there = is_there(path)
        if not there:
            return
        writer = self._open(path, log, begins.before)
        if begins.overlaps:
            writer.close()
            archiving.cut(self._folder, form, writer.head)
            writer = self._open(path, log, begins.base)
        self._writers[log] = writer

    def _reopen(self, log: str) -> None:
        if (writer := self._writers.pop(log, None)) is not None:
            writer.close()
        self._open_log(log)

    def _path(self, log: str) -> Path:
        return self._form_of(log).path(self._folder)

    def _check_absent(self, log: str) -> None:
        path = self._path(log)
        with disk_errors(path):
            there = is_there(path)
        if there:
            raise HeadMoved(f"{path} was not there before: it was restored, or another program made it")


def runs(lines: Sequence[bytes], limit: int) -> list[range]:
    """Cuts encoded records into runs of at most `limit` bytes, separators included."""
    found, start, size = [], 0, 0
    for index, line in enumerate(lines):
        if index > start and size + len(line) + 2 > limit:
            found.append(range(start, index))
            start, size = index, 0
        size += len(line) + 2
    return [*found, range(start, len(lines))] if lines else []
