"""Which keys of a record have a column of their own, in the CSV and in the database alike; the rest goes to `extra`.

The first eleven columns of the joins CSV are the customer's, header included (DESIGN 4). Later versions put new keys
into `Extra`, so the header never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from joins.chain import Record
from joins.errors import InvalidRecord
from joins.records import CHANGES, JOINS, normal

COLUMNS: dict[str, dict[str, str]] = {
    JOINS: {
        "timestamp": "Timestamp",
        "user_id": "User ID",
        "username": "Username",
        "display_name": "Display Name",
        "invite_code": "Invite Code",
        "staff_id": "Staff ID",
        "staff_username": "Staff Username",
        "uses_before": "Uses Before",
        "uses_after": "Uses After",
        "guild_id": "Guild ID",
        "guild_name": "Guild Name",
        "recorded_at": "Recorded At",
        "join_id": "Join ID",
        "source": "Source",
        "method": "Method",
        "confidence": "Confidence",
        "event_id": "Event ID",
        "hash": "Hash",
    },
    CHANGES: {
        "recorded_at": "Recorded At",
        "change": "Change",
        "user_id": "User ID",
        "guild_id": "Guild ID",
        "join_id": "Join ID",
        "actor_id": "Actor ID",
        "reason": "Reason",
        "invite_code": "Invite Code",
        "staff_id": "Staff ID",
        "staff_username": "Staff Username",
        "confidence": "Confidence",
        "change_id": "Change ID",
        "event_id": "Event ID",
        "hash": "Hash",
    },
}
HEADERS = {log: [*columns.values(), "Extra"] for log, columns in COLUMNS.items()}
NUMBERS = frozenset({"uses_before", "uses_after"})


def split(log: str, record: Mapping[str, Any]) -> tuple[list[Any], str]:
    """The values of a record's columns, in order, and `Extra`: canonical JSON of all that has no column."""
    columns = COLUMNS[log]
    extra = {key: value for key, value in record.items() if key not in columns and value is not None}
    # ASCII only, so that no reader takes a separator such as U+2028 inside a name for the end of the line.
    return [record.get(key) for key in columns], json.dumps(extra, sort_keys=True, separators=(",", ":"))


def join(log: str, values: list[Any], extra: str) -> Record:
    """The record that `split` took apart, in normal form. Raises InvalidRecord or NewerVersion."""
    return normal(log, merged(log, values, extra))


def merged(log: str, values: list[Any], extra: str) -> Record:
    """All that the columns hold, as it stands there, whatever its version. Raises InvalidRecord."""
    try:
        rest = json.loads(extra) if extra else {}
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"the Extra column is no JSON: {error}") from error
    if not isinstance(rest, dict) or rest.keys() & COLUMNS[log].keys():
        raise InvalidRecord("the Extra column must be an object of keys that have no column")
    return {**dict(zip(COLUMNS[log], values, strict=True)), **rest}
