"""Up to when each guild was listened to."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from joins import keys
from joins.records import timestamp
from joins.redis_url import Client
from producer import listened
from producer.listened import FIRST, MARGIN, Listened
from producer.presence import Presence

LONG_AGO = datetime(2025, 10, 31, tzinfo=UTC)


def loaded(client: Client, recorded: datetime | None = None) -> Listened:
    times = Listened(client)
    times.load(lambda: recorded)
    return times


def test_the_first_start_is_written_once_and_bounds_every_guild(redis_client: Client) -> None:
    before = datetime.now(UTC)
    first = loaded(redis_client).since("1", None)
    assert before <= first <= datetime.now(UTC)
    assert loaded(redis_client).since("1", None) == first, "the second start does not move it"
    assert loaded(redis_client).since("1", LONG_AGO) == first, "the bot was there before the log began"


def test_nobody_is_missed_from_before_the_bot_was_added(redis_client: Client) -> None:
    redis_client.hset(keys.LISTENED, mapping={FIRST: timestamp(LONG_AGO), "1": timestamp(LONG_AGO)})
    added = LONG_AGO + timedelta(days=9)
    assert loaded(redis_client).since("1", added) == added
    assert loaded(redis_client).since("2", added) == added


def test_where_server_and_disk_know_nothing_it_begins_when_the_log_began(redis_client: Client) -> None:
    assert loaded(redis_client, LONG_AGO).since("1", None) == LONG_AGO


async def test_a_server_that_forgot_takes_no_time_away(redis_client: Client, tmp_path: Path) -> None:
    path = tmp_path / "listened.json"
    times = Listened(redis_client, path)
    times.load()
    first, heard = times.since("2", None), datetime.now(UTC) + timedelta(seconds=1)
    times.begin("1", heard)
    await times.write()
    redis_client.flushall()
    again = Listened(redis_client, path)
    again.load(lambda: heard + timedelta(hours=1))  # nobody asks when the log began
    assert (again.since("1", None), again.since("2", None)) == (heard, first)
    assert redis_client.hget(keys.LISTENED, FIRST) == timestamp(first).encode()


def test_of_two_times_of_a_guild_the_later_one_counts(redis_client: Client, tmp_path: Path) -> None:
    path = tmp_path / "listened.json"
    earlier, later = timestamp(LONG_AGO), timestamp(LONG_AGO + timedelta(days=1))
    path.write_text(json.dumps({FIRST: earlier, "1": earlier, "2": later}))
    redis_client.hset(keys.LISTENED, mapping={FIRST: earlier, "1": later, "2": earlier})
    times = Listened(redis_client, path)
    times.load()
    assert {timestamp(times.since(guild, None)) for guild in ("1", "2")} == {later}


@pytest.mark.parametrize("found", [b"", b"{", b"[]", b'{"first": 7}'])
def test_a_file_that_cannot_be_read_is_no_reason_not_to_start(
    redis_client: Client, tmp_path: Path, found: bytes
) -> None:
    path = tmp_path / "listened.json"
    path.write_bytes(found)
    times = Listened(redis_client, path)
    times.load(lambda: LONG_AGO)
    assert times.since("1", None) == LONG_AGO


async def test_the_time_moves_on_while_listening_a_margin_behind_and_never_back(
    redis_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listened, "GATHER", 0.0)
    times = loaded(redis_client, LONG_AGO)
    now = datetime.now(UTC)
    times.begin("quiet", now - MARGIN - timedelta(seconds=10))
    times.begin("recent", now)
    times.begin("away", LONG_AGO)
    times.pause("away")
    running = asyncio.create_task(times.run())
    async with asyncio.timeout(5):
        while not redis_client.hexists(keys.LISTENED, "quiet"):  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.01)
    running.cancel()
    again = loaded(redis_client)
    assert abs(again.since("quiet", None) - (datetime.now(UTC) - MARGIN)) < timedelta(seconds=5)
    assert (again.since("recent", None), again.since("away", None)) == (now, LONG_AGO)


def test_what_cannot_be_read_counts_as_the_first_start(redis_client: Client) -> None:
    redis_client.hset(keys.LISTENED, mapping={FIRST: timestamp(LONG_AGO), "1": "yesterday"})
    assert loaded(redis_client).since("1", None) == LONG_AGO


def test_a_presence_is_read_from_guild_create_as_far_as_it_goes() -> None:
    data = {"id": "1", "name": "PipVault", "joined_at": "2025-10-31T01:00:00+01:00", "features": ["DISCOVERABLE"]}
    presence = Presence.of(data | {"member_count": 3}, "9")
    assert (presence.bot_joined, presence.members, presence.discoverable) == (LONG_AGO, 3, True)
    assert Presence.of({"id": "1"}, "9").bot_joined is None


async def test_a_machine_that_slept_does_not_take_the_time_for_listened_to(redis_client: Client) -> None:
    kept = Listened(redis_client)
    fell_asleep = datetime.now(UTC) - timedelta(hours=1)
    kept.begin("1", fell_asleep)
    await kept.write()
    assert kept.times["1"] <= fell_asleep + listened.STRIDE
