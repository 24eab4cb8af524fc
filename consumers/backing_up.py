"""The daily backup: a snapshot of the database and of the log files, which the cloud consumer makes when it is due."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import logging
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joins import durable, schema
from joins.cloud import backups
from joins.cloud.backups import Backup, File
from joins.cloud.bucket import Bucket
from joins.errors import InviteLogError, SinkUnavailable
from joins.form import csv_form, json_form
from joins.log_files import database_path
from joins.records import LOGS, timestamp
from joins.settings import Settings
from joins.whole_log import WholeLog, is_there

FIRST_LOOK = 60.0  # seconds after the start, when the copies have caught up
EVERY, AGAIN = 3600.0, 600.0  # seconds between two looks, and after one that failed
PIECE = 1 << 20  # bytes packed at once
_WORKING = ".backup"  # the folder of snapshots under way, within the log folder
_log = logging.getLogger("consumers.backing_up")


class DailyBackup:
    """Asks now and then whether today's backup is there, and makes it in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next = time.monotonic() + FIRST_LOOK
        self._thread: threading.Thread | None = None
        self.fault: str | None = None  # why there is no backup of today, once one was tried

    def look(self) -> None:
        """Costs nothing while none is due. A folder on this machine is no backup, so it gets none."""
        if self._settings.cloud_backup_url is None or time.monotonic() < self._next:
            return
        if self._thread is None or not self._thread.is_alive():
            self._next = time.monotonic() + EVERY
            self._thread = threading.Thread(target=self._run, name="daily backup", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            bucket = Bucket(self._settings.cloud_url)
            if (backup := make(self._settings, bucket, datetime.now(UTC).date().isoformat())) is not None:
                _log.info("the daily backup %s is made: %d bytes", backup.name, backup.bytes)
            for name in clear(self._settings, bucket):
                _log.info("the backup %s has served its time and was removed", name)
            self.fault = None
        except (InviteLogError, OSError, sqlite3.Error) as error:
            self.fault = f"no daily backup yet: {error}"
            _log.warning("%s", self.fault)
            self._next = time.monotonic() + AGAIN


def make(settings: Settings, bucket: Bucket, name: str) -> Backup | None:
    """Makes the backup of that name; None when there is one, or nothing to back up. Raises SinkUnavailable."""
    if bucket.has(backups.manifest(name)):
        return None
    folder = settings.invite_logs_dir
    working = folder / _WORKING / secrets.token_hex(4)
    place = f"{backups.FOLDER}/{name}-{working.name}"
    with durable.disk_errors(working):
        working.mkdir(parents=True)
    try:
        files = []
        for path, heads in _snapshots(folder, working):
            size, digest = pack(path, packed := path.with_name(f"{path.name}.gz"))
            path.unlink()
            bucket.upload(object_name := f"{place}/{packed.name}", packed)
            packed.unlink()
            files.append(File(path.name, object_name, size, digest, heads))
        if not files:
            return None
        backup = Backup(name, timestamp(datetime.now(UTC)), tuple(files))
        return backup if bucket.create(backups.manifest(name), backups.encoded(backup)) else None
    finally:
        shutil.rmtree(working, ignore_errors=True)


def clear(settings: Settings, bucket: Bucket) -> list[str]:
    """Removes the backups that have served their time, and what attempts of other days have left; gives the former."""
    found = backups.names(bucket)
    gone = backups.expired(found, settings.backup_keep_daily, settings.backup_keep_weekly, settings.backup_keep_monthly)
    removed = [name for name in gone if bucket.delete(backups.manifest(name))]
    today = datetime.now(UTC).date().isoformat()
    for name in backups.strays(bucket, [name for name in found if name not in removed]):
        if not name.startswith(f"{backups.FOLDER}/{today}"):  # of today, one may be under way
            bucket.delete(name)
    return removed


def _snapshots(folder: Path, working: Path) -> Iterator[tuple[Path, dict[str, list[Any]]]]:
    """A copy of each file as it is at one moment, one after the other, and its heads."""
    for log in LOGS:
        for form in (json_form(log), csv_form(log)):
            path = form.path(folder)
            with durable.disk_errors(path):
                there = is_there(folder, form)
            if there:
                with durable.disk_errors(path), WholeLog(folder, form) as whole:
                    with (working / path.name).open("wb") as file:
                        file.writelines(form.document(whole.lines()))
                    yield working / path.name, {log: _head(whole)}
    if (path := database_path(folder)).exists():
        yield _database(path, working / path.name)


def _head(reader: WholeLog) -> list[Any]:
    last = reader.last()
    return [last["event_id"], last["hash"], reader.count()] if last is not None else ["0-0", "", 0]


def _database(path: Path, target: Path) -> tuple[Path, dict[str, list[Any]]]:
    """By SQLite's own online backup: https://www.sqlite.org/backup.html."""
    try:
        with (
            contextlib.closing(schema.open_for_reading(path)) as database,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            database.backup(copy, pages=4096)
            copy.execute("pragma journal_mode = delete")
            rows = copy.execute("select log, event_id, hash, records from heads").fetchall()
    except sqlite3.Error as error:
        raise SinkUnavailable(f"{path} cannot be backed up: {error}") from error
    return target, {log: [event, digest, records] for log, event, digest, records in rows}


def pack(path: Path, target: Path) -> tuple[int, str]:
    """Compresses a file; gives the bytes and the SHA-256 of what it holds."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file, gzip.open(target, "wb", compresslevel=6) as packed:
        for piece in pieces(file.read):
            packed.write(piece)
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()


def pieces(read: Any) -> Iterable[bytes]:
    """What `read(size)` gives, until it gives nothing."""
    return iter(lambda: read(PIECE), b"")
