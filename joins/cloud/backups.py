"""Backups in the cloud: whole files as they were at one moment, apart from the objects that hold the records.

    backups/2026-11-26.json                    the manifest: made last, only ever created; it makes the backup count
    backups/2026-11-26-4f3a9c01/invites.db.gz  one of its files

A day has one daily backup; one made by hand has the time in its name too. Files that no manifest names are what an
attempt that was given up has left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from joins.chain import canonical
from joins.cloud.bucket import Bucket
from joins.errors import LogDamaged

FOLDER = "backups"
_MANIFEST = ".json"


@dataclass(frozen=True)
class File:
    """One file of a backup. Bytes and SHA-256 are those of the file itself, which is compressed in the cloud."""

    name: str
    object: str
    bytes: int
    sha256: str
    heads: dict[str, list[Any]]  # log -> event id, hash and number of its last record


@dataclass(frozen=True)
class Backup:
    """A whole one. `name` is its day (UTC), or day and time; `made_at` a timestamp as in the logs."""

    name: str
    made_at: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """What its files take once they are unpacked."""
        return sum(file.bytes for file in self.files)


def manifest(name: str) -> str:
    """The name of the object that declares a backup."""
    return f"{FOLDER}/{name}{_MANIFEST}"


def encoded(backup: Backup) -> bytes:
    """The manifest's bytes."""
    return canonical(asdict(backup))


def names(bucket: Bucket) -> list[str]:
    """The names of all backups, the oldest first. Raises SinkUnavailable."""
    found = (name.removeprefix(f"{FOLDER}/") for name in bucket.names(FOLDER))
    return [name.removesuffix(_MANIFEST) for name in found if name.endswith(_MANIFEST) and "/" not in name]


def read(bucket: Bucket, name: str) -> Backup | None:
    """A backup by its name; None when there is none. Raises SinkUnavailable, LogDamaged."""
    data = bucket.read(manifest(name))
    if data is None:
        return None
    try:
        told = json.loads(data)
        return Backup(told["name"], told["made_at"], tuple(File(**file) for file in told["files"]))
    except (ValueError, KeyError, TypeError) as error:
        raise LogDamaged(f"{bucket.shown}/{manifest(name)} is no manifest of this program: {error}") from error


def strays(bucket: Bucket, kept: Iterable[str]) -> list[str]:
    """The objects below `backups/` that belong to none of these backups. Raises SinkUnavailable, LogDamaged."""
    known = {manifest(name) for name in kept}
    for name in kept:
        backup = read(bucket, name)
        known |= {file.object for file in backup.files} if backup else set()
    return [name for name in bucket.names(FOLDER) if name not in known]


def expired(found: Iterable[str], daily: int, weekly: int, monthly: int) -> list[str]:
    """Which backups are no longer to be kept: the newest of each of so many days, weeks and months stays. Pure."""
    ordered = sorted(found, reverse=True)
    kept = set(ordered[:1])
    for count, period in ((daily, _day), (weekly, _week), (monthly, _month)):
        newest: dict[Any, str] = {}
        for name in ordered:
            newest.setdefault(period(name), name)
        kept |= set(list(newest.values())[:count])
    return sorted(set(ordered) - kept)


def _day(name: str) -> str:
    return name[:10]


def _week(name: str) -> tuple[int, int]:
    year, week, _ = date.fromisoformat(name[:10]).isocalendar()
    return year, week


def _month(name: str) -> str:
    return name[:7]
