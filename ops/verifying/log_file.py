"""The JSON log and the CSV log to the verifier: read once from front to end, in flat memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from joins import durable, event_id
from joins.array_file import BLANK, CLOSE, OPEN
from joins.array_file import own_line as own_object
from joins.chain import Record
from joins.csv_file import own_line as own_row
from joins.csv_format import header
from joins.erasure import KIND, Erasure, erasure_of
from joins.errors import InvalidRecord, LogDamaged, NewerVersion, SinkUnavailable
from joins.event_id import ZERO
from joins.log_files import csv_path, json_path
from joins.records import CHANGES
from joins.tail import MAX_WRITE_BYTES, end_of_data
from ops.verifying.finding import Flaw
from ops.verifying.source import Line

_STEP = 1 << 20  # bytes read at once
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, InvalidRecord)


class LogFile:
    """One of the two; `begin` is what the file begins with, `parse` reads a record's line."""

    def __init__(
        self,
        sink: str,
        log: str,
        path: Path,
        begin: bytes,
        parse: Callable[[bytes], Record],
        end_of: Callable[[int], int],
        separator: bytes,
    ) -> None:
        self.sink, self.log, self.shown = sink, log, str(path)
        self._begin, self._parse, self._separator = begin, parse, separator
        try:
            self._descriptor = durable.open_file(path, os.O_RDONLY)
        except OSError as error:
            raise SinkUnavailable(f"{path} cannot be read: {error.strerror}") from error
        with durable.file_lock(self._descriptor, exclusive=False):
            # A writer changes nothing before this end, and what follows it only under its own lock.
            self._end = max(end_of(self._descriptor), 0)
            size = os.fstat(self._descriptor).st_size
            self._rest = os.pread(self._descriptor, size - self._end, self._end)
        self.head = self._last()

    def lines(self) -> Iterator[Line]:
        """See Source."""
        if os.pread(self._descriptor, len(self._begin), 0) != self._begin:
            raise Flaw(f"{self.shown}, line 1", "the file does not begin as a log of this program does")
        position, count, unended, where = len(self._begin), 0, "", ""
        for number, line in enumerate(self._raw(), start=2):
            where, position, count = f"{self.shown}, line {number}", position + len(line) + 1, count + 1
            last = position > self._end
            if self._separator and line.startswith(CLOSE[1:]):
                raise Flaw(where, "the array does not end as this program writes it", torn=last)
            if unended:
                raise Flaw(unended, f"the record does not end in '{self._separator.decode()}'")
            try:
                yield Line(where, self._read(line))
            except ValueError as error:
                raise Flaw(where, f"this is no line of this program ({error})", torn=last) from error
            except LogDamaged as error:
                raise Flaw(where, str(error), self._at_all(line)) from error
            unended = where if not line.endswith(self._separator) else ""
        if self._separator and count and not unended:
            raise Flaw(where, "the last record ends in the sign that another one follows")
        self._check_rest(f"{self.shown}, line {count + 2}", count)

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """See Source."""
        return iter(())

    def orders(self) -> Iterator[Erasure]:
        """See Source."""
        for line in self._raw():
            if self.log == CHANGES and KIND.encode() in line:
                record = self._at_all(line)
                if record is not None and (erasure := erasure_of(record)) is not None:
                    yield erasure

    def holds(self, event: str) -> bool:
        """See Source."""
        return any(event.encode() in line for line in self._raw())

    def close(self) -> None:
        """See Source."""
        os.close(self._descriptor)

    def _read(self, line: bytes) -> Record:
        try:
            return self._parse(line.removesuffix(self._separator))
        except NewerVersion as error:
            raise SinkUnavailable(f"{self.shown}: {error}") from error
        except _UNREADABLE as error:
            raise ValueError(str(error)) from error

    def _at_all(self, line: bytes) -> Record | None:
        """What can be made of a line, however it is written."""
        try:
            return self._parse(line.removesuffix(self._separator))
        except (*_UNREADABLE, LogDamaged, NewerVersion):
            return None

    def _check_rest(self, where: str, count: int) -> None:
        if self._separator:  # the array closes, and spaces are allocated after it
            close = CLOSE if count else CLOSE[1:]
            if not self._rest.startswith(close) or self._rest[len(close) :].strip(b" "):
                raise Flaw(where, "the array does not end as this program writes it")
        elif self._rest:
            raise Flaw(where, "the last line has no end", torn=True)

    def _raw(self) -> Iterator[bytes]:
        """The lines between beginning and end, without their newlines."""
        position, held = len(self._begin), b""
        while position < self._end:
            data = os.pread(self._descriptor, min(_STEP, self._end - position), position)
            position += len(data)
            *whole, held = (held + data).split(b"\n")
            yield from whole
        if held:
            yield held

    def _last(self) -> str | None:
        if self._end <= len(self._begin):
            return ZERO
        start = max(len(self._begin), self._end - MAX_WRITE_BYTES)
        record = self._at_all(os.pread(self._descriptor, self._end - start, start).rstrip(b"\n").rpartition(b"\n")[2])
        try:
            event_id.parse(record["event_id"] if record is not None else "")
        except _UNREADABLE:
            return None
        return str(record["event_id"]) if record is not None else None


def json_file(folder: Path, log: str) -> LogFile | None:
    """The JSON log in a folder; None when there is none. Raises SinkUnavailable."""
    path = json_path(folder, log)
    if not path.exists():
        return None
    return LogFile("json", log, path, OPEN, own_object, lambda opened: end_of_data(opened, BLANK + b"]"), b",")


def csv_file(folder: Path, log: str) -> LogFile | None:
    """The CSV log in a folder; None when there is none. Raises SinkUnavailable."""
    path = csv_path(folder, log)
    if not path.exists():
        return None
    return LogFile("csv", log, path, header(log), lambda line: own_row(log, line), _after_newline, b"")


def _after_newline(descriptor: int) -> int:
    """The offset just after the last newline."""
    position = os.fstat(descriptor).st_size
    while position > 0:
        start = max(0, position - _STEP)
        found = os.pread(descriptor, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
