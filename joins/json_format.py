"""A record as one line of JSON, and back."""

from __future__ import annotations

import json

from joins.chain import Record
from joins.errors import InvalidRecord
from joins.records import MAX_RECORD_BYTES, normal


def to_line(record: Record) -> bytes:
    """The record as one line of UTF-8 JSON, without the newline, keys in the record's own order."""
    return json.dumps(record, ensure_ascii=False, separators=(", ", ": ")).encode()


def from_line(log: str, line: bytes) -> Record:
    """The record in a line, in normal form. Raises InvalidRecord or NewerVersion."""
    if len(line) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"the entry has {len(line)} bytes; a record has at most {MAX_RECORD_BYTES}")
    try:
        record = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidRecord(f"the entry is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise InvalidRecord("the entry is no JSON object")
    return normal(log, record)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
