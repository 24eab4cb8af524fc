"""The third copy: the database: both logs and what is folded from them, each batch and its head one transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from joins import durable, schema
from joins.chain import Record, link
from joins.columns import COLUMNS, split
from joins.errors import HeadMoved, SinkUnavailable
from joins.log_files import database_path
from joins.records import CHANGES
from joins.tail import Head, empty_head

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # the low byte of an extended result code
_log = logging.getLogger("consumers.sqlite")


@dataclass(frozen=True)
class _Fold:
    """Which row a kind of change sets, and to what."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)


_ATTRIBUTION = _Fold(
    "attributions", ("join_id",), ("change", "invite_code", "staff_id", "staff_username", "confidence")
)
_FOLDS = {
    "attribution_confirmed": _ATTRIBUTION,
    "attribution_corrected": _ATTRIBUTION,
    "staff_set": _Fold("staff", ("guild_id", "staff_id"), ("staff_username", "ib_link", "ib_code"), {"retired": 0}),
    "staff_retired": _Fold("staff", ("guild_id", "staff_id"), (), {"retired": 1}),
    "code_assigned": _Fold("codes", ("guild_id", "invite_code"), ("staff_id",)),
}


class SqliteDatabase:
    """`invites.db` in a folder."""

    def __init__(self, folder: Path) -> None:
        """Opens the database, made where there is none; one that is damaged is set aside first."""
        self._path = database_path(folder)
        try:
            with self._errors():
                self._database: Database = schema.open_for_writing(self._path)
        except HeadMoved:
            with self._errors():
                self._database = schema.open_for_writing(self._path)
        self._file = self._inode()

    def head(self, log: str) -> Head:
        """See Sink."""
        if self._inode() != self._file:
            raise HeadMoved(f"{self._path} is not the file that was opened: it was replaced or removed")
        with self._errors():
            for row in self._database.query("select event_id, hash from heads where log = ?", [log]):
                return row["event_id"], row["hash"]
        return empty_head(log)

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """See Sink."""
        with self._errors(), self._database.atomic():
            if link(self.head(log)[1], batch[0]) != batch[0]["hash"]:
                raise HeadMoved(f"{self._path} was written by something else")
            self._database.table(log).insert_all((_row(log, record) for record in batch), batch_size=500)
            if log == CHANGES:
                for record in batch:
                    self._fold(record)
            self._move_head(log, batch)

    def close(self) -> None:
        """See Sink."""
        self._database.close()

    def _move_head(self, log: str, batch: Sequence[Record]) -> None:
        self._database.execute(
            "insert into heads (log, event_id, hash, records) values (?, ?, ?, ?) on conflict (log) do update set "
            "event_id = excluded.event_id, hash = excluded.hash, records = records + excluded.records",
            [log, batch[-1]["event_id"], batch[-1]["hash"], len(batch)],
        )

    def _fold(self, record: Record) -> None:
        """Lets a change override what earlier ones set; the order of the log decides, not that of arrival."""
        if record["change"] not in _FOLDS:
            return
        fold = _FOLDS[record["change"]]
        values = {**record, **fold.fixed, "position": schema.position(record["event_id"])}
        row = {column: values.get(column) for column in (*fold.key, "position", *fold.columns, *fold.fixed)}
        settings = ", ".join(f"{column} = excluded.{column}" for column in row if column not in fold.key)
        self._database.execute(
            f"insert into {fold.table} ({', '.join(row)}) values ({', '.join('?' * len(row))}) "
            f"on conflict ({', '.join(fold.key)}) do update set {settings} "
            f"where excluded.position > {fold.table}.position",
            list(row.values()),
        )

    def _inode(self) -> tuple[int, int] | None:
        found = durable.identity(self._path)
        return found[:2] if found else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in _DAMAGED:
                raise HeadMoved(self._set_aside(error)) from error
            raise SinkUnavailable(f"{self._path} cannot be used: {error}") from error

    def _set_aside(self, error: Exception) -> str:
        """Moves a damaged database out of the way, whole, so that it is made anew from the other copies."""
        with durable.disk_errors(self._path):
            aside = durable.move_aside(self._path, "damaged", ("", "-wal", "-shm"))
        sentence = f"{self._path} is damaged ({error}): it is kept as {aside.name} and made anew from the other copies"
        _log.error("%s", sentence)
        return sentence


def _row(log: str, record: Record) -> dict[str, Any]:
    values, extra = split(log, record)
    columns = dict(zip(COLUMNS[log], values, strict=True))
    return {"position": schema.position(record["event_id"]), **columns, "extra": extra}
