"""A joins log at our path that another program wrote: known by its head, set aside when adopted, else left as it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from joins import durable
from joins.log_files import csv_path, json_path
from joins.records import JOINS

HEAD_BYTES = 65_536  # enough of a log to see its first record


def places(logs_dir: Path) -> tuple[Path, Path]:
    """Where a foreign log would be in the way."""
    return json_path(logs_dir, JOINS), csv_path(logs_dir, JOINS)


def is_foreign(path: Path) -> bool:
    """Whether the log at one of these places was plainly written by another program. Raises OSError.

    Only the head of the file is read. What is merely torn or damaged is its sink's to judge.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace").strip()
    return bool(head) and (_foreign_json if path.suffix == ".json" else _foreign_csv)(head)


def set_aside(path: Path) -> Path:
    """Gives the file another name in its folder, durably; the new path. Raises SinkUnavailable."""
    with durable.disk_errors(path):
        return durable.move_aside(path, "foreign")


def _foreign_json(head: str) -> bool:
    if not head.startswith("["):
        return True
    rest = head.removeprefix("[").lstrip()
    if not rest.startswith("{"):
        return False
    try:
        first, _ = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        return False
    return "hash" not in first


def _foreign_csv(head: str) -> bool:
    return "Hash" not in next(csv.reader([head.splitlines()[0]]))
