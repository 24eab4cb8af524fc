"""The copies of a log on this disk that can give back what a server forgot: the JSON log and the database.

One that cannot be read is no copy: it is passed over with a log line, and its own sink complains of it.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from joins import columns, event_id, schema
from joins.array_reader import ArrayReader
from joins.chain import Record
from joins.errors import InvalidRecord
from joins.event_id import ZERO
from joins.log_files import database_path, json_path

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, sqlite3.Error, InvalidRecord)
_log = logging.getLogger("producer.copies")


class Copy(Protocol):
    """One copy of one log. Reading what was changed by hand raises one of `_UNREADABLE`."""

    head: str  # event id of the last record

    def before_newest(self, count: int) -> str:
        """The event id above which at most `count` records lie."""

    def after(self, event: str) -> Iterator[Record]:
        """The records above an event id, in order, one at a time."""


def longest(folder: Path, log: str) -> Copy | None:
    """The copy on this disk that reaches furthest, or None when there is none."""
    found: list[Copy] = []
    for kind in (_Json, _Database):
        try:
            found.append(kind(folder, log))
        except FileNotFoundError:
            continue
        except _UNREADABLE as error:
            _log.warning("the %s copy of the %s log cannot be read and is passed over: %s", kind.name, log, error)
    return max(found, key=lambda copy: event_id.parse(copy.head), default=None)


class _Json:
    name = "JSON"

    def __init__(self, folder: Path, log: str) -> None:
        self._path = json_path(folder, log)
        with ArrayReader(self._path) as reader:
            last = reader.last()
        self.head = ZERO if last is None else str(last["event_id"])
        event_id.parse(self.head)

    def before_newest(self, count: int) -> str:
        with ArrayReader(self._path) as reader:
            for number, record in enumerate(reader.backward()):
                if number == count:
                    return str(record["event_id"])
        return ZERO

    def after(self, event: str) -> Iterator[Record]:
        with ArrayReader(self._path) as reader:
            yield from reader.after(event)


class _Database:
    name = "database"

    def __init__(self, folder: Path, log: str) -> None:
        self._path, self._log = database_path(folder), log
        if not self._path.exists():
            raise FileNotFoundError(self._path)
        self.head = self._one("select event_id from heads where log = ?", log)

    def before_newest(self, count: int) -> str:
        return self._one(f"select event_id from {self._log} order by position desc limit 1 offset ?", count)

    def after(self, event: str) -> Iterator[Record]:
        names = ", ".join(columns.COLUMNS[self._log])
        query = f"select {names}, extra from {self._log} where position > ? order by position"
        with contextlib.closing(schema.open_for_reading(self._path)) as database:
            for *values, extra in database.execute(query, [schema.position(event)]):
                yield columns.join(self._log, values, extra)

    def _one(self, query: str, value: str | int) -> str:
        with contextlib.closing(schema.open_for_reading(self._path)) as database:
            row = database.execute(query, [value]).fetchone()
        return ZERO if row is None else str(row[0])
