"""A line of another bot's log becomes a record with the same twelve values, or is refused with the reason."""

from __future__ import annotations

import contextlib
from datetime import UTC, timedelta, tzinfo
from typing import Any

import hostile
import pytest
from factories import EXAMPLE, FIRST_MOMENT, GUILD
from hypothesis import given
from hypothesis import strategies as st
from old_logs import KEYS, as_csv, as_json, old, read

from joins.csv_format import from_row, to_row
from joins.errors import InvalidRecord, InviteLogError
from joins.json_format import from_line, to_line
from joins.records import JOINS, normal, timestamp
from ops import old_record, old_times
from ops.old_line import Line
from ops.old_record import Old, OldRecords

BERLIN = old_times.zone("Europe/Berlin")


def made(values: dict[str, Any], zone: tzinfo | None = UTC, guild_id: str | None = None) -> Old:
    return OldRecords("old.json", zone, guild_id).make(Line(7, values))


def refusal(values: dict[str, Any], zone: tzinfo | None = UTC) -> str:
    with pytest.raises(InvalidRecord) as refused:
        made(values, zone)
    return str(refused.value)


def test_the_twelve_values_stay_and_the_rest_says_whose_word_it_is() -> None:
    record = made(dict(EXAMPLE)).record
    assert {key: record[key] for key in EXAMPLE} == EXAMPLE
    assert (record["method"], record["confidence"], record["source"]) == ("adopted", "exact", "invite")
    assert (record["flags"], record["evidence"]) == (["adopted"], {"adopted_from": "old.json", "line": 7})
    assert record["inviter_id"] is None


def test_without_a_code_the_invite_is_unknown() -> None:
    empty = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
    for values in (old(**empty), {key: value for key, value in old().items() if key not in empty}):
        record = made(values).record
        assert (record["confidence"], record["source"], record["invite_code"]) == ("unknown", "unknown", None)
    record = made(old(**empty | {"invite_code": "Unknown"})).record
    assert (record["confidence"], record["invite_code"]) == ("unknown", None)
    assert record["evidence"]["invite_code"] == "Unknown"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"user_id": "1.23E+17"}, "user_id is '1.23E+17': a spreadsheet has rounded it and the id is lost"),
        ({"user_id": "1,23457E+17"}, "the id is lost"),
        ({"user_id": 1.2345678901234568e17}, "the id is lost"),
        ({"user_id": "123456789012345678.0"}, "the id is lost"),
        ({"guild_id": "1.11E+17"}, "guild_id is '1.11E+17'"),
        ({"staff_id": "9.87654E+17"}, "staff_id is"),
        ({"staff_id": "TravisP"}, "staff_id must be an id in digits, not 'TravisP'"),
        ({"user_id": None}, "user_id is missing"),
        ({"user_id": True}, "user_id must be an id in digits"),
        ({"user_id": "-1"}, "user_id must be an id in digits"),
        ({"user_id": "\u0661\u0662"}, "user_id must be an id in digits"),
        ({"user_id": "1" * 21}, "user_id must be an id in digits"),
        ({"guild_id": ""}, "guild_id is missing: give it with --guild"),
        ({"uses_before": "many"}, "uses_before must be a count, not 'many'"),
        ({"uses_after": -1}, "uses_after must be a count"),
        ({"uses_after": 1.5}, "uses_after holds a fraction"),
        ({"uses_after": True}, "uses_after must be a count"),
        ({"uses_after": 10**400}, "uses_after holds a number beyond"),
        ({"invite_code": None}, "no invite_code, beside staff_id and staff_username and uses_before and uses_after"),
        ({"invite_code": "N/A", "staff_id": None}, "the invite_code 'N/A', which names none, beside staff_username"),
        ({"username": ["john"]}, "username must be text"),
        ({"username": "x" * 70_000}, "longer than 65536 bytes"),
        ({"timestamp": None}, "timestamp must be a time"),
        ({"timestamp": 1761921045}, "timestamp must be a time"),
        ({"timestamp": "2025-10-31"}, "timestamp must be a time"),
        ({"timestamp": "31.10.2025 14:30"}, "timestamp must be a time"),
        ({"timestamp": "2025-02-30T14:30:45"}, "is no time: day"),
        ({"timestamp": "2025-10-31T14:30:45+25:00"}, "is no time"),
        ({"timestamp": "0001-01-01T00:00:00+02:00"}, "is no time"),
        ({"timestamp": "9999-12-31T23:59:59"}, "lies in the future"),
        ({"hash": "ab"}, "was written by this program"),
    ],
)
def test_what_cannot_be_taken_as_it_stands_is_refused_with_the_reason(values: dict[str, Any], reason: str) -> None:
    assert reason in refusal(old(**values))


def test_ids_may_be_numbers_and_a_missing_guild_is_given() -> None:
    values = old(user_id=123456789012345678, guild_id=None)
    record = made(values, guild_id=GUILD).record
    assert (record["user_id"], record["guild_id"]) == ("123456789012345678", GUILD)
    assert made(old(), guild_id="9").record["guild_id"] == GUILD, "what the record says itself comes first"


@pytest.mark.parametrize(
    ("written", "zone", "utc"),
    [
        ("2025-10-31T14:30:45.123456", "UTC", "2025-10-31T14:30:45.123456"),
        ("2025-10-31T14:30:45", "UTC", "2025-10-31T14:30:45.000000"),
        ("2025-10-31 14:30:45.5", "utc", "2025-10-31T14:30:45.500000"),
        ("2025-10-31T14:30:45.123456789Z", "Europe/Berlin", "2025-10-31T14:30:45.123456"),
        ("2025-10-31T14:30:45.123456+02:00", "UTC", "2025-10-31T12:30:45.123456"),
        ("2025-10-31 14:30:45 -0530", "UTC", "2025-10-31T20:00:45.000000"),
        ("2025-10-31T14:30:45+02", "UTC", "2025-10-31T12:30:45.000000"),
        ("2025-10-31T14:30:45.123456", "+02:00", "2025-10-31T12:30:45.123456"),
        ("2025-10-31T14:30:45.123456", "UTC-3", "2025-10-31T17:30:45.123456"),
        ("2025-10-31T14:30:45.123456", "+0545", "2025-10-31T08:45:45.123456"),
        ("2025-10-31T14:30:45.123456", "Europe/Berlin", "2025-10-31T13:30:45.123456"),
        ("2025-07-31T14:30:45.123456", "Europe/Berlin", "2025-07-31T12:30:45.123456"),
    ],
)
def test_times_are_taken_to_utc(written: str, zone: str, utc: str) -> None:
    assert made(old(timestamp=written), old_times.zone(zone)).record["timestamp"] == utc


def test_a_time_that_came_twice_is_the_earlier_and_marked_and_may_be_both() -> None:
    found = made(old(timestamp="2025-10-26T02:30:00.5"), BERLIN)
    assert found.record["timestamp"] == "2025-10-26T00:30:00.500000"
    assert found.record["flags"] == ["adopted", old_record.AMBIGUOUS_TIME]
    assert found.record["evidence"]["local_time"] == "2025-10-26T02:30:00.5"
    assert found.moments[1] - found.moments[0] == timedelta(hours=1)


def test_a_time_that_never_was_is_refused() -> None:
    assert "never was in Europe/Berlin" in refusal(old(timestamp="2025-03-30T02:30:00"), BERLIN)


@pytest.mark.parametrize("name", ["Europe/Bielefeld", "", "+15:00", "+2:3:4", "../etc/passwd", "Europe", "\0"])
def test_a_time_zone_that_is_none_is_one_sentence(name: str) -> None:
    with pytest.raises(InviteLogError, match="is no time zone that is known here"):
        old_times.zone(name)


def test_rounded_ids_are_counted() -> None:
    records = OldRecords("old.csv", UTC, None)
    for user_id in ("123456789012345000", "123456789012345678", "123456789012345600", "100000"):
        records.make(Line(1, old(user_id=user_id)))
    assert (records.long_ids, records.rounded_ids) == (3, 1)


texts = hostile.texts.filter(lambda text: text.strip().casefold() not in old_record._NO_CODE)
TEN_YEARS = 3650 * 86400 * 10**6  # in microseconds
times = st.integers(0, TEN_YEARS).map(lambda ago: timestamp(FIRST_MOMENT - timedelta(microseconds=ago)))


@st.composite
def specified(draw: st.DrawFn) -> dict[str, Any]:
    """A record of the specification's format, with names as bad as they come."""
    record: dict[str, Any] = {
        "timestamp": draw(times),
        "user_id": draw(hostile.ids),
        "guild_id": draw(hostile.ids),
        **{key: draw(hostile.names) for key in ("username", "display_name", "discriminator", "guild_name")},
        **dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after")),
    }
    if draw(st.booleans()):
        record |= {"invite_code": draw(texts.filter(bool)), "staff_username": draw(hostile.names)}
        record |= {"staff_id": draw(st.none() | hostile.ids)}
        record |= {key: draw(st.none() | st.integers(0, 10**9)) for key in ("uses_before", "uses_after")}
    return {key: record[key] for key in EXAMPLE}


@given(specified())
def test_any_log_of_the_format_gives_back_the_same_values_through_every_copy(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.log"
    written = {"json": as_json([values])}
    with contextlib.suppress(UnicodeEncodeError):  # a lone surrogate, which JSON escapes and CSV cannot hold
        written["csv"] = as_csv([values])
    for kind, data in written.items():
        (line,) = read(path, data)
        assert isinstance(line, Line)
        record = OldRecords("any.log", UTC, None).make(line).record
        expected = normal(JOINS, {**record, **{key: values[key] for key in (EXAMPLE if kind == "json" else KEYS)}})
        assert record == expected
        if kind == "csv":
            assert record["discriminator"] is None
        assert from_line(JOINS, to_line(record)) == record
        assert from_row(JOINS, to_row(JOINS, record)) == record
