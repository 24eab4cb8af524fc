"""The third copy: the database: both logs and what is folded from them, each batch and its head one transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from joins import durable, schema
from joins.chain import Record, link
from joins.errors import HeadMoved, SinkUnavailable
from joins.folding import fold
from joins.log_files import database_path
from joins.records import CHANGES
from joins.tail import Head, empty_head

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # the low byte of an extended result code
_log = logging.getLogger("consumers.sqlite")


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
            self._database.table(log).insert_all((schema.row(log, record) for record in batch), batch_size=500)
            if log == CHANGES:
                for record in batch:
                    fold(self._database, record)
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
