"""The four copies on the stage: where each ends, and how its data is destroyed."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from joins import event_id, schema
from joins.array_reader import ArrayReader
from joins.csv_format import from_row
from joins.event_id import ZERO
from joins.log_files import csv_path, database_path, json_path
from joins.records import JOINS, LOGS
from tests.chaos.stage import Stage

REACH_MS = 30_000  # a copy that lacks less than this is whole: the outbox keeps a minute and 1,000 records
CSV_TAIL = 1 << 20  # bytes
HEALERS = ("json", "sqlite")  # the copies from which the streams are healed


def can_lose(stage: Stage, *sinks: str) -> bool:
    """Whether the records would still be somewhere without these copies and without the server."""
    return any(is_whole(stage, other) for other in HEALERS if other not in sinks)


def is_whole(stage: Stage, sink: str) -> bool:
    """Whether a copy reaches so far that the outbox has the rest."""
    try:
        head = _ENDS[sink](stage)
    except Exception:  # torn, damaged, absent or just being written: not whole
        return False
    return event_id.milliseconds(head) + REACH_MS > event_id.milliseconds(stage.newest)


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


def _files(logs: Path, sink: str) -> list[Path]:
    if sink == "sqlite":
        return [database_path(logs).with_name(database_path(logs).name + end) for end in ("", "-wal", "-shm")]
    return [{"json": json_path, "csv": csv_path}[sink](logs, log) for log in LOGS]


def _json_end(stage: Stage) -> str:
    with ArrayReader(json_path(stage.logs, JOINS)) as reader:
        last = reader.last()
    return str(last["event_id"]) if last else ZERO


def _csv_end(stage: Stage) -> str:
    with csv_path(stage.logs, JOINS).open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - CSV_TAIL))
        return str(from_row(JOINS, file.read().splitlines(keepends=True)[-1])["event_id"])


def _sqlite_end(stage: Stage) -> str:
    database = schema.open_for_reading(database_path(stage.logs))
    try:
        return str(database.execute("select event_id from heads where log = ?", [JOINS]).fetchone()[0])
    finally:
        database.close()


def _cloud_end(stage: Stage) -> str:
    newest = max((stage.cloud / JOINS).glob("*.jsonl.gz"))
    return str(json.loads(gzip.decompress(newest.read_bytes()).partition(b"\n")[0])["last"])


_ENDS: dict[str, Callable[[Stage], str]] = {
    "json": _json_end,
    "csv": _csv_end,
    "sqlite": _sqlite_end,
    "cloud": _cloud_end,
}
