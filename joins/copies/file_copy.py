"""The JSON log and the CSV log as copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from joins.array_reader import ArrayReader
from joins.chain import Record
from joins.copies.copy import reading
from joins.csv_reader import CsvReader
from joins.event_id import ZERO
from joins.log_files import csv_path, json_path
from joins.log_reader import LogReader
from joins.records import normal
from joins.tail import empty_head


class FileCopy:
    """One log file."""

    def __init__(self, sink: str, log: str, path: Path, open_reader: Callable[[], LogReader]) -> None:
        self.sink = sink
        self._log, self._path, self._open = log, path, open_reader
        self.head = empty_head(log)
        with reading(str(path)), open_reader() as reader:
            if (last := reader.last()) is not None:
                last = normal(log, last)
                self.head = (last["event_id"], last["hash"])

    def count(self) -> int:
        """See Copy."""
        with reading(str(self._path)), self._open() as reader:
            return reader.count()

    def before_newest(self, count: int) -> str:
        """See Copy."""
        with reading(str(self._path)), self._open() as reader:
            for number, record in enumerate(reader.backward()):
                if number == count:
                    return str(record["event_id"])
        return ZERO

    def at(self, event: str) -> Record | None:
        """See Copy."""
        with reading(str(self._path)), self._open() as reader:
            record = reader.at(event)
            return None if record is None else normal(self._log, record)

    def after(self, event: str) -> Iterator[Record]:
        """See Copy."""
        with reading(str(self._path)), self._open() as reader:
            for record in reader.after(event):
                yield normal(self._log, record)


def json_copy(folder: Path, log: str) -> FileCopy | None:
    """The JSON log in a folder; None when there is none."""
    path = json_path(folder, log)
    return FileCopy("json", log, path, lambda: ArrayReader(path)) if path.exists() else None


def csv_copy(folder: Path, log: str) -> FileCopy | None:
    """The CSV log in a folder; None when there is none."""
    path = csv_path(folder, log)
    return FileCopy("csv", log, path, lambda: CsvReader(path, log)) if path.exists() else None
