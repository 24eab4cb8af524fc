"""What processes hand over to the sequencer, which alone gives records their place: the items of a Redis list."""

from __future__ import annotations

import json
from dataclasses import dataclass

from joins.chain import Record, canonical, check_commitments, seal
from joins.errors import InvalidRecord
from joins.json_format import from_line

_FAULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Handed:
    """A record that was handed over: valid, in normal form, sealed."""

    log: str
    record: Record
    instead_of: str | None = None  # event id of the entry of this identity that was condemned


def item(log: str, record: Record, instead_of: str | None = None) -> bytes:
    """The item for the list. The record is not looked at."""
    return canonical({"log": log, "record": record} | ({"instead_of": instead_of} if instead_of else {}))


def read(given: bytes) -> Handed:
    """What an item holds, checked as every sink will: none may condemn what was recorded.

    Raises InvalidRecord or NewerVersion.
    """
    try:
        content = json.loads(given)
        log, instead_of = content["log"], content.get("instead_of")
        record = from_line(log, canonical(content["record"]))
        if "event_id" in record or "hash" in record:
            raise InvalidRecord("event id and hash are the sequencer's and the sinks' to give")
        if not record.get("commitments"):
            record = seal(record)
        check_commitments(record)
    except _FAULTS as error:
        raise InvalidRecord(f"it is no record that was handed over: {error}") from error
    return Handed(log, record, instead_of if isinstance(instead_of, str) else None)
