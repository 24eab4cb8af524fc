"""The archives of a log: where they lie, that none is missing between them, and how they are put aside."""

from __future__ import annotations

import os
import re
from pathlib import Path

from joins import durable
from joins.archive import Archive
from joins.chain import Record
from joins.errors import LogDamaged, PermanentError
from joins.form import Form
from joins.tail import Head, empty_head, followed

FOLDER = "archive"
_MONTH = r"\d{4}-(0[1-9]|1[0-2])"


def path_of(folder: Path, form: Form, month: str) -> Path:
    """Where a month's archive lies, in a log folder."""
    return folder / FOLDER / f"{form.stem}.{month}.{form.sink}.gz"


def paths(folder: Path, form: Form) -> list[Path]:
    """The archives of a log in one form, oldest first. Raises OSError, but not where there is no folder."""
    pattern = re.compile(rf"{re.escape(form.stem)}\.{_MONTH}\.{form.sink}\.gz")
    try:
        names = os.listdir(folder / FOLDER)
    except FileNotFoundError:
        return []
    return [folder / FOLDER / name for name in sorted(names) if pattern.fullmatch(name)]


def opened(folder: Path, form: Form) -> list[Archive]:
    """The archives of a log, oldest first, each going on where the one before it ends; the caller closes them.

    Raises LogDamaged where one is damaged or missing, OSError.
    """
    found: list[Archive] = []
    head = empty_head(form.log)
    try:
        for path in paths(folder, form):
            found.append(one := Archive(path, form))
            if one.index.before != head:
                raise LogDamaged(f"{path} does not go on where the archive before it ends: {_way_out(form)}")
            head = one.index.head
    except BaseException:
        for one in found:
            one.close()
        raise
    return found


def check_follows(before: Head, first: Record, path: Path, form: Form) -> None:
    """Sees that the first record in a log's file, in normal form, follows `before`, where an archive ends.

    Raises LogDamaged where it does not.
    """
    try:
        followed(before, first)
    except PermanentError as error:
        raise LogDamaged(f"{path} does not go on where its archives end: {_way_out(form)}") from error


def put_aside(folder: Path, form: Form) -> list[Path]:
    """Renames a log's archives, the newest first, once a file holds all records again; gives their new names.

    Raises SinkUnavailable.
    """
    with durable.disk_errors(folder / FOLDER):
        return [durable.move_aside(path, "replaced") for path in reversed(paths(folder, form))]


def _way_out(form: Form) -> str:
    return (
        "an archive is missing, or one of them was changed. Put it back, or make the log anew: "
        f"invitelog rebuild {form.sink} --from sqlite"
    )
