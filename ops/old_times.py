"""The times of an old log: with an offset of their own, or in the time zone in which the old bot wrote."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from joins.errors import InvalidRecord, InviteLogError

LARGEST_OFFSET = timedelta(hours=14)  # the line of date change lies between UTC-12 and UTC+14
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d:?\d\d|[+-]\d\d)?", re.ASCII | re.IGNORECASE
)


def zone(name: str) -> tzinfo:
    """The time zone of a name such as Europe/Berlin, UTC or +02:00. Raises InviteLogError."""
    name = name.strip()
    if name.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if match := _OFFSET.fullmatch(name.upper()):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if offset <= LARGEST_OFFSET:
            return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InviteLogError(
            f"{name!r} is no time zone that is known here: give UTC, a name such as Europe/Berlin, "
            "or an offset such as +02:00."
        ) from error


def lacks_offset(text: object) -> bool:
    """Whether it is a time that means nothing without a time zone."""
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    return match is not None and match[4] is None


def moments(text: object, zone: tzinfo | None) -> list[datetime]:
    """The moment that a time names, in UTC; two, the earlier first, where the clock was put back and it came twice.

    Raises InvalidRecord for what is no time, or a time that the clock jumped over in that zone.
    """
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise InvalidRecord(f"timestamp must be a time such as 2025-10-31T14:30:45.123456, not {str(text)[:80]!r}")
    date, time, fraction, offset = match.groups()
    try:
        naive = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6].ljust(6, '0')}")
        if offset is not None:
            written = UTC if offset.upper() == "Z" else _fixed(offset)
            return [naive.replace(tzinfo=written).astimezone(UTC)]
        if zone is None:
            raise InvalidRecord(f"timestamp {text!r} names no time zone: say with --timezone in which one it is")
        found = sorted({naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)})
        real = [moment for moment in found if moment.astimezone(zone).replace(tzinfo=None) == naive]
    except (ValueError, OverflowError) as error:
        raise InvalidRecord(f"timestamp {text!r} is no time: {error}") from error
    if not real:
        raise InvalidRecord(f"timestamp {text!r} never was in {zone}: the clock was put forward over it")
    return real


def _fixed(offset: str) -> tzinfo:
    digits = offset[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if offset[0] == "-" else size)
