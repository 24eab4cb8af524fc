"""Which joins are known: from memory, from the stream, from the database and from the log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from factories import GUILD, Feed, batch, join

from consumers.json_log import JsonLog
from consumers.sqlite_database import SqliteDatabase
from joins import keys
from joins.chain import Record
from joins.errors import SinkUnavailable
from joins.log_files import json_path
from joins.records import JOINS
from joins.redis_url import Client
from producer import known_joins
from producer.known_joins import KnownJoins

USER = "123456789012345678"


def write(folder: Path, records: list[Record], sinks: tuple[type[JsonLog] | type[SqliteDatabase], ...]) -> None:
    for kind in sinks:
        sink = kind(folder)
        sink.write(JOINS, records)
        sink.close()


async def test_a_join_is_known_as_soon_as_it_is_learnt(tmp_path: Path) -> None:
    known, first, second = KnownJoins(tmp_path), join(0), join(5, user_id=USER)
    assert await known.latest(GUILD, USER) is None
    known.learn(second)
    known.learn(first)
    latest, earlier = await known.latest(GUILD, USER), await known.latest(GUILD, USER, before=second["timestamp"])
    assert latest
    assert latest.join_id == second["join_id"]
    assert earlier
    assert earlier.join_id == first["join_id"]
    assert await known.has(first["join_id"])
    assert not await known.has("0" * 32)


async def test_memory_is_bounded_and_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_joins, "REMEMBERED", 3)
    known = KnownJoins(tmp_path)
    for number in range(5):
        known.learn(join(number))
    assert await known.latest(GUILD, USER) is None
    assert [await known.has(join(number)["join_id"]) for number in range(5)] == [False, False, True, True, True]


@pytest.mark.parametrize("sinks", [(JsonLog,), (SqliteDatabase,), (JsonLog, SqliteDatabase)])
async def test_joins_of_earlier_starts_are_known_from_whichever_copy_has_them(
    tmp_path: Path, sinks: tuple[type[JsonLog] | type[SqliteDatabase], ...]
) -> None:
    records = batch(JOINS, 0, 3, user_id=USER)
    write(tmp_path, records, sinks)
    known = KnownJoins(tmp_path)
    latest = await known.latest(GUILD, USER)
    assert latest
    assert (latest.join_id, latest.timestamp) == (records[2]["join_id"], records[2]["timestamp"])
    assert await known.has(records[0]["join_id"])
    assert await known.latest("1", USER) is None
    assert await known.latest(GUILD, "1") is None


async def test_what_a_database_that_lags_does_not_have_yet_is_found_in_the_log(tmp_path: Path) -> None:
    records = batch(JOINS, 0, 3, user_id=USER)
    write(tmp_path, records[:1], (SqliteDatabase,))
    write(tmp_path, records, (JsonLog,))
    latest = await KnownJoins(tmp_path).latest(GUILD, USER)
    assert latest
    assert latest.join_id == records[2]["join_id"]


async def test_a_join_that_is_in_the_stream_alone_is_had(tmp_path: Path, redis_client: Client) -> None:
    (published,) = Feed(redis_client).publish(1)
    assert await KnownJoins(tmp_path, redis_client).has(published.record["join_id"])
    assert not await KnownJoins(tmp_path).has(published.record["join_id"])


@pytest.mark.parametrize("sinks", [(JsonLog,), (SqliteDatabase,)])
async def test_while_no_copy_reaches_what_the_stream_dropped_nobody_can_tell(
    tmp_path: Path, redis_client: Client, sinks: tuple[type[JsonLog] | type[SqliteDatabase], ...]
) -> None:
    records = batch(JOINS, 0, 3)
    known = KnownJoins(tmp_path, redis_client)
    redis_client.hset(keys.TRIMMED, JOINS, records[1]["event_id"])
    write(tmp_path, records[:1], sinks)
    assert await known.has(records[0]["join_id"])
    with pytest.raises(SinkUnavailable, match="cannot be told"):
        await known.has(records[1]["join_id"])
    write(tmp_path, records[1:2], sinks)
    assert await known.has(records[1]["join_id"])
    assert not await known.has(records[2]["join_id"])


async def test_a_torn_log_beside_a_whole_database_is_said_once(
    tmp_path: Path, redis_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    records = batch(JOINS, 0, 3)
    redis_client.hset(keys.TRIMMED, JOINS, records[1]["event_id"])
    write(tmp_path, records[:2], (SqliteDatabase,))
    write(tmp_path, records, (JsonLog,))
    path = json_path(tmp_path, JOINS)
    os.truncate(path, path.read_bytes().rindex(b'"guild_id"'))
    known = KnownJoins(tmp_path, redis_client)
    assert [await known.has(record["join_id"]) for record in records] == [True, True, False]
    assert not await known.has("0" * 32)
    assert caplog.text.count("cannot be searched") == 1
