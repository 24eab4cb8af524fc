"""The JSON log and the CSV log as copies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joins.chain import Record
from joins.copies.copy import reading
from joins.event_id import ZERO
from joins.form import Form
from joins.records import normal
from joins.tail import empty_head
from joins.whole_log import WholeLog, is_there


class FileCopy:
    """One log in files, archives included."""

    def __init__(self, folder: Path, form: Form) -> None:
        self.sink, self._folder, self._form = form.sink, folder, form
        self.head = empty_head(form.log)
        with self._opened() as whole:
            if (last := whole.last()) is not None:
                last = normal(form.log, last)
                self.head = (last["event_id"], last["hash"])

    def count(self) -> int:
        """See Copy."""
        with self._opened() as reader:
            return reader.count()

    def before_newest(self, count: int) -> str:
        """See Copy."""
        with self._opened() as reader:
            for number, record in enumerate(reader.backward()):
                if number == count:
                    return str(record["event_id"])
        return ZERO

    def at(self, event: str) -> Record | None:
        """See Copy."""
        with self._opened() as reader:
            record = reader.at(event)
            return None if record is None else normal(self._form.log, record)

    def after(self, event: str) -> Iterator[Record]:
        """See Copy."""
        with self._opened() as reader:
            for record in reader.after(event):
                yield normal(self._form.log, record)

    @contextmanager
    def _opened(self) -> Iterator[WholeLog]:
        with reading(str(self._form.path(self._folder))), WholeLog(self._folder, self._form) as whole:
            yield whole


def file_copy(folder: Path, form: Form) -> FileCopy | None:
    """A log's copy in a folder; None when there is neither file nor archive."""
    with reading(str(form.path(folder))):
        there = is_there(folder, form)
    return FileCopy(folder, form) if there else None
