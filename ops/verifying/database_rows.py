"""The database to the verifier: its rows in order, its heads, and whether what is folded from the changes is right."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from joins import durable, event_id, schema
from joins.chain import Record
from joins.columns import COLUMNS, join, merged
from joins.copies.copy import reading
from joins.erasure import KIND, Erasure, erasure_of
from joins.errors import InvalidRecord, NewerVersion, SinkUnavailable
from joins.event_id import ZERO
from joins.folding import TABLES, fold
from joins.log_files import database_path
from joins.records import CHANGES, JOINS, VERSION
from ops.verifying import folds
from ops.verifying.finding import DAMAGED, EDITED, Flaw
from ops.verifying.folds import shown
from ops.verifying.source import Line
from ops.verifying.written import Written

ROWS = 1000  # read at once
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH)
_KEYS = {JOINS: "join_id", CHANGES: "change_id"}


class DatabaseRows:
    """One log in the database up to where it ends when opened.

    A thousand rows are read at a time: a long look would keep the write-ahead log from being emptied, and what was
    erased in it.
    """

    sink = "sqlite"
    loose = False

    def __init__(self, path: Path, log: str) -> None:
        """Raises SinkUnavailable."""
        self.log, self.shown = log, f"{path}, table {log}"
        self._path = path
        self._columns = f"position, {', '.join(COLUMNS[log])}, extra"
        self._head: tuple[Any, ...] = (None, None, None)
        self._last: Any = None
        self.head: str | None = None
        self.expected: Written | None = None
        self._database = _opened(path)
        try:
            with _readable(path):
                *head, self._last = self._database.execute(
                    "select (select event_id from heads where log = ?1), (select hash from heads where log = ?1), "
                    f"(select records from heads where log = ?1), (select max(position) from {log})",
                    [log],
                ).fetchone()
                self._head = tuple(head)
                self.head = ZERO if self._head[0] is None else str(self._head[0])
                event_id.parse(self.head)
        except (Flaw, ValueError):
            self.head = None  # its rows, when they are walked, say what is wrong
        except BaseException:
            self._database.close()
            raise

    def lines(self) -> Iterator[Line]:
        """See Source."""
        count, last = 0, (ZERO, None)
        for row in self._rows():
            count += 1
            expected = self.expected
            proved = expected is not None and dict(row) == expected.row
            record = expected.record if expected is not None and proved else self._record(row)
            if record is None or not (proved or self._is_ours(row, record)):
                where = f"{self.shown}, row of position {shown(row['position'])}"
                raise Flaw(where, "the row is not written as this program writes it", record)
            last = record["event_id"], record["hash"]
            yield Line(f"{self.shown}, {_KEYS[self.log]} {record.get(_KEYS[self.log])}", record, proved)
        if (count and self._head != (*last, count)) or (not count and self._head[0] is not None):
            raise Flaw(f"{self._path}, table heads", f"the head of the {self.log} log is not its last row, of {count}")

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """See Source."""
        if self.log != CHANGES:
            return
        try:
            with _readable(self._path):
                yield from self._checked()
        except Flaw as flaw:
            yield DAMAGED, f"{flaw.where}: {flaw.what}"

    def orders(self) -> Iterator[Erasure]:
        """See Source."""
        if self.log != CHANGES:
            return
        with contextlib.suppress(Flaw), _readable(self._path):
            query = f"select {self._columns} from changes where change = ? order by position"
            for row in self._database.execute(query, [KIND]).fetchall():
                record = self._record(row)
                if record is not None and (erasure := erasure_of(record)) is not None:
                    yield erasure

    def holds(self, event: str) -> bool:
        """See Source."""
        with contextlib.suppress(Flaw), _readable(self._path):
            found = self._database.execute(f"select 1 from {self.log} where event_id = ?", [event])
            return found.fetchone() is not None
        return False

    def close(self) -> None:
        """See Source."""
        self._database.close()

    def _rows(self) -> Iterator[sqlite3.Row]:
        query = (
            f"select {self._columns} from {self.log} where position > ? and position <= ? "
            f"order by position limit {ROWS}"
        )
        with _readable(self._path):
            self._database.execute("select 1 from heads").fetchone()  # a database that is none has no end either
        position: Any = ""
        while self._last is not None:
            with _readable(self._path):
                rows = self._database.execute(query, [position, self._last]).fetchall()
            yield from rows
            if len(rows) < ROWS:
                return
            position = rows[-1]["position"]

    def _record(self, row: sqlite3.Row) -> Record | None:
        _, *values, extra = tuple(row)
        try:
            return join(self.log, values, extra)
        except NewerVersion:
            return merged(self.log, values, extra)  # its hash tells whether it is one of a later version
        except (InvalidRecord, ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None

    def _is_ours(self, row: sqlite3.Row, record: Record) -> bool:
        if record.get("v") != VERSION:
            return True
        try:
            return schema.row(self.log, record) == dict(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            return False

    def _checked(self) -> Iterator[tuple[str, str]]:
        """The file as SQLite sees it, what was defined in it, and the folded tables."""
        for (sentence,) in self._database.execute("pragma integrity_check(3)").fetchall():
            if sentence != "ok":
                yield DAMAGED, f"{self._path} is damaged: {shown(sentence)}"
        with contextlib.closing(folds.empty()) as anew:
            ours, theirs = _definitions(anew), _definitions(self._database)
            for name in sorted(ours.keys() | theirs.keys()):
                if ours.get(name) != theirs.get(name):
                    yield EDITED, f"{self._path}: the definition of '{shown(name)}' is not this program's"
            for row in self._rows():
                if row["change"] != "member_left" and (change := self._record(row)) is not None:
                    with contextlib.suppress(KeyError, ValueError):  # the walk says what is wrong with it
                        fold(anew, change)
            for table, key in TABLES.items():
                for which in folds.differences(self._database, anew, table, key, self._last or ""):
                    where = f"{self._path}, table {table}, {which}"
                    yield EDITED, f"{where}: the row is not what the changes log makes of it"
                    break


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns an error of the database into Flaw, where it is damaged, or SinkUnavailable."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a message may quote what is no text
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code & 0xFF not in _DAMAGED:
            raise SinkUnavailable(f"{path} cannot be read: {error}") from error
        raise Flaw(str(path), f"the database is damaged: {shown(error)}") from error


def _opened(path: Path) -> sqlite3.Connection:
    """The database, for reading; text that is no UTF-8 is given as what no record holds. Raises SinkUnavailable.

    Nothing is written, not even beside it: one that nobody has open is not made ready for writers.
    """
    alone = not path.with_name(f"{path.name}-wal").exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        database = sqlite3.connect(address, uri=True, timeout=5)
    except sqlite3.Error as error:
        raise SinkUnavailable(f"{path} cannot be read: {error}") from error
    database.row_factory = sqlite3.Row
    database.text_factory = lambda data: data.decode(errors="surrogateescape")
    return database


def _definitions(database: sqlite3.Connection) -> dict[str, Any]:
    rows = database.execute(
        "select name, sql from sqlite_master where sql is not null and name not like '\\_%' escape '\\'"
    )
    return {row["name"]: row["sql"] for row in rows}


def database_rows(folder: Path, log: str) -> DatabaseRows | None:
    """The log in the folder's database; None when there is none. Raises SinkUnavailable."""
    path = database_path(folder)
    with reading(str(path)):
        there = durable.is_there(path)
    return DatabaseRows(path, log) if there else None
