"""Where the logs lie in the log folder, and what any log file offers a reader."""

from __future__ import annotations

from pathlib import Path

from joins.records import CHANGES, JOINS

DATABASE = "invites.db"
STEMS = {JOINS: "invite_joins", CHANGES: "invite_changes"}


def json_path(folder: Path, log: str) -> Path:
    """The JSON log: `invite_joins.json` or `invite_changes.json`."""
    return folder / f"{STEMS[log]}.json"


def csv_path(folder: Path, log: str) -> Path:
    """The CSV log: `invite_joins.csv` or `invite_changes.csv`."""
    return folder / f"{STEMS[log]}.csv"


def database_path(folder: Path) -> Path:
    """The SQLite database, `invites.db`."""
    return folder / DATABASE
