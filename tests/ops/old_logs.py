"""Logs as another bot writes them: the specification's twelve keys, or eleven columns, and no hash."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from factories import EXAMPLE, FIRST_MOMENT

from joins.columns import HEADERS
from joins.records import JOINS, timestamp
from ops.old_line import Line, Unreadable
from ops.old_log import OldLog

COLUMNS = HEADERS[JOINS][:11]
KEYS = [name.lower().replace(" ", "_") for name in COLUMNS]


def old(number: int = 0, **values: Any) -> dict[str, Any]:
    """A record of the specification; its member and its second follow from `number`."""
    user_id = str(int(EXAMPLE["user_id"]) + number)
    joined = timestamp(FIRST_MOMENT + timedelta(seconds=number))
    return {**EXAMPLE, "user_id": user_id, "timestamp": joined} | values


def as_json(records: Iterable[dict[str, Any]], **layout: Any) -> bytes:
    return json.dumps(list(records), **layout).encode()


def as_csv(records: Iterable[dict[str, Any]], end: str = "\r\n", delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, delimiter=delimiter)
    writer.writerow(COLUMNS)
    writer.writerows([["" if record[key] is None else record[key] for key in KEYS] for record in records])
    return text.getvalue().encode()


def read(path: Path, data: bytes) -> list[Line | Unreadable]:
    """What a file of these bytes holds."""
    path.write_bytes(data)
    return [entry for entry, _ in OldLog(path).entries()]


def lines(entries: Iterable[Line | Unreadable]) -> list[tuple[int, Any]]:
    """Of each entry its line, and the user's id or the reason."""
    return [(e.number, e.values["user_id"] if isinstance(e, Line) else e.reason) for e in entries]
