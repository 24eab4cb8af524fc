"""What healing does not do: read a whole log, fill the server, or go on over a hole."""

from __future__ import annotations

from pathlib import Path

import pytest
from factories import Feed, join
from test_healing import deliver, record, recording, stream, until

from joins import keys, process_report
from joins.errors import SinkUnavailable
from joins.log_files import json_path
from joins.process_report import Report
from joins.records import JOINS
from joins.redis_url import Client
from producer import healing, publishing
from producer.outbox import Outbox


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience between tries."""
    monkeypatch.setattr(publishing, "TICK", 0.02)
    monkeypatch.setattr(publishing, "LONGEST_DELAY", 0.1)
    monkeypatch.setattr(healing, "REPORTS_SECONDS", 0.05)


def reason(client: Client) -> str | None:
    """What the producer's report gives as its trouble."""
    report = process_report.read(client, ("producer",)).get("producer")
    return report.reason if report else None


async def test_only_as_many_records_are_given_back_as_a_stream_keeps(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    feed = Feed(redis_client)
    feed.publish(350)
    deliver(redis_client, tmp_path)
    before = stream(redis_client)
    redis_client.flushall()
    async with recording(server_url, tmp_path, window=100):
        assert stream(redis_client) == before[-100:]
        # Whoever ends below them lacks some, and is told so.
        assert redis_client.hget(keys.TRIMMED, JOINS) == before[-101][0].encode()


async def test_a_log_that_cannot_be_read_stops_neither_the_start_nor_the_other_sinks(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    json_path(tmp_path, JOINS).write_text("[1,2,3]")
    async with recording(server_url, tmp_path) as made:
        promised = await record(made, 0, 5)
        await until(lambda: stream(redis_client) == promised)


async def test_nothing_is_published_while_a_sink_is_known_to_reach_further_than_any_copy(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        await record(made, 0, 3)
        await until(lambda: len(stream(redis_client)) == 3)
        redis_client.flushall()
        process_report.send(redis_client, Report("csv", heads={JOINS: "9999999999999-0"}))
        await record(made, 3, 1)
        await until(lambda: "csv sink reaches further" in str(made.publishing.trouble))
        assert stream(redis_client) == []
        process_report.withdraw(redis_client, "csv")
        await until(lambda: len(stream(redis_client)) == 4)


async def test_arrivals_that_the_disk_refuses_are_kept_in_redis_and_the_trouble_is_told(
    server_url: str, redis_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SinkUnavailable("the disk is full")

    async with recording(server_url, tmp_path) as made:
        append = Outbox._append
        monkeypatch.setattr(Outbox, "_append", refuse)
        waiting = made.publishing.sequencer.submit_arrival({"join_id": "a"})
        await until(lambda: redis_client.hexists(keys.ARRIVALS, "a"))
        assert not waiting.done()
        await until(lambda: reason(redis_client) == "the disk is full")
        monkeypatch.setattr(Outbox, "_append", append)
        await until(waiting.done)


async def test_somebody_who_gave_up_waiting_does_not_stop_the_sequencer(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        made.publishing.sequencer.submit_arrival({"join_id": "a"}).cancel()
        event_id = await made.record(JOINS, join(1))
        await until(lambda: [entry for entry, _ in stream(redis_client)] == [event_id])
