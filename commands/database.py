"""The SQLite database, read only, while another process writes it. Knows no Discord."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from commands.refusals import NoDatabase
from joins import schema
from joins.chain import Record
from joins.columns import COLUMNS
from joins.event_id import ZERO
from joins.log_files import database_path


class Database:
    """A connection of its own, for the thread that opened it. Use as a context manager.

    Every method raises NoDatabase when there is no database, or it is damaged, empty or not of our making.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the database of a log folder."""
        self._path = database_path(folder)
        try:
            self._connection = schema.open_for_reading(self._path)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def one_moment(self) -> None:
        """Makes all further queries see the database as it is now, until it is closed."""
        self.rows("begin")

    def head(self, log: str) -> str:
        """The event id of the last record of `log` that the database holds."""
        row = self.row("select event_id from heads where log = ?", log)
        return ZERO if row is None else str(row["event_id"])

    def records(self, log: str, where: str, *values: Any) -> list[Record]:
        """The records of a log whose row `r` fulfils `where`, as the rows hold them: not checked, nulls included."""
        columns = ", ".join(f"r.{column}" for column in COLUMNS[log])
        rows = self.rows(f"select {columns}, r.extra from {log} r {where}", *values)
        try:
            return [{**dict(zip(COLUMNS[log], row, strict=False)), **json.loads(row["extra"])} for row in rows]
        except (ValueError, TypeError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> NoDatabase:
        return NoDatabase(
            f"The database {self._path.name} cannot be read ({error}). It is written by the sqlite consumer and can be "
            "rebuilt from the logs at any time; nothing is lost."
        )
