"""The four copies on the stage: how far each reaches, and how its data is destroyed."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from joins import event_id, keys
from joins.copies.finding import open_copy
from joins.errors import LogDamaged, SinkUnavailable
from joins.log_files import csv_path, database_path, json_path
from joins.records import JOINS, LOGS
from tests.chaos.stage import Stage

REACH_MS = 30_000  # a copy that lacks less than this is whole: the outbox keeps a minute and 1,000 records


def can_lose(stage: Stage, *sinks: str) -> bool:
    """Whether the records would still be somewhere without these copies and without the server."""
    return any(_is_whole(stage, other) for other in keys.SINKS if other not in sinks)


def delete(stage: Stage, sink: str) -> None:
    """Removes all of a sink's data."""
    if sink == "cloud":
        for log in LOGS:
            shutil.rmtree(stage.cloud / log, ignore_errors=True)
        return
    for path in _files(stage.logs, sink):
        path.unlink(missing_ok=True)


def truncate(stage: Stage, sink: str, chance: random.Random) -> None:
    """Cuts a sink's file of joins at a random byte."""
    path = next(iter(_files(stage.logs, sink)))
    if path.exists():
        os.truncate(path, chance.randrange(path.stat().st_size + 1))


def _is_whole(stage: Stage, sink: str) -> bool:
    """Whether a copy reaches so far that the outbox has the rest."""
    try:
        copy = open_copy(sink, JOINS, stage.logs, stage.cloud.as_uri())
    except (SinkUnavailable, LogDamaged):
        return False
    return copy is not None and event_id.milliseconds(copy.head[0]) + REACH_MS > event_id.milliseconds(stage.newest)


def _files(logs: Path, sink: str) -> list[Path]:
    if sink == "sqlite":
        return [database_path(logs).with_name(database_path(logs).name + end) for end in ("", "-wal", "-shm")]
    return [{"json": json_path, "csv": csv_path}[sink](logs, log) for log in LOGS]
