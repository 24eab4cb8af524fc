"""Recorders on real servers that stop, forget and come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from factories import GUILD, Feed, change, code_assigned, join, staff_set
from processes import Server

from consumers.delivery import Delivery
from consumers.json_log import JsonLog
from joins import dead_letters, event_id, keys
from joins.chain import Record, canonical, seal
from joins.copies.file_copy import file_copy
from joins.errors import InvalidRecord
from joins.form import json_form
from joins.publish import Sequenced
from joins.records import CHANGES, JOINS
from joins.redis_url import Client, connect
from joins.settings import Settings
from producer import healing, publishing, recorder
from producer.healing import relearn_staff
from producer.outbox import Outbox
from producer.recorder import Recorder
from producer.staff_registry import Staff


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience between tries."""
    monkeypatch.setattr(publishing, "TICK", 0.02)
    monkeypatch.setattr(publishing, "LONGEST_DELAY", 0.1)
    monkeypatch.setattr(publishing, "RENEW_EVERY", 0.05)
    monkeypatch.setattr(recorder, "TAKE_OVER", 0.05)
    monkeypatch.setattr(healing, "REPORTS_SECONDS", 0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    made.start()
    yield made
    made.kill()


@asynccontextmanager
async def recording(url: str, folder: Path, window: int = 10_000) -> AsyncIterator[Recorder]:
    client = connect(Settings(redis_url=url))
    made = await Recorder.start(Settings(redis_url=url, invite_logs_dir=folder, stream_window=window), client)
    try:
        yield made
    finally:
        await made.stop()
        client.close()


async def until(holds: Callable[[], Any], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.01)


def stream(client: Client, log: str = JOINS) -> list[tuple[str, str]]:
    """Id and identity of each entry."""
    return [(name.decode(), fields[b"id"].decode()) for name, fields in client.xrange(keys.stream(log))]


async def record(made: Recorder, start: int, count: int) -> list[tuple[str, str]]:
    records = [join(number) for number in range(start, start + count)]
    ids = await asyncio.gather(*(made.record(JOINS, item) for item in records))
    return list(zip(ids, (str(item["join_id"]) for item in records), strict=True))


def deliver(client: Client, folder: Path) -> None:
    """What the JSON consumer does."""
    delivery = Delivery(client, "json", lambda: JsonLog(folder), lambda: None)
    delivery.run(lambda: True)
    delivery.close()


def logged(folder: Path) -> list[Record]:
    records: list[Record] = json.loads((folder / "invite_joins.json").read_text())
    return records


async def test_records_reach_the_stream_in_order_under_the_ids_that_were_promised(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        promised = await record(made, 0, 250)
        await until(lambda: len(stream(redis_client)) == 250)
    assert stream(redis_client) == promised


async def test_joins_that_come_while_the_server_is_away_are_not_missing(server: Server, tmp_path: Path) -> None:
    async with recording(server.url, tmp_path) as made:
        promised = await record(made, 0, 30)
        server.kill()
        for start in range(30, 60, 10):
            promised += await record(made, start, 10)
            await made.arrived({"join_id": str(start)})
            await asyncio.sleep(0.05)
        server.start()
        promised += await record(made, 60, 10)
        client = server.client()
        await until(lambda: client.xlen(keys.stream(JOINS)) == 70)
        assert stream(client) == promised
        await until(lambda: client.hlen(keys.ARRIVALS) == 3)
        client.close()


async def test_a_restart_while_the_server_is_away_keeps_what_waits(server: Server, tmp_path: Path) -> None:
    async with recording(server.url, tmp_path) as made:
        promised = await record(made, 0, 5)
        server.kill()
        promised += await record(made, 5, 5)
        await made.arrived({"join_id": "unresolved"})
    server.start()
    async with recording(server.url, tmp_path) as made:
        assert [arrival["join_id"] for arrival in made.unresolved()] == ["unresolved"]
        promised += await record(made, 10, 2)
        client = server.client()
        await until(lambda: client.xlen(keys.stream(JOINS)) == 12)
        assert stream(client) == promised
        client.close()


async def test_an_arrival_recorded_but_not_yet_published_is_not_unresolved_after_a_restart(
    server: Server, tmp_path: Path
) -> None:
    record_of = join(0)
    async with recording(server.url, tmp_path) as made:
        await made.arrived({"join_id": record_of["join_id"]})
        client = server.client()
        await until(lambda: client.hlen(keys.ARRIVALS) == 1)
        server.kill()
        await made.record(JOINS, record_of)
    server.start()
    async with recording(server.url, tmp_path) as made:
        assert made.unresolved() == []
        await until(lambda: client.xlen(keys.stream(JOINS)) == 1)
        await until(lambda: client.hlen(keys.ARRIVALS) == 0)
    client.close()


async def test_an_arrival_of_a_producer_whose_disk_is_gone_is_taken_over(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path / "one") as made:
        await made.arrived({"join_id": "orphan", "user_id": "5"})
        await until(lambda: redis_client.hlen(keys.ARRIVALS) == 1)
    async with recording(server_url, tmp_path / "two") as made:
        assert made.unresolved() == [{"join_id": "orphan", "user_id": "5"}]


@pytest.mark.parametrize("logged_before", [0, 12, 20])
async def test_a_server_that_forgot_everything_is_healed_under_the_same_ids(
    server_url: str, redis_client: Client, tmp_path: Path, logged_before: int
) -> None:
    """The records come from the JSON log as far as it reaches, and from the outbox."""
    async with recording(server_url, tmp_path) as made:
        promised = await record(made, 0, logged_before)
        await until(lambda: len(stream(redis_client)) == logged_before)
        if logged_before:
            deliver(redis_client, tmp_path)
        promised += await record(made, 20, 10)
        await until(lambda: len(stream(redis_client)) == logged_before + 10)
        epoch = redis_client.get(keys.EPOCH)
        redis_client.flushall()
        promised += await record(made, 40, 3)
        await until(lambda: stream(redis_client) == promised)
        assert redis_client.get(keys.EPOCH) not in (None, epoch)
    deliver(redis_client, tmp_path)
    assert [(item["event_id"], item["join_id"]) for item in logged(tmp_path)] == promised


async def test_a_server_with_an_older_state_is_healed_at_the_next_start(server: Server, tmp_path: Path) -> None:
    client = server.client()
    async with recording(server.url, tmp_path) as made:
        promised = await record(made, 0, 10)
        await until(lambda: client.xlen(keys.stream(JOINS)) == 10)
        older = client.dump(keys.stream(JOINS))
        promised += await record(made, 10, 10)
        await until(lambda: client.xlen(keys.stream(JOINS)) == 20)
    deliver(client, tmp_path)
    assert isinstance(older, bytes)
    client.restore(keys.stream(JOINS), 0, older, replace=True)
    async with recording(server.url, tmp_path) as made:
        assert stream(client) == promised
        promised += await record(made, 20, 3)
        await until(lambda: stream(client) == promised)
    deliver(client, tmp_path)
    assert [(item["event_id"], item["join_id"]) for item in logged(tmp_path)] == promised
    client.close()


async def test_a_second_producer_of_the_folder_waits_and_takes_over(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as first:
        promised = await record(first, 0, 5)
        client = connect(Settings(redis_url=server_url))
        settings = Settings(redis_url=server_url, invite_logs_dir=tmp_path)
        second = asyncio.create_task(Recorder.start(settings, client))
        await asyncio.sleep(0.3)
        assert not second.done()
        promised += await record(first, 5, 5)
        await until(lambda: stream(redis_client) == promised)
    taken = await asyncio.wait_for(second, 10)
    promised += await record(taken, 10, 5)
    await until(lambda: stream(redis_client) == promised)
    await taken.stop()
    client.close()


async def test_a_second_producer_elsewhere_waits_and_takes_over(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    client = connect(Settings(redis_url=server_url))
    async with recording(server_url, tmp_path / "one") as first:
        promised = await record(first, 0, 5)
        settings = Settings(redis_url=server_url, invite_logs_dir=tmp_path / "two")
        second = asyncio.create_task(Recorder.start(settings, client))
        await asyncio.sleep(0.3)
        assert not second.done()
    taken = await asyncio.wait_for(second, 10)
    promised += await record(taken, 5, 5)
    await until(lambda: stream(redis_client) == promised)
    await taken.stop()
    client.close()


async def test_a_start_that_is_given_up_lets_go_of_the_folder(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path / "one"):
        client = connect(Settings(redis_url=server_url))
        settings = Settings(redis_url=server_url, invite_logs_dir=tmp_path / "two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Recorder.start(settings, client), 0.2)
        client.close()
    async with asyncio.timeout(10), recording(server_url, tmp_path / "two") as made:
        await record(made, 0, 1)
    await until(lambda: len(stream(redis_client)) == 1)


async def test_a_producer_that_lost_the_lease_hands_its_records_over(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path / "one") as first:
        await record(first, 0, 5)
        await until(lambda: len(stream(redis_client)) == 5)
        redis_client.set(keys.lease("sequencer"), "999|somebody|elsewhere")
        await record(first, 5, 5)
        await until(lambda: redis_client.llen(keys.INBOX) == 5)
        redis_client.delete(keys.lease("sequencer"))
        await until(lambda: len(stream(redis_client)) == 10)
        await until(lambda: redis_client.llen(keys.INBOX) == 0)
    assert [identity for _, identity in stream(redis_client)] == [join(number)["join_id"] for number in range(10)]


async def test_the_inbox_takes_records_of_other_processes_and_keeps_what_is_none_aside(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    good = [seal(join(0)), join(1), join(0)]
    sealed = seal(join(2))
    bad = [
        b"no json", b"[]", b"{}", canonical({"log": "joins", "record": {"v": 1}}), canonical({"log": [], "record": {}}),
        canonical({"log": "joins", "record": {**sealed, "username": "changed"}}),
        canonical({"log": "joins", "record": {**sealed, "event_id": "1-0"}}),
    ]  # fmt: skip
    redis_client.rpush(keys.INBOX, *(canonical({"log": JOINS, "record": item}) for item in good), *bad)
    async with recording(server_url, tmp_path):
        await until(lambda: redis_client.llen(keys.INBOX) == 0)
        await until(lambda: len(stream(redis_client)) == 2)
    assert [identity for _, identity in stream(redis_client)] == [join(0)["join_id"], join(1)["join_id"]]
    deliver(redis_client, tmp_path)
    assert len(logged(tmp_path)) == 2
    refused = list(dead_letters.letters(redis_client))
    assert [letter.payload for letter in refused] == bad
    assert all(letter.reason for letter in refused)


async def test_the_staff_registry_survives_a_restart_and_a_server_that_forgot(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        for item in (staff_set(0, "7", "maria"), code_assigned(1, "abc", "7"), staff_set(2, "8", "tom")):
            await made.record(CHANGES, item)
        await until(lambda: len(stream(redis_client, CHANGES)) == 3)
        deliver(redis_client, tmp_path)
        await made.record(CHANGES, staff_set(3, "7", "Maria B."))
        await made.record(CHANGES, change(4, "staff_retired", staff_id="8"))
        await until(lambda: len(stream(redis_client, CHANGES)) == 5)
        known = made.registry.of_code(GUILD, "abc"), made.registry.name(GUILD, "8")
    assert known == (Staff("7", "Maria B."), None)
    for forget in (False, True):
        if forget:
            redis_client.flushall()
        async with recording(server_url, tmp_path) as made:
            assert (made.registry.of_code(GUILD, "abc"), made.registry.name(GUILD, "8")) == known
            assert made.registry.of_code("9", "abc") is None


async def test_what_a_crash_left_unpublished_about_staff_counts_from_the_start_on(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        for item in (staff_set(0, "7", "old"), staff_set(1, "8", "other")):
            await made.record(CHANGES, item)
        await until(lambda: len(stream(redis_client, CHANGES)) == 2)
    left = [staff_set(2, "7", "new"), code_assigned(3, "abc", "7"), staff_set(4, "7", "newest")]
    outbox = Outbox(tmp_path / "outbox" / "outbox.jsonl")
    for item in left:
        outbox.add_records([Sequenced(CHANGES, event_id.following(outbox.last[CHANGES]), seal(item))])
    outbox.close()
    async with recording(server_url, tmp_path) as made:
        assert made.registry.of_code(GUILD, "abc") == Staff("7", "newest")
        assert made.registry.of_code(GUILD, "abc", left[0]["recorded_at"]) is None
        assert made.registry.name(GUILD, "8") == "other"


async def test_a_name_that_another_producer_published_since_is_not_undone_by_what_the_outbox_keeps(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    for folder, item in (("a", staff_set(0, "7", "old")), ("b", staff_set(1, "7", "new"))):
        async with recording(server_url, tmp_path / folder) as made:
            await made.record(CHANGES, item)
    assert len(stream(redis_client, CHANGES)) == 2
    async with recording(server_url, tmp_path / "a") as made:
        assert made.registry.name(GUILD, "7") == "new"


def test_staff_is_learnt_again_from_the_log_and_from_what_the_log_lacks(redis_client: Client, tmp_path: Path) -> None:
    feed = Feed(redis_client)
    records = [staff_set(0, "7", "old"), staff_set(1, "7", "new")]
    items = [Sequenced(CHANGES, f"{n + 1}-0", seal(item)) for n, item in enumerate(records)]
    feed.send(CHANGES, items[:1])
    deliver(redis_client, tmp_path)
    feed.send(CHANGES, items[1:])
    redis_client.delete(keys.STAFF)
    relearn_staff(redis_client, file_copy(tmp_path, json_form(CHANGES)), lambda: None)
    assert json.loads(redis_client.hget(keys.STAFF, f"{GUILD}/7") or b"{}")["staff_username"] == "new"


async def test_a_record_that_no_sink_would_take_is_refused_before_it_is_given_a_place(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        for wrong in (
            {**join(0), "evidence": {"text": "x" * 70_000}},
            {**join(0), "event_id": "1-0"},
            {**join(0), "user_id": "me"},
        ):
            with pytest.raises(InvalidRecord):
                await made.record(JOINS, wrong)
    assert stream(redis_client) == []
