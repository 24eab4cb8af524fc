"""The database as a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from joins import columns, schema
from joins.chain import Record
from joins.copies.copy import reading
from joins.event_id import ZERO
from joins.log_files import database_path
from joins.tail import empty_head


class DatabaseCopy:
    """One log in the database."""

    sink = "sqlite"

    def __init__(self, path: Path, log: str) -> None:
        self._path, self._log = path, log
        self._columns = ", ".join(columns.COLUMNS[log])
        row = self._one("select event_id, hash from heads where log = ?", log)
        self.head = (str(row[0]), str(row[1])) if row else empty_head(log)

    def count(self) -> int:
        """See Copy."""
        row = self._one("select records from heads where log = ?", self._log)
        return int(row[0]) if row else 0

    def before_newest(self, count: int) -> str:
        """See Copy."""
        row = self._one(f"select event_id from {self._log} order by position desc limit 1 offset ?", count)
        return str(row[0]) if row else ZERO

    def at(self, event: str) -> Record | None:
        """See Copy."""
        return next(self._records("position = ?", schema.position(event)), None)

    def after(self, event: str) -> Iterator[Record]:
        """See Copy."""
        return self._records("position > ? order by position", schema.position(event))

    def _records(self, where: str, value: str) -> Iterator[Record]:
        query = f"select {self._columns}, extra from {self._log} where {where}"
        with reading(str(self._path)), contextlib.closing(schema.open_for_reading(self._path)) as database:
            for *values, extra in database.execute(query, [value]):
                yield columns.join(self._log, values, extra)

    def _one(self, query: str, value: str | int) -> Any:
        with reading(str(self._path)), contextlib.closing(schema.open_for_reading(self._path)) as database:
            return database.execute(query, [value]).fetchone()


def database_copy(folder: Path, log: str) -> DatabaseCopy | None:
    """The log in the folder's database; None when there is none."""
    path = database_path(folder)
    with reading(str(path)):
        there = path.exists()
    return DatabaseCopy(path, log) if there else None
