"""A line of an old log -> a record of ours: the twelve values as they stand there, as the other bot's claim.

Nothing is guessed. What our rules do not allow, and what may have been harmed on the way, is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from joins.chain import Record
from joins.errors import InvalidRecord
from joins.json_format import to_line
from joins.records import ADOPTED, EXACT, JOIN_KEYS, JOINS, MAX_RECORD_BYTES, UNKNOWN, join_id, normal, timestamp
from ops import old_times
from ops.old_line import Line

KEYS = JOIN_KEYS[:12]
AMBIGUOUS_TIME = (
    "ambiguous_local_time"  # a flag: the clock was put back, so the time came twice; the earlier one stands
)
SEALED_BYTES = 2048  # what commitments, salts, event id and hash add to a record, at most
CLOCKS = timedelta(minutes=1)  # by which the old bot's clock may have been ahead of this one
EXACT_DIGITS = 15  # of a number that a spreadsheet keeps
_NO_CODE = frozenset({"unknown", "none", "null", "n/a", "na", "-", "?"})  # what bots write where they know no code
_ROUNDED = re.compile(r"[0-9]+[.,]?[0-9]*e[+-]?[0-9]+|[0-9]+[.,][0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Old:
    """A record made from a line, and every moment that its time may mean."""

    line: int
    record: Record
    moments: tuple[datetime, ...]


class OldRecords:
    """Makes the records of one file. `unknown` are the keys met that the format does not have."""

    def __init__(self, name: str, zone: tzinfo | None, guild_id: str | None) -> None:
        self._name, self._zone, self._guild_id = name, zone, guild_id
        self._now = datetime.now(UTC)
        self.unknown: set[str] = set()
        self.long_ids = self.rounded_ids = (
            0  # users' ids of more digits than a spreadsheet keeps; those with zeros there
        )

    def make(self, line: Line) -> Old:
        """The record. Raises InvalidRecord saying why there is none."""
        values = line.values
        if "hash" in values or "event_id" in values:
            raise InvalidRecord("the record was written by this program (it carries a hash)")
        self.unknown.update(values.keys() - set(KEYS))
        moments = old_times.moments(values.get("timestamp"), self._zone)
        if moments[0] > self._now + CLOCKS:
            raise InvalidRecord(f"timestamp {values['timestamp']!r} lies in the future: is --timezone right")
        user_id, guild_id = _id("user_id", values), _id("guild_id", values) or self._guild_id
        if user_id is None:
            raise InvalidRecord("user_id is missing")
        if guild_id is None:
            raise InvalidRecord("guild_id is missing: give it with --guild")
        self._note(user_id)
        joined = timestamp(moments[0])
        evidence: dict[str, Any] = {"adopted_from": self._name, "line": line.number}
        told = {
            "invite_code": values.get("invite_code"),
            "staff_id": _id("staff_id", values),
            "staff_username": values.get("staff_username"),
            "uses_before": _count("uses_before", values),
            "uses_after": _count("uses_after", values),
        }
        _settle(told, evidence)
        if len(moments) > 1:
            evidence["local_time"] = values["timestamp"]
        record = normal(
            JOINS,
            {
                **{key: values.get(key) for key in ("username", "display_name", "discriminator", "guild_name")},
                **told,
                "timestamp": joined,
                "user_id": user_id,
                "guild_id": guild_id,
                "recorded_at": timestamp(self._now),
                "join_id": join_id(guild_id, user_id, joined),
                "source": "invite" if told["invite_code"] else "unknown",
                "method": ADOPTED,
                "confidence": EXACT if told["invite_code"] else UNKNOWN,
                "candidates": [],
                "flags": [ADOPTED, AMBIGUOUS_TIME] if len(moments) > 1 else [ADOPTED],
                "evidence": evidence,
            },
        )
        if len(to_line(record)) > MAX_RECORD_BYTES - SEALED_BYTES:
            raise InvalidRecord(f"the record is longer than {MAX_RECORD_BYTES} bytes, which no copy takes")
        return Old(line.number, record, tuple(moments))

    def _note(self, user_id: str) -> None:
        lost = len(user_id) - EXACT_DIGITS
        if lost > 0:
            self.long_ids += 1
            self.rounded_ids += user_id.endswith("0" * lost)


def _settle(told: dict[str, Any], evidence: dict[str, Any]) -> None:
    """Without a code there is no attribution: nothing else of one may stand there. Raises InvalidRecord."""
    others = " and ".join(key for key, value in told.items() if key != "invite_code" and value not in (None, ""))
    code = told["invite_code"]
    placeholder = isinstance(code, str) and code.strip().casefold() in _NO_CODE
    if others and (placeholder or not code):
        named = f"the invite_code {code!r}, which names none" if placeholder else "no invite_code"
        raise InvalidRecord(f"the record has {named}, beside {others}: correct the one or empty the others")
    if placeholder:
        told["invite_code"], evidence["invite_code"] = None, code


def _id(key: str, values: Mapping[str, Any]) -> str | None:
    value = values.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        return None
    if isinstance(value, float) or (isinstance(value, str) and _ROUNDED.fullmatch(value.strip())):
        raise InvalidRecord(
            f"{key} is {str(value)[:40]!r}: a spreadsheet has rounded it and the id is lost; take the line from the "
            "original"
        )
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,20}", value.strip()):
        raise InvalidRecord(f"{key} must be an id in digits, not {str(value)[:80]!r}")
    return value.strip()


def _count(key: str, values: Mapping[str, Any]) -> Any:
    value = values.get(key)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value) else value
