"""Files that were set aside in the log folder, where names are to be erased too: torn ends, damaged or replaced files.

They are kept for a person to look at and no program reads them. So a line that holds the person's id goes whole; a
database that was set aside is cleaned if it can still be opened, and removed if not.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database

from consumers.archiving import scrub_file
from joins import durable
from joins.database_scrubbing import scrub_database
from joins.erasure import Erasure
from joins.errors import InvalidRecord, LogDamaged
from joins.form import csv_form, json_form
from joins.log_files import DATABASE, STEMS
from joins.records import JOINS
from joins.scrubbing import needles

_ASIDE = re.compile(r"\.(torn|damaged|replaced|foreign|adopted|old|migrated)-\d{8}T")
_ARCHIVE = re.compile(r"\.(json|csv)\.gz\.")
_ENDINGS = ("-wal", "-shm")  # of a database: they belong to it
_STEP = 1 << 20  # bytes read at once


def clean(folder: Path, erasures: list[Erasure]) -> list[str]:
    """Takes the lines about these persons out of every file set aside; a sentence for each that was changed.

    Raises SinkUnavailable.
    """
    told = []
    for path in set_aside(folder):
        if _ARCHIVE.search(path.name):
            told += _clean_archive(path, erasures)
            continue
        with durable.disk_errors(path):
            if not _mentions(path, needles(erasures)):
                continue
            if path.name.startswith(DATABASE):
                told.append(_clean_database(path, erasures))
            else:
                told.append(_clean_lines(path, needles(erasures)))
    return told


def set_aside(folder: Path) -> list[Path]:
    """The files that were set aside, in the folder and in the outbox's."""
    found = [path for path in folder.rglob("*") if _ASIDE.search(path.name) and path.is_file()]
    return sorted(path for path in found if not path.name.endswith(_ENDINGS))


def _mentions(path: Path, wanted: list[bytes]) -> bool:
    files = [path, *(path.with_name(path.name + ending) for ending in _ENDINGS)]
    return any(_holds(file, wanted) for file in files if file.exists())


def _holds(path: Path, wanted: list[bytes]) -> bool:
    overlap = max(map(len, wanted))
    with path.open("rb") as file:
        before = b""
        while data := file.read(_STEP):
            if any(needle in before + data for needle in wanted):
                return True
            before = data[-overlap:]
    return False


def _clean_lines(path: Path, wanted: list[bytes]) -> str:
    count = 0

    def kept() -> Iterator[bytes]:
        nonlocal count
        quoted = False  # within a cell of somebody else's CSV that holds a newline
        with path.open("rb") as file:
            for line in file:
                if quoted or any(needle in line for needle in wanted):
                    count += 1
                    odd = ".csv" in path.name and line.count(b'"') % 2 == 1
                    quoted = quoted != odd
                else:
                    yield line

    with durable.replacing(path) as new:
        new.writelines(kept())
    return f"{path.name}: {count} lines were removed"


def _clean_archive(path: Path, erasures: list[Erasure]) -> list[str]:
    log = next((log for log, stem in STEMS.items() if path.name.startswith(f"{stem}.")), JOINS)
    form_of = csv_form if ".csv.gz." in path.name else json_form
    try:
        return [f"{path.name}: the names were taken out of it"] if scrub_file(path, form_of(log), erasures) else []
    except LogDamaged:
        with durable.disk_errors(path):
            path.unlink()
            durable.sync_folder(path.parent)
        return [f"{path.name} cannot be read any more, so it was removed whole"]


def _clean_database(path: Path, erasures: list[Erasure]) -> str:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            scrub_database(Database(connection), erasures)
            connection.execute("pragma journal_mode = delete")
        finally:
            connection.close()
    except (sqlite3.Error, ValueError, InvalidRecord):
        for ending in ("", *_ENDINGS):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        durable.sync_folder(path.parent)
        return f"{path.name} cannot be read any more, so it was removed whole"
    return f"{path.name}: the names were taken out of it"
