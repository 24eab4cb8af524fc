"""The JSON log and the CSV log to the verifier: read once from front to end, in flat memory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from consumers.archiving import Begins, begins
from joins import archives, array_file, durable, event_id
from joins.archive import Archive
from joins.array_file import BLANK, CLOSE
from joins.chain import Record
from joins.copies.copy import reading
from joins.csv_file import parse_cells, read_end
from joins.erasure import KIND, Erasure, erasure_of
from joins.errors import InvalidRecord, LogDamaged, NewerVersion, SinkUnavailable
from joins.event_id import ZERO
from joins.form import Form, csv_form, json_form
from joins.records import CHANGES
from joins.tail import HOLES, MAX_WRITE_BYTES, Head, empty_head, end_of_data, line_of
from joins.whole_log import is_there
from ops.verifying import archived
from ops.verifying.finding import Flaw
from ops.verifying.source import Line
from ops.verifying.written import Written

LOCK_SECONDS = 10.0  # that a writer may hold the lock; a write takes milliseconds
_TRIES = 5  # at a file that is replaced just while it is opened
_STEP = 1 << 20  # bytes read at once
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, InvalidRecord)


@dataclass(frozen=True)
class Kind:
    """What tells the two forms apart to the verifier: how a line is read at all, and how a file ends."""

    read_loosely: Callable[[bytes], Record]
    end_of: Callable[[int], int]
    # good end, what follows it, where that is strange; given the head before the file's first record
    tear: Callable[[int, Path, Head | None], tuple[int, bytes, int] | None]
    form: Callable[[Written], bytes]
    loose: bool


class LogFile:
    """One of the two with its archives, as they were when opened."""

    def __init__(self, kind: Kind, form: Form, folder: Path) -> None:
        """Raises SinkUnavailable."""
        path = form.path(folder)
        self.sink, self.log, self.shown, self.loose = form.sink, form.log, str(path), kind.loose
        self.expected: Written | None = None
        self._kind, self._shape, self._begin, self._separator = kind, form, form.begin, form.between[:-1]
        self._end, self._rest = 0, b""
        self._torn: int | None = None
        self._descriptor: int | None = None
        self._archives: list[Archive] = []
        self._unreadable: Flaw | None = None  # why no archive beyond these could be opened
        try:
            if not any(self._open(folder, path, form) for _ in range(_TRIES)):
                raise OSError(errno.EBUSY, "it was replaced while it was opened, again and again")
            begins = _begins(folder, form) if self._archives else None
            self._double = begins.base[0] if begins is not None and begins.overlaps else ZERO
            if self._descriptor is not None:
                self._look_at_end(self._descriptor, path, begins.before if begins is not None else None)
            self.head = self._last()
        except OSError as error:
            self.close()
            raise SinkUnavailable(f"{path} cannot be read: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def lines(self) -> Iterator[Line]:
        """See Source."""
        before = empty_head(self.log)
        for one in self._archives:
            for where, line in archived.lines(one, self._shape, before):
                yield self._line(where, line)
            before = one.index.head
        if self._unreadable is not None:
            raise self._unreadable
        if self._descriptor is None:
            return
        if os.pread(self._descriptor, len(self._begin), 0) != self._begin:
            raise Flaw(f"{self.shown}, line 1", "the file does not begin as a log of this program does")
        count, unended, where = 0, "", ""
        for number, line in enumerate(self._raw(), start=2):
            where, count = f"{self.shown}, line {number}", count + 1
            if len(line) > MAX_WRITE_BYTES:
                raise Flaw(where, "the line is longer than any that this program writes")
            if self._separator and line.startswith(CLOSE[1:]):
                raise Flaw(where, "the array does not end as this program writes it")
            if unended:
                raise Flaw(unended, f"the record does not end in '{self._separator.decode()}'")
            found = self._line(where, line.removesuffix(self._separator))
            if not self._is_archived(found.record):  # else the sink's next start takes it out of the file
                yield found
            unended = where if not line.endswith(self._separator) else ""
        if self._torn is not None:
            raise Flaw(f"{self.shown}, line {self._torn}", "a write was torn here", torn=True)
        if self._separator and count and not unended:
            raise Flaw(where, "the last record ends in the sign that another one follows")
        self._check_rest(f"{self.shown}, line {count + 2}", count)

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """See Source."""
        return iter(())

    def orders(self) -> Iterator[Erasure]:
        """See Source."""
        for line in self._everything() if self.log == CHANGES else ():
            if KIND.encode() in line:
                record = self._at_all(line)
                if record is not None and (erasure := erasure_of(record)) is not None:
                    yield erasure

    def holds(self, event: str) -> bool:
        """See Source."""
        return any(event.encode() in line for line in self._everything())

    def close(self) -> None:
        """See Source."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        for one in self._archives:
            one.close()
        self._descriptor, self._archives = None, []

    def _open(self, folder: Path, path: Path, form: Form) -> bool:
        """Opens what there is; whether it was all still in its place at the end."""
        self.close()
        self._unreadable = None
        opened = None
        try:
            if durable.is_there(path):
                self._descriptor = durable.open_file(path, os.O_RDONLY)
                status = os.fstat(self._descriptor)
                opened = status.st_dev, status.st_ino
            for one in archives.paths(folder, form):
                self._archives.append(Archive(one, form))
        except FileNotFoundError:
            return False
        except LogDamaged as error:
            self._unreadable = Flaw(str(one), str(error))
        now = durable.identity(path)
        return (now and now[:2]) == opened

    def _look_at_end(self, descriptor: int, path: Path, before: Head | None) -> None:
        with _shared_lock(path, descriptor):
            # A writer changes nothing before this end, and what follows it only under its own lock.
            self._end = max(self._kind.end_of(descriptor), 0)
            size = os.fstat(descriptor).st_size
            self._rest = os.pread(descriptor, size - self._end, self._end)
            self._torn = self._tear(descriptor, path, before)

    def _line(self, where: str, bare: bytes) -> Line:
        """The record in a line, without its separator. Raises Flaw."""
        try:
            if self.expected is not None and bare == self._kind.form(self.expected):
                return Line(where, self.expected.record, proved=True)
            return Line(where, self._read(bare))
        except ValueError as error:
            raise Flaw(where, f"this is no line of this program ({error})") from error
        except LogDamaged as error:
            raise Flaw(where, str(error), self._at_all(bare)) from error

    def _is_archived(self, record: Record) -> bool:
        try:
            return self._double != ZERO and not event_id.is_above(record["event_id"], self._double)
        except _UNREADABLE:
            return False

    def _read(self, bare: bytes) -> Record:
        try:
            return self._shape.own(bare)
        except NewerVersion:
            return self._kind.read_loosely(bare)  # its hash tells whether it is one of a later version
        except _UNREADABLE as error:
            raise ValueError(str(error)) from error

    def _everything(self) -> Iterator[bytes]:
        """Every line that can be read."""
        for one in self._archives:
            with contextlib.suppress(LogDamaged):
                yield from one.lines()
        yield from self._raw()

    def _at_all(self, line: bytes) -> Record | None:
        """What can be made of a line, however it is written."""
        try:
            return self._kind.read_loosely(line.removesuffix(self._separator))
        except (*_UNREADABLE, LogDamaged, NewerVersion):
            return None

    def _check_rest(self, where: str, count: int) -> None:
        if self._separator:  # the array closes, and spaces are allocated after it
            close = CLOSE if count else CLOSE[1:]
            if not self._rest.startswith(close) or self._rest[len(close) :].strip(b" "):
                raise Flaw(where, "the array does not end as this program writes it")
        elif self._rest:
            raise Flaw(where, "the last line has no end")

    def _tear(self, descriptor: int, path: Path, before: Head | None) -> int | None:
        """The line in which a crash tore a write, where the sink's next start cuts that; records end before it then."""
        try:
            found = self._kind.tear(descriptor, path, before)
        except (LogDamaged, NewerVersion):
            return None
        if found is None or not self._is_tear(found[1]):
            return None
        end, _, strange = found
        self._end, self._rest = end, b""
        return line_of(descriptor, end + strange)

    def _is_tear(self, rest: bytes) -> bool:
        """Whether no whole record comes after what is unreadable: a write that was torn has none."""
        first, *others = rest.removeprefix(b",\n").split(b"\n")
        if any(hole in first for hole in HOLES):
            return True
        return not any("hash" in (self._at_all(line) or {}) for line in others)

    def _raw(self) -> Iterator[bytes]:
        """The lines between beginning and end, without their newlines; of one that is far too long, its beginning."""
        if self._descriptor is None:
            return
        position, held = len(self._begin), b""
        while position < self._end:
            data = os.pread(self._descriptor, min(_STEP, self._end - position), position)
            position += len(data)
            *whole, held = (held + data).split(b"\n")
            yield from whole
            if len(held) > MAX_WRITE_BYTES:
                yield held
                return
        if held:
            yield held

    def _last(self) -> str | None:
        if self._descriptor is None or self._end <= len(self._begin):
            return self._archives[-1].index.head[0] if self._archives and self._unreadable is None else ZERO
        start = max(len(self._begin), self._end - MAX_WRITE_BYTES)
        record = self._at_all(os.pread(self._descriptor, self._end - start, start).rstrip(b"\n").rpartition(b"\n")[2])
        try:
            event_id.parse(record["event_id"] if record is not None else "")
        except _UNREADABLE:
            return None
        return str(record["event_id"]) if record is not None else None


def json_file(folder: Path, log: str) -> LogFile | None:
    """The JSON log in a folder; None when there is none. Raises SinkUnavailable."""

    def tear(opened: int, path: Path, before: Head | None) -> tuple[int, bytes, int] | None:
        end = array_file.read_end(opened, path, log, before)
        whole = end.rest.rstrip(BLANK) == b"," + CLOSE  # a crash never leaves the bracket after a comma
        return (end.tail.end, end.rest, _strange(end.rest, end.close)) if end.torn and not whole else None

    kind = Kind(array_file.parse_line, _after_array, tear, lambda written: written.json, True)
    return _opened(kind, json_form(log), folder)


def csv_file(folder: Path, log: str) -> LogFile | None:
    """The CSV log in a folder; None when there is none. Raises SinkUnavailable."""

    def tear(opened: int, path: Path, before: Head | None) -> tuple[int, bytes, int] | None:
        tail, rest = read_end(opened, path, log, before)
        return (tail.end, rest, 0) if rest else None

    kind = Kind(lambda line: parse_cells(log, line), _after_newline, tear, lambda written: written.csv, False)
    return _opened(kind, csv_form(log), folder)


def _opened(kind: Kind, form: Form, folder: Path) -> LogFile | None:
    with reading(str(form.path(folder))):
        there = is_there(folder, form)
    return LogFile(kind, form, folder) if there else None


def _begins(folder: Path, form: Form) -> Begins | None:
    """Where the file begins; None where it and its archives do not fit together, which reading them tells."""
    try:
        return begins(folder, form)
    except (LogDamaged, NewerVersion):
        return None


def _after_array(descriptor: int) -> int:
    """The offset just after the last record of an array, or what stands in the place of one."""
    return end_of_data(descriptor, BLANK + b"]")


def _strange(rest: bytes, close: bytes) -> int:
    """Where in what follows the last good record of an array that begins which should not be there."""
    if rest.startswith(b",\n"):
        return 2
    if rest.startswith(close):
        return len(rest) - len(rest[len(close) :].lstrip(b" "))
    return next((n for n, (one, two) in enumerate(zip(rest, close, strict=False)) if one != two), len(rest))


@contextlib.contextmanager
def _shared_lock(path: Path, descriptor: int) -> Iterator[None]:
    """The lock under which a reader looks at the end of a file. Raises SinkUnavailable when a writer keeps it."""
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                raise SinkUnavailable(f"{path} cannot be read: another process keeps it locked") from None
            time.sleep(0.01)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


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
