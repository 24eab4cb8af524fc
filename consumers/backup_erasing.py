"""Taking names that are to be erased out of the backups: each that holds them is made anew without, in its place."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlite_utils import Database

from consumers.backing_up import pack, pieces
from consumers.unpacking import unpack
from joins.cloud import backups
from joins.cloud.backups import Backup
from joins.cloud.bucket import Bucket
from joins.database_scrubbing import scrub_database
from joins.erasure import Erasure
from joins.errors import InvalidRecord, LogDamaged
from joins.form import csv_form, json_form
from joins.log_files import DATABASE, STEMS
from joins.scrubbing import needles, scrub


def erase(bucket: Bucket, erasures: Sequence[Erasure]) -> list[str]:
    """Obeys in every backup; gives a sentence for each object whose old bytes the store keeps.

    The system's folder for temporary files needs room for one backup. Raises SinkUnavailable.
    """
    remnants = []
    for name in backups.names(bucket):
        try:
            backup = backups.read(bucket, name)
            if backup is not None:
                with tempfile.TemporaryDirectory(prefix="invitelog-erase-") as folder:
                    remnants += _erase_one(bucket, backup, erasures, Path(folder))
        except (LogDamaged, InvalidRecord, ValueError, sqlite3.Error) as error:
            remnants.append(f"the backup {name} may hold the names, and cannot be read: remove it ({error})")
    return remnants


def _erase_one(bucket: Bucket, backup: Backup, erasures: Sequence[Erasure], folder: Path) -> list[str]:
    unpack(bucket, backup, folder)
    wanted = needles(erasures)
    changed = [file for file in backup.files if _names(folder / file.name, wanted)]
    changed = [file for file in changed if _scrub(folder / file.name, erasures)]
    if not changed:
        return []
    place, files = f"{backups.FOLDER}/{backup.name}-{secrets.token_hex(4)}", []
    for file in backup.files:
        if file not in changed:
            files.append(file)
            continue
        packed = folder / f"{file.name}.gz"
        size, digest = pack(folder / file.name, packed)
        bucket.upload(object_name := f"{place}/{packed.name}", packed)
        files.append(replace(file, object=object_name, bytes=size, sha256=digest))
    # From here on the backup is the new one; the old files are nobody's.
    bucket.replace(backups.manifest(backup.name), backups.encoded(replace(backup, files=tuple(files))))
    remnants = []
    for file in changed:
        kept = bucket.kept_versions(file.object)
        if not bucket.delete(file.object):
            remnants.append(f"{bucket.shown}/{file.object} cannot be removed ({kept or 'the store refuses it'})")
        elif kept is not None:
            remnants.append(f"{bucket.shown}/{file.object} keeps its old bytes as {kept}")
    return remnants


def _names(path: Path, wanted: Sequence[bytes]) -> bool:
    overlap, before = max(map(len, wanted)), b""
    with path.open("rb") as file:
        for piece in pieces(file.read):
            if any(needle in before + piece for needle in wanted):
                return True
            before = piece[-overlap:]
    return False


def _scrub(path: Path, erasures: Sequence[Erasure]) -> bool:
    """Whether there were such names in the file, which has none now."""
    if path.name == DATABASE:
        connection = sqlite3.connect(path, isolation_level=None)
        scrub_database(Database(connection), erasures)
        changed = connection.total_changes
        connection.close()
        return changed > 0
    log = next(log for log, stem in STEMS.items() if path.name.startswith(stem))
    return scrub(path, (json_form if path.suffix == ".json" else csv_form)(log), erasures)
