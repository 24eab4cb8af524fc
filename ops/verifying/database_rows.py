"""The database to the verifier: its rows in order, its heads, and whether what is folded from the changes is right."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from joins import event_id, schema
from joins.chain import Record
from joins.columns import COLUMNS, join
from joins.copies.copy import reading
from joins.erasure import KIND, Erasure, erasure_of
from joins.errors import InvalidRecord, LogDamaged, NewerVersion, SinkUnavailable
from joins.event_id import ZERO
from joins.folding import TABLES, fold
from joins.log_files import database_path
from joins.records import CHANGES, JOINS
from ops.verifying.finding import DAMAGED, EDITED, Flaw
from ops.verifying.source import Line

_KEYS = {JOINS: "join_id", CHANGES: "change_id"}


class DatabaseRows:
    """One log in the database, in one read transaction, so at one moment."""

    sink = "sqlite"
    loose = False

    def __init__(self, path: Path, log: str) -> None:
        """Raises SinkUnavailable."""
        self.log, self.shown = log, f"{path}, table {log}"
        self._path = path
        self._select = f"select position, {', '.join(COLUMNS[log])}, extra from {log}"
        try:
            self._database = schema.open_for_reading(path)
            self._database.execute("begin")
            row = self._database.execute("select event_id from heads where log = ?", [log]).fetchone()
            self.head: str | None = str(row[0]) if row else ZERO
            event_id.parse(self.head)
        except sqlite3.OperationalError as error:
            raise SinkUnavailable(f"{path} cannot be read: {error}") from error
        except (sqlite3.DatabaseError, ValueError):
            self.head = None

    def lines(self) -> Iterator[Line]:
        """See Source."""
        count, last = 0, (ZERO, None)
        try:
            for row in self._database.execute(f"{self._select} order by position"):
                count += 1
                where, record = f"{self.shown}, row of position {row['position']}", self._record(row)
                if record is None or schema.row(self.log, record) != dict(row):
                    raise Flaw(where, "the row is not written as this program writes it", record)
                last = record["event_id"], record["hash"]
                yield Line(f"{self.shown}, {_KEYS[self.log]} {record.get(_KEYS[self.log])}", record)
            heads = self._database.execute("select event_id, hash, records from heads where log = ?", [self.log])
            head = heads.fetchone()
        except sqlite3.DatabaseError as error:
            raise Flaw(self.shown, f"the database is damaged: {error}") from error
        if count and (head is None or tuple(head) != (*last, count)):
            raise Flaw(f"{self._path}, table heads", f"the head of the {self.log} log is not its last row, of {count}")

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """See Source."""
        if self.log != CHANGES:
            return
        try:
            yield from self._checked()
        except sqlite3.DatabaseError as error:
            yield DAMAGED, f"{self._path} is damaged: {error}"

    def orders(self) -> Iterator[Erasure]:
        """See Source."""
        if self.log != CHANGES:
            return
        with contextlib.suppress(sqlite3.DatabaseError):
            for row in self._database.execute(f"{self._select} where change = ? order by position", [KIND]):
                record = self._record(row)
                if record is not None and (erasure := erasure_of(record)) is not None:
                    yield erasure

    def holds(self, event: str) -> bool:
        """See Source."""
        found = self._database.execute(f"select 1 from {self.log} where event_id = ?", [event])
        return found.fetchone() is not None

    def close(self) -> None:
        """See Source."""
        self._database.close()

    def _record(self, row: sqlite3.Row) -> Record | None:
        _, *values, extra = tuple(row)
        try:
            with reading(self.shown):
                return join(self.log, values, extra)
        except NewerVersion as error:
            raise SinkUnavailable(f"{self.shown}: {error}") from error
        except (LogDamaged, InvalidRecord):
            return None

    def _checked(self) -> Iterator[tuple[str, str]]:
        """The file as SQLite sees it, what was defined in it, and the folded tables."""
        for (sentence,) in self._database.execute("pragma integrity_check(3)"):
            if sentence != "ok":
                yield DAMAGED, f"{self._path} is damaged: {sentence}"
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as anew:  # "": a temporary file
            anew.row_factory = sqlite3.Row
            schema.migrations.apply(Database(anew))
            ours, theirs = _definitions(anew), _definitions(self._database)
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    yield EDITED, f"{self._path}: the definition of '{name}' is not this program's"
            kinds = self._database.execute(f"{self._select} where change != ? order by position", ["member_left"])
            anew.execute("begin")
            for row in kinds:
                if (change := self._record(row)) is not None:
                    fold(anew, change)
            for table, key in TABLES.items():
                yield from self._compared(anew, table, key)

    def _compared(self, anew: sqlite3.Connection, table: str, key: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """The first row of a folded table that is not what the changes make of it."""
        query = f"select * from {table} order by {', '.join(key)}"
        ours, theirs = anew.execute(query), self._database.execute(query)
        while True:
            one, other = ours.fetchone(), theirs.fetchone()
            if one is None and other is None:
                return
            if one is None or other is None or dict(one) != dict(other):
                found = min((row for row in (one, other) if row is not None), key=lambda row: [row[k] for k in key])
                which = ", ".join(f"{name} {found[name]}" for name in key)
                yield EDITED, f"{self._path}, table {table}, {which}: the row is not what the changes log makes of it"
                return


def _definitions(database: sqlite3.Connection) -> dict[str, Any]:
    rows = database.execute(
        "select name, sql from sqlite_master where sql is not null and name not like '\\_%' escape '\\'"
    )
    return {row["name"]: row["sql"] for row in rows}


def database_rows(folder: Path, log: str) -> DatabaseRows | None:
    """The log in the folder's database; None when there is none. Raises SinkUnavailable."""
    path = database_path(folder)
    return DatabaseRows(path, log) if path.exists() else None
