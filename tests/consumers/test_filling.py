"""A sink whose data is gone, old or damaged is filled again from another copy, once the stream no longer has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from factories import Feed, queue_length
from sink_kinds import LOCAL, Place

from consumers import filling
from consumers.delivery import Delivery
from consumers.filling import Filling
from joins import keys
from joins.errors import LeaseLost, StreamTrimmed
from joins.log_files import json_path
from joins.records import CHANGES, JOINS, LOGS
from joins.redis_url import Client
from joins.settings import Settings


class House:
    """Four real sinks in a folder, a feed, and a stream that keeps little."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.folder, self.feed = folder, Feed(client)
        self.places: dict[str, Place] = {sink: make(folder) for sink, make in LOCAL.items()}
        self.allowed: Callable[[], None] = lambda: None
        self.deliveries = {sink: self.delivery(sink) for sink in keys.SINKS}

    def delivery(self, sink: str) -> Delivery:
        fill = Filling(sink, Settings(invite_logs_dir=self.folder), lambda: self.allowed(), lambda: True)
        return Delivery(self.feed.client, sink, self.places[sink].open, lambda: self.allowed(), fill.fill)

    def run(self, *sinks: str) -> None:
        for sink in sinks or keys.SINKS:
            self.deliveries[sink].run(lambda: True)

    def publish(self, joins: int, changes: int = 0) -> None:
        self.feed.publish(joins, JOINS)
        self.feed.publish(changes, CHANGES)

    def trim(self) -> None:
        for log in LOGS:
            self.feed.publisher.trim(log, 5)

    def lose(self, sink: str) -> None:
        self.deliveries[sink].close()
        self.places[sink].lose()

    def holds(self, sink: str) -> bool:
        return all(self.places[sink].read(log) == self.feed.chain(log) for log in LOGS)


@pytest.fixture
def house(redis_client: Client, tmp_path: Path) -> House:
    made = House(redis_client, tmp_path)
    made.publish(300, 30)
    made.run()
    made.trim()
    return made


@pytest.mark.parametrize("source", keys.SINKS)
@pytest.mark.parametrize("sink", keys.SINKS)
def test_each_sink_can_be_filled_from_each_other_one(house: House, sink: str, source: str) -> None:
    for other in keys.SINKS:
        if other not in (sink, source):
            house.lose(other)
    if sink != source:
        house.lose(sink)
    house.publish(20, 2)
    house.run(sink)
    assert house.holds(sink)
    assert queue_length(house.feed.client, sink) == 0


def test_yesterdays_file_put_back_is_completed(house: House) -> None:
    path = json_path(house.folder, JOINS)
    yesterday = path.read_bytes()
    house.publish(50)
    house.run()
    house.trim()
    path.write_bytes(yesterday)
    house.publish(1)
    for _ in range(2):
        try:
            house.run("json")
        except Exception:
            house.deliveries["json"] = house.delivery("json")
    assert house.holds("json")


def test_a_long_filling_goes_on_turn_by_turn(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(filling, "BATCH", 40)
    house.lose("csv")
    turns = 0
    while not house.holds("csv"):
        assert house.deliveries["csv"].backlog() >= 0
        house.run("csv")
        turns += 1
        assert turns < 20
    assert turns > 2


def test_nothing_is_written_without_the_lease(house: House) -> None:
    def refuse() -> None:
        raise LeaseLost("another writes")

    house.lose("sqlite")
    house.allowed = refuse
    with pytest.raises(LeaseLost):
        house.run("sqlite")
    assert house.places["sqlite"].read(JOINS) == []
    house.allowed = lambda: None
    house.run("sqlite")
    assert house.holds("sqlite")


def test_a_copy_that_was_edited_is_not_copied_and_the_next_one_goes_on(house: House) -> None:
    path = json_path(house.folder, JOINS)
    lines = path.read_bytes().split(b"\n")
    lines[200] = lines[200].replace(b'"abc123XYZ"', b'"abc123XYy"')
    path.write_bytes(b"\n".join(lines))
    house.lose("csv")
    house.run("csv")
    assert house.holds("csv")


def test_where_no_copy_has_what_lies_between_it_says_so_and_writes_nothing(house: House) -> None:
    for sink in keys.SINKS:
        house.lose(sink)
    with pytest.raises(StreamTrimmed, match="no other copy that can be read from here"):
        house.run("json")
    assert house.places["json"].read(JOINS) == []
