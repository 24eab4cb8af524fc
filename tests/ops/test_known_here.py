"""Which records of an old log are here already: in the database, on their way into it, or earlier in the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import EXAMPLE, Feed, batch, join
from old_logs import old

from consumers.sqlite_database import SqliteDatabase
from joins import keys
from joins.chain import canonical
from joins.errors import InviteLogError
from joins.records import JOINS
from joins.redis_url import Client
from ops import old_times
from ops.adoption import Tally
from ops.known_here import Known, KnownHere
from ops.old_line import Line
from ops.old_record import Old, OldRecords

WITHIN = timedelta(seconds=2)
NEW, HERE = Known(), Known(here=True)
PLACES = ("database", "stream", "inbox", "arrivals", "published")


def made(*values: dict[str, Any], zone: str = "UTC") -> list[Old]:
    records = OldRecords("old.json", old_times.zone(zone), None)
    return [records.make(Line(number, value)) for number, value in enumerate(values, 2)]


@pytest.fixture
def ours(redis_client: Client, tmp_path: Path) -> Any:
    """Puts the join of the specification's example into a place; gives what is known then of some lines."""

    def known(
        place: str, *values: dict[str, Any], zone: str = "UTC", client: bool = True, **record: Any
    ) -> list[Known]:
        put(place, redis_client, tmp_path, record)
        with KnownHere(redis_client if client else None, tmp_path, WITHIN) as here:
            return here.look(made(*values, zone=zone))

    return known


def put(place: str, client: Client, folder: Path, values: dict[str, Any]) -> None:
    record = join(0, **({"timestamp": EXAMPLE["timestamp"]} | values))
    if place == "database":
        database = SqliteDatabase(folder)
        database.write(JOINS, batch(JOINS, 0, 1, **values))
        database.close()
    elif place == "stream":
        Feed(client).publish(1, **values)
    elif place == "inbox":
        client.rpush(keys.INBOX, b"no json", canonical({"log": "changes", "record": {}}))
        client.rpush(keys.INBOX, canonical({"log": JOINS, "record": record}))
    elif place == "arrivals":
        arrival = {key: record[key] for key in ("guild_id", "user_id", "timestamp", "join_id")}
        client.hset(keys.ARRIVALS, mapping={str(record["join_id"]): canonical(arrival), "x": b"[]"})
    elif place == "published":
        client.hset(keys.PUBLISHED, str(record["join_id"]), "1-1")


@pytest.mark.parametrize("place", PLACES)
def test_a_join_that_has_a_record_or_is_about_to_have_one_is_here(ours: Any, place: str) -> None:
    others = (old(1), old(0, guild_id="9"), old(0, timestamp="2025-10-31T18:07:00"))
    assert ours(place, old(0), *others) == [HERE, NEW, NEW, NEW]


@pytest.mark.parametrize("place", PLACES[:-1])
def test_times_within_two_seconds_are_one_join(ours: Any, place: str) -> None:
    first, seconds = "2025-10-31T14:30:45.123456", ("43.123456", "47.123456", "43.123455", "47.123457")
    near = [old(0, timestamp=f"2025-10-31T14:30:{second}") for second in seconds]
    assert ours(place, *near, timestamp=first)[:2] == [HERE, HERE]
    assert not any(known.here for known in ours("none", *near, timestamp=first)[2:])


def test_a_record_here_that_names_another_invite_is_said_to_differ(ours: Any) -> None:
    assert ours("database", old(0, invite_code="other"), old(0)) == [Known(here=True, differs=True), HERE]


def test_a_record_here_that_names_no_invite_does_not_contradict(ours: Any) -> None:
    none = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
    assert ours("database", old(0), confidence="unknown", **none) == [HERE]


@pytest.mark.parametrize("same", [True, False])
def test_a_line_that_repeats_an_earlier_one_is_no_second_join(ours: Any, same: bool) -> None:
    lines = [old(1), old(1, timestamp="2025-10-31T14:30:48"), old(1, timestamp="2025-10-31T14:30:55")]
    if not same:
        lines[1]["invite_code"] = "other"
    assert ours("none", *lines) == [NEW, Known(repeats=2, differs=not same), NEW]


def test_either_of_two_moments_of_a_time_that_came_twice_is_compared(ours: Any) -> None:
    later = "2025-10-26T01:30:00.000000"
    assert ours("database", old(0, timestamp="2025-10-26T02:30:01"), zone="Europe/Berlin", timestamp=later) == [HERE]


@pytest.mark.parametrize(
    ("written", "shift"),
    [
        ("2025-10-31T15:30:45.5", timedelta(hours=-1)),
        ("2025-10-31T09:00:45.5", timedelta(hours=5, minutes=30)),
        ("2025-10-31T15:37:45.5", None),
        ("2025-11-01T05:30:45.5", None),
    ],
)
@pytest.mark.parametrize("place", ["database", "stream"])
def test_a_join_that_would_be_here_by_another_time_zone_is_told(
    ours: Any, place: str, written: str, shift: timedelta | None
) -> None:
    record = {"timestamp": "2025-10-31T14:30:45.000000"}
    assert ours(place, old(0, timestamp=written), **record) == [Known(shift=shift)]


def test_a_record_a_little_further_away_is_told(ours: Any) -> None:
    record = {"timestamp": "2025-10-31T14:30:45.000000"}
    lines = [old(0, timestamp=f"2025-10-31T14:{time}") for time in ("30:50", "31:44.9", "31:47")]
    apart = [Known(apart=timedelta(seconds=5)), Known(apart=timedelta(seconds=59.9)), NEW]
    assert [ours("database", *lines[:1], **record), ours("none", *lines[1:])] == [apart[:1], apart[1:]]


def test_the_lines_of_the_file_itself_are_no_sign_of_another_time_zone(ours: Any) -> None:
    assert ours("none", old(1), old(1, timestamp="2025-10-31T15:30:46.123456")) == [NEW, NEW]


def test_without_a_server_the_database_alone_is_asked(ours: Any) -> None:
    assert ours("database", old(0), old(1), client=False) == [HERE, NEW]


def test_it_refuses_where_neither_database_nor_stream_tells(redis_client: Client, tmp_path: Path) -> None:
    redis_client.hset(keys.TRIMMED, JOINS, "1761921045123-0")
    with pytest.raises(InviteLogError, match="run this on the machine of the sqlite consumer"):
        KnownHere(redis_client, tmp_path, WITHIN)
    put("database", redis_client, tmp_path, {})
    KnownHere(redis_client, tmp_path, WITHIN).__exit__(None, None, None)


def test_a_second_reading_does_not_take_the_first_for_repeated_lines(redis_client: Client, tmp_path: Path) -> None:
    with KnownHere(redis_client, tmp_path, WITHIN) as here:
        for _ in range(2):
            here.begin()
            assert here.look(made(old(0), old(1))) == [NEW, NEW]


@pytest.mark.parametrize(
    ("here", "shifted", "wrong"),
    [(0, 1, True), (3, 1, True), (4, 1, True), (5, 1, False), (0, 0, False), (90, 30, True)],
)
def test_a_time_zone_is_wrong_when_a_fifth_fits_only_by_another(here: int, shifted: int, wrong: bool) -> None:
    tally = Tally("old.json", here=here)
    for _ in range(shifted):
        tally.add(made(old())[0], Known(shift=timedelta(hours=-2)))
    assert (tally.fault() is not None) == wrong
    if wrong:
        assert f"-2:00 ({shifted})" in str(tally.fault())


def test_many_records_a_few_seconds_from_ours_ask_for_a_wider_look() -> None:
    tally = Tally("old.json", here=4)
    tally.add(made(old())[0], Known(apart=timedelta(seconds=7)))
    assert "1 are up to 7.0 s away from a record of the same member" in str(tally.fault())
    assert Tally("old.json", here=5, close=1).fault() is None


def test_rounded_ids_are_a_fault_when_they_are_more_than_chance() -> None:
    assert Tally("old.csv", long_ids=100, rounded_ids=2).fault() is None
    assert "a spreadsheet has rounded them" in str(Tally("old.csv", long_ids=100, rounded_ids=30).fault())
