"""The sinks under one contract: how each is opened in a folder of its own, and how its data is taken away or read."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consumers.cloud_backup import CloudBackup
from consumers.csv_log import CsvLog
from consumers.json_log import JsonLog
from consumers.sink import Sink
from consumers.sqlite_database import SqliteDatabase
from joins.chain import Record
from joins.cloud import merges
from joins.cloud.bucket import Bucket
from joins.csv_format import from_row
from joins.json_format import from_line
from joins.log_files import csv_path, database_path, json_path
from joins.records import normal
from joins.schema import open_for_reading


@dataclass(frozen=True)
class Place:
    """One sink's home."""

    name: str
    open: Callable[[], Sink]
    lose: Callable[[], None]  # takes all of its data away
    read: Callable[[str], list[Record]]  # what stands in a log, read by other means than the sink's own


def json_place(folder: Path) -> Place:
    def read(log: str) -> list[Record]:
        if not json_path(folder, log).exists():
            return []
        return [normal(log, record) for record in json.loads(json_path(folder, log).read_text())]

    return Place("json", lambda: JsonLog(folder), lambda: _remove(folder, "*.json"), read)


def csv_place(folder: Path) -> Place:
    def read(log: str) -> list[Record]:
        if not csv_path(folder, log).exists():
            return []
        return [from_row(log, line) for line in csv_path(folder, log).read_bytes().splitlines(keepends=True)[1:]]

    return Place("csv", lambda: CsvLog(folder), lambda: _remove(folder, "*.csv"), read)


def sqlite_place(folder: Path) -> Place:
    def read(log: str) -> list[Record]:
        from joins.columns import COLUMNS, join

        try:
            connection = open_for_reading(database_path(folder))
        except sqlite3.OperationalError:
            return []
        try:
            rows = connection.execute(f"select * from {log} order by position").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # it is being made just now
                raise
            return []
        finally:
            connection.close()
        return [join(log, [row[column] for column in COLUMNS[log]], row["extra"]) for row in rows]

    return Place("sqlite", lambda: SqliteDatabase(folder), lambda: _remove(folder, "invites.db*"), read)


def cloud_place(folder: Path) -> Place:
    def read(log: str) -> list[Record]:
        lines = []
        live, _ = merges.split(Bucket((folder / "cloud").as_uri(), make=True), log)
        for path in (folder / "cloud" / name for name in live):
            lines += gzip.decompress(path.read_bytes()).splitlines()[1:]
        return [from_line(log, line) for line in lines]

    def lose() -> None:
        shutil.rmtree(folder / "cloud")

    return Place("cloud", lambda: CloudBackup((folder / "cloud").as_uri()), lose, read)


def s3_place(url: str) -> Place:
    """A prefix of a bucket; obstore takes the address and the keys from the environment."""
    import obstore
    from obstore.store import from_url

    store = from_url(url)

    def names(log: str) -> list[str]:
        return sorted(entry["path"] for page in obstore.list(store, prefix=log) for entry in page)

    def lose() -> None:
        for log in ("joins", "changes"):
            for name in names(log):
                obstore.delete(store, name)

    def read(log: str) -> list[Record]:
        lines = []
        for name in names(log):
            lines += gzip.decompress(bytes(obstore.get(store, name).bytes())).splitlines()[1:]
        return [from_line(log, line) for line in lines]

    return Place("s3", lambda: CloudBackup(url), lose, read)


LOCAL = {"json": json_place, "csv": csv_place, "sqlite": sqlite_place, "cloud": cloud_place}


def _remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()
