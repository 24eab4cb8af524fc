"""The two kinds of record: a join, and a change learnt or decided later; their keys, order and rules.

The first twelve keys of a join, their order and their value formats are the customer's (DESIGN 4); the rest is ours.
A record in *normal form* has its known keys in order, null for what is not known, and no other null; both directions
of every format, and the hash, rest on that form being the only one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from joins.chain import Record
from joins.errors import InvalidRecord, NewerVersion

VERSION = 1  # of the record format; a higher one is waited for, never rejected
JOINS, CHANGES = "joins", "changes"
LOGS = (JOINS, CHANGES)
MAX_RECORD_BYTES = 64 * 1024  # Discord's longest names fill about 1 kB; anything near this is no join
MAX_DEPTH = 32  # objects and lists within each other
MAX_NUMBER = 2**53 - 1  # beyond it other JSON readers round, and beyond 2**63 a database has no place for it

EXACT, AMBIGUOUS, UNKNOWN = "exact", "ambiguous", "unknown"
CONFIDENCES = (EXACT, AMBIGUOUS, UNKNOWN)
STAFF_UNRESOLVED = "staff_unresolved"  # a flag: to whom the code was assigned when the member joined is not known
BACKFILLED = "backfilled"  # a flag: the member joined before the log began
ADOPTED = "adopted"  # a flag and a method: taken over from the log of another bot, whose claim it is
HISTORY = frozenset({BACKFILLED, ADOPTED})  # joins of long ago: they claim no use of today, and wait for no answer
SOURCES = (
    "invite", "vanity", "discovery", "hub", "bot", "integration", "manual_verification", "linked_lobby", "unknown",
)  # fmt: skip
ATTRIBUTED = ("invite_code", "staff_id", "staff_username", "uses_before", "uses_after")

JOIN_KEYS = (
    "timestamp", "user_id", "username", "display_name", "discriminator", "invite_code", "staff_id", "staff_username",
    "uses_before", "uses_after", "guild_id", "guild_name",
    "recorded_at", "join_id", "source", "method", "confidence", "candidates", "inviter_id", "flags", "evidence",
)  # fmt: skip
CHANGE_KEYS = ("recorded_at", "change", "change_id", "join_id", "guild_id", "user_id", "actor_id", "reason")
TAIL_KEYS = ("v", "commitments", "salts", "event_id", "hash")

# Each kind of change, and the keys that it always carries beyond CHANGE_KEYS (null when empty).
_ATTRIBUTION = ("invite_code", "staff_id", "staff_username", "confidence")
CHANGE_KINDS: dict[str, tuple[str, ...]] = {
    "attribution_confirmed": _ATTRIBUTION,
    "attribution_corrected": _ATTRIBUTION,
    "member_left": (),
    "staff_set": ("staff_id", "staff_username", "ib_link", "ib_code"),
    "staff_retired": ("staff_id",),
    "code_assigned": ("invite_code", "staff_id"),
    "vip_upgraded": (),
    "erased": (),
}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", re.ASCII)
_ID = re.compile(r"[0-9]{1,20}")  # snowflakes are unsigned 64-bit numbers in decimal
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_ID_KEYS = ("user_id", "guild_id", "staff_id", "inviter_id", "actor_id")
_TEXT_KEYS = (
    "username", "display_name", "discriminator", "invite_code", "staff_username", "guild_name", "method", "reason",
    "ib_link", "ib_code", "change_id",
)  # fmt: skip
# The only keys that a record in normal form may have with null.
NULLABLE = {*_ID_KEYS, *_TEXT_KEYS, "join_id", "uses_before", "uses_after", "confidence"}


def timestamp(moment: datetime) -> str:
    """A moment as the logs write it: UTC without suffix, microseconds always shown."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """The moment that a log's timestamp names, with its zone (UTC)."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def join_id(guild_id: str, user_id: str, joined_at: str) -> str:
    """The id of one join: the same for the same guild, user and timestamp, whoever computes it (32 hex digits)."""
    return sha256(f"{guild_id}/{user_id}/{joined_at}".encode()).hexdigest()[:32]


def identity(log: str, record: Mapping[str, Any]) -> str:
    """What makes a second publishing of the same record the same entry: `join_id`, or `change_id`."""
    return str(record["join_id"] if log == JOINS else record["change_id"])


def normal(log: str, record: Mapping[str, Any]) -> Record:
    """The record in normal form, checked but for its commitments. Raises InvalidRecord or NewerVersion.

    Empty text becomes null, and lone surrogates (JSON allows them, UTF-8 does not) become U+FFFD.
    """
    if log not in LOGS:
        raise InvalidRecord(f"there is no log named {log!r}")
    version = record.get("v", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidRecord(f"v must be a version number, not {version!r}")
    if version > VERSION:
        raise NewerVersion(f"a record of format {version} waits: this program knows {VERSION}; upgrade it")
    cleaned = {_clean_text(key): _clean(key, value) for key, value in record.items()}
    cleaned["v"] = version
    keys = _known_keys(log, cleaned)
    known: Record = {key: cleaned.pop(key, None) for key in keys}
    tail = {key: cleaned.pop(key) for key in TAIL_KEYS if cleaned.get(key) is not None}
    others = {key: cleaned[key] for key in sorted(cleaned) if cleaned[key] is not None}
    result = {**known, **others, **tail}
    _check(log, result, keys)
    return result


def _known_keys(log: str, record: Record) -> tuple[str, ...]:
    if log == JOINS:
        return JOIN_KEYS
    kind = record.get("change")
    if not isinstance(kind, str) or kind not in CHANGE_KINDS:
        raise InvalidRecord(f"there is no kind of change named {kind!r}")
    return CHANGE_KEYS + CHANGE_KINDS[kind]


def _clean(key: str, value: Any, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise InvalidRecord(f"{key} holds more than {MAX_DEPTH} lists and objects within each other")
    if isinstance(value, str):
        return _clean_text(value) or None
    if isinstance(value, float):
        raise InvalidRecord(f"{key} holds a fraction: every number in a record is whole")
    if isinstance(value, dict):
        return {_clean_text(name): _clean(key, item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(key, item, depth + 1) for item in value]
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise InvalidRecord(f"{key} holds a number beyond {MAX_NUMBER}")
    if value is None or isinstance(value, int):
        return value
    raise InvalidRecord(f"{key} holds a {type(value).__name__}, which JSON cannot")


def _clean_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _check(log: str, record: Record, keys: tuple[str, ...]) -> None:
    for key in keys:
        if record[key] is None and key not in NULLABLE:
            raise InvalidRecord(f"{key} is missing")
    for key in ("timestamp", "recorded_at"):
        if record.get(key) is not None:
            _demand(key, record[key], _is_time(record[key]), "a time such as 2025-10-31T14:30:45.123456")
    for key in _ID_KEYS:
        value = record.get(key)
        if key == "actor_id" and value == "member_search":
            continue
        right = value is None or (isinstance(value, str) and bool(_ID.fullmatch(value)))
        _demand(key, value, right, "an id in digits")
    for key in _TEXT_KEYS:
        value = record.get(key)
        _demand(key, value, value is None or isinstance(value, str), "text")
    for key in ("uses_before", "uses_after"):
        value = record.get(key)
        right = value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
        _demand(key, value, right, "a count")
    for key in ("commitments", "salts"):
        group = record.get(key, {})
        right = isinstance(group, dict) and all(isinstance(v, str) and _HEX.fullmatch(v) for v in group.values())
        _demand(key, group, right, "hex digits by group")
    if (confidence := record.get("confidence")) is not None:
        _demand("confidence", confidence, confidence in CONFIDENCES, f"one of {', '.join(CONFIDENCES)}")
    if log == JOINS:
        _check_join(record)
    else:
        _check_change(record)


def _check_join(record: Record) -> None:
    for key in ("user_id", "guild_id", "method", "confidence", "join_id"):
        _demand(key, record[key], record[key] is not None, "there in every join")
    _demand("source", record["source"], record["source"] in SOURCES, f"one of {', '.join(SOURCES)}")
    for key in ("candidates", "flags"):
        _demand(key, record[key], isinstance(record[key], list), "a list")
    _demand("evidence", record["evidence"], isinstance(record["evidence"], dict), "an object")
    expected = join_id(record["guild_id"], record["user_id"], record["timestamp"])
    _demand("join_id", record["join_id"], record["join_id"] == expected, "made from guild, user and timestamp")
    if record["confidence"] != EXACT:
        for key in ATTRIBUTED:
            _demand(key, record[key], record[key] is None, f"null while the confidence is {record['confidence']}")


def _check_change(record: Record) -> None:
    for key in ("change_id", "guild_id"):
        _demand(key, record[key], record[key] is not None, "there in every change")
    if record["change"].startswith("attribution_"):
        for key in ("join_id", "confidence"):
            _demand(key, record[key], record[key] is not None, "there in every attribution")
    if record["change"] in ("staff_set", "staff_retired", "code_assigned"):
        _demand("staff_id", record["staff_id"], record["staff_id"] is not None, "there")
    if record["change"] == "code_assigned":
        _demand("invite_code", record["invite_code"], record["invite_code"] is not None, "there")


def _demand(key: str, value: Any, holds: bool, expected: str) -> None:
    if not holds:
        raise InvalidRecord(f"{key} must be {expected}, not {str(value)[:80]!r}")


def _is_time(value: Any) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
