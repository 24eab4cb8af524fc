"""A log as a whole: the archives of its closed months, and the file of the recent ones, as one to a reader.

A crash while months go to the archive leaves records in both; they are given once. A reader opens the file before it
looks for archives, so that what is moved meanwhile is in one of them.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from joins import archives, durable, event_id
from joins.archive import Archive
from joins.array_reader import needle_of
from joins.chain import Record
from joins.errors import InvalidRecord, LogDamaged
from joins.event_id import ZERO
from joins.form import Form
from joins.log_reader import LogReader
from joins.records import normal
from joins.tail import Head, empty_head

_TRIES = 5  # at a file that is replaced just while it is opened


class WholeLog:
    """A view of a log as it was when opened. Use as a context manager.

    Whatever gives a record raises LogDamaged, naming the place, where that is none, and NewerVersion.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        """Raises FileNotFoundError when there is neither a file nor an archive, LogDamaged, another OSError."""
        self._form, self.path = form, form.path(folder)
        self._stack = ExitStack()
        self._recent: LogReader | None = None
        self.archives: list[Archive] = []
        try:
            if not any(self._open(folder) for _ in range(_TRIES)):
                raise OSError(errno.EBUSY, "it was replaced while it was opened, again and again", str(self.path))
            if self._recent is None and not self.archives:
                raise FileNotFoundError(f"there is neither {self.path} nor an archive of it")
            self._check_seam()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Record]:
        """Every record, oldest first."""
        return self.after(ZERO)

    @property
    def base(self) -> Head:
        """Event id and hash of the last record in an archive; those of the log's beginning where there is none."""
        return self.archives[-1].index.head if self.archives else empty_head(self._form.log)

    def count(self) -> int:
        """How many records there are."""
        recent = self._recent.count(self._double) if self._recent else 0
        return sum(one.index.records for one in self.archives) + recent

    def backward(self) -> Iterator[Record]:
        """Every record, newest first."""
        recent = self._above_base(self._recent.backward()) if self._recent else iter(())
        return itertools.chain(recent, *(one.backward() for one in reversed(self.archives)))

    def last(self) -> Record | None:
        """The newest record, or None."""
        return next(self.backward(), None)

    def after(self, wanted: str) -> Iterator[Record]:
        """The records above the event id `wanted`, oldest first."""
        for one in self.archives:
            if event_id.is_above(one.index.head[0], wanted):
                yield from one.after(wanted)
        if self._recent:
            yield from self._recent.after(event_id.latest(wanted, self._double))

    def at(self, wanted: str) -> Record | None:
        """The record with the event id `wanted`; None when the log has it not."""
        if self.archives and not event_id.is_above(wanted, self.base[0]):
            found = next(self.after(event_id.before(wanted)), None)
            return found if found is not None and found["event_id"] == wanted else None
        return self._recent.at(wanted) if self._recent else None

    def containing(self, needle: bytes) -> Iterator[Record]:
        """The records in whose line these bytes stand, newest first."""
        recent = self._above_base(self._recent.containing(needle)) if self._recent else iter(())
        return itertools.chain(recent, *(one.containing(needle) for one in reversed(self.archives)))

    def with_text(self, key: str, value: str) -> Iterator[Record]:
        """The records of a JSON log whose `key` is the text `value`, newest first."""
        # The same bytes may stand in a nested object; the record's own key decides.
        return (record for record in self.containing(needle_of(key, value)) if record.get(key) == value)

    def lines(self) -> Iterator[bytes]:
        """Every record's line without what separates it from the next, oldest first; see Form."""
        for one in self.archives:
            yield from one.lines()
        if self._recent:
            yield from map(self._form.bare, self._recent.lines(self._double))

    def _open(self, folder: Path) -> bool:
        """Opens what there is; whether it was all still in its place at the end."""
        self._stack.close()
        self._recent, self.archives = None, []
        identity = _inode(self.path)
        try:
            if identity is not None:
                self._recent = self._stack.enter_context(self._form.reader(self.path))
            self.archives = archives.opened(folder, self._form)
        except FileNotFoundError:
            return False
        for one in self.archives:
            self._stack.callback(one.close)
        return _inode(self.path) == identity

    def _check_seam(self) -> None:
        """Sees that no archive is missing between the archives and the file. Raises LogDamaged."""
        if self.archives and self._first is not None and self._double == ZERO:
            try:
                first = normal(self._form.log, self._first)
            except (InvalidRecord, ValueError):
                return  # whoever wants that record is told
            archives.check_follows(self.base, first, self.path, self._form)

    def _above_base(self, records: Iterator[Record]) -> Iterator[Record]:
        """Of records that come newest first, those that are in no archive."""
        double = self._double
        if double == ZERO:
            return records
        return itertools.takewhile(lambda record: event_id.is_above(record["event_id"], double), records)

    @cached_property
    def _first(self) -> Record | None:
        """The file's first record, looked at only where there are archives; None where it has none to be read."""
        if not self.archives or self._recent is None:
            return None
        try:
            return next(iter(self._recent), None)
        except LogDamaged:
            return None  # whoever wants that record is told

    @cached_property
    def _double(self) -> str:
        """The event id up to which the file's records are in an archive too; `0-0`, as a rule, for none."""
        base = self.base[0]
        return ZERO if self._first is None or event_id.is_above(self._first["event_id"], base) else base


def is_there(folder: Path, form: Form) -> bool:
    """Whether there is a file or an archive of the log. Raises OSError where that cannot be seen."""
    return durable.is_there(form.path(folder)) or bool(archives.paths(folder, form))


def _inode(path: Path) -> tuple[int, int] | None:
    found = durable.identity(path)
    return found[:2] if found else None
