"""A Redis server whose memory is full and that evicts nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Consumers, Server
from test_healing import logged, record, recording, stream, until

from joins import keys, process_report
from joins.json_format import from_line
from joins.records import JOINS
from joins.redis_url import Client
from producer import publishing
from producer.outbox_alarm import REDIS_FULL

ROOM = "8mb"  # an empty server takes about one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience between tries."""
    monkeypatch.setattr(publishing, "TICK", 0.02)
    monkeypatch.setattr(publishing, "LONGEST_DELAY", 0.2)
    monkeypatch.setattr(publishing, "HOUSEKEEPING", 0.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server", maxmemory=ROOM)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    made = server.client()
    yield made
    made.close()


def full(client: Client) -> None:
    """Leaves no room."""
    client.config_set("maxmemory", 1)


def state(client: Client) -> str:
    report = process_report.read(client, ("producer",)).get("producer")
    return f"{report.state}: {report.reason}" if report else "none"


async def test_what_a_full_server_refuses_waits_in_the_outbox_and_drains_when_there_is_room(
    server: Server, client: Client, tmp_path: Path
) -> None:
    async with recording(server.url, tmp_path / "logs") as made:
        promised = await record(made, 0, 20)
        await until(lambda: not made.publishing.backlog().records)
        full(client)
        promised += await record(made, 20, 80)
        await made.arrived({"join_id": "a"})
        await until(lambda: made.publishing.trouble == REDIS_FULL)
        await until(lambda: state(client) == f"failing: {REDIS_FULL}")
        backlog = made.publishing.backlog()
        assert (backlog.records, backlog.redis_full) == (80, True)
        assert len(stream(client)) == 20
        client.config_set("maxmemory", ROOM)
        await until(lambda: stream(client) == promised)
        await until(lambda: made.publishing.trouble is None)
        assert not made.publishing.backlog().redis_full


async def test_a_server_filled_by_sinks_that_were_away_is_emptied_by_them_and_nothing_is_missing(
    server: Server, client: Client, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    consumers = Consumers(server.url, logs)
    try:
        async with recording(server.url, logs, window=100) as made:
            promised = []
            for start in range(0, 9000, 500):
                promised += await record(made, start, 500)
            await until(lambda: made.publishing.trouble == REDIS_FULL, 180)
            assert 0 < len(stream(client)) < 9000
            consumers.start(*keys.SINKS)
            await until(lambda: made.publishing.backlog().records == 0, 240)
            await until(lambda: client.xlen(keys.stream(JOINS)) <= 200, 180)
        codes = await asyncio.to_thread(consumers.end)
    finally:
        consumers.stop_all()
    assert codes == dict.fromkeys(keys.SINKS, 0)
    assert [(item["event_id"], item["join_id"]) for item in logged(logs)] == promised


async def test_a_sink_waits_while_a_dead_letter_finds_no_room_and_goes_on_when_it_does(
    server: Server, client: Client, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    consumers = Consumers(server.url, logs)

    def said() -> str:
        report = process_report.read(client, ("json",)).get("json")
        return f"{report.state}: {report.reason}" if report else ""

    try:
        async with recording(server.url, logs) as made:
            promised = await record(made, 0, 3)
            await until(lambda: not made.publishing.backlog().records)
            wrong = client.xadd(keys.stream(JOINS), {"junk": "x" * 1_000_000, "reason": "mine"})
            assert isinstance(wrong, bytes)
            promised += await record(made, 3, 3)
            await until(lambda: client.xlen(keys.stream(JOINS)) == 7)
            full(client)
            consumers.start("json")
            await until(lambda: said().startswith("failing: entry"), 30)
            assert f"entry {wrong.decode()} of the joins log is no valid record" in said()
            assert "too full to keep it as a dead letter" in said()
            (group,) = (group for group in client.xinfo_groups(keys.stream(JOINS)) if group["name"] == b"json")
            assert group["pending"] + (group["lag"] or 0) == 7, "nothing is acknowledged"
            assert client.xlen(keys.DEAD_LETTERS) == 0
            client.config_set("maxmemory", "64mb")
            await until(lambda: client.xlen(keys.DEAD_LETTERS) == 1, 60)
            await until(lambda: said().startswith("working"), 30)
            assert [(item["event_id"], item["join_id"]) for item in logged(logs)] == promised
    finally:
        consumers.stop_all()
    ((_, letter),) = client.xrange(keys.DEAD_LETTERS)
    assert json.loads(letter[b"fields"]) == ["junk", "x" * 1_000_000, "reason", "mine"]
    assert letter[b"reason"] == b"the entry has not the fields v and r of a record"
    assert from_line(JOINS, client.xrange(keys.stream(JOINS))[0][1][b"r"])["join_id"] == promised[0][1]
