from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from factories import Feed, queue_length
from memory_sink import Disk, MemorySink, full
from redis.exceptions import ConnectionError as Unreachable

from consumers.delivery import Delivery
from joins import keys
from joins.errors import LeaseLost, NewerVersion, SinkUnavailable, StreamForgot
from joins.records import CHANGES, JOINS
from joins.redis_url import Client


class Bench:
    """A feed, and a delivery for each sink onto a disk of its own."""

    def __init__(self, client: Client) -> None:
        self.feed = Feed(client)
        self.disks = {sink: Disk() for sink in keys.SINKS}
        self.allowed: Callable[[], None] = lambda: None
        self.deliveries = {sink: self._delivery(sink) for sink in keys.SINKS}
        for delivery in self.deliveries.values():
            delivery.backlog()

    def _delivery(self, sink: str) -> Delivery:
        return Delivery(self.feed.client, sink, lambda: MemorySink(self.disks[sink]), lambda: self.allowed())

    def run(self, sink: str = "json") -> None:
        self.deliveries[sink].run(lambda: True)

    def restart(self, sink: str = "json") -> None:
        self.deliveries[sink] = self._delivery(sink)

    def holds(self, sink: str = "json", log: str = JOINS) -> bool:
        return self.disks[sink].logs[log] == self.feed.chain(log)


@pytest.fixture
def bench(redis_client: Client) -> Bench:
    return Bench(redis_client)


def test_both_logs_are_delivered_in_order_and_the_queue_is_empty_then(bench: Bench) -> None:
    bench.feed.publish(1200, JOINS)
    bench.feed.publish(30, CHANGES)
    assert queue_length(bench.feed.client, "json") == 1230
    bench.run()
    assert bench.holds(log=JOINS)
    assert bench.holds(log=CHANGES)
    assert queue_length(bench.feed.client, "json") == 0
    assert queue_length(bench.feed.client, "csv") == 1230
    assert bench.deliveries["json"].delivered == 1230


def test_what_the_sink_has_already_is_dropped_and_acknowledged(bench: Bench) -> None:
    bench.feed.publish(20)
    bench.run()
    bench.feed.client.xgroup_setid(keys.stream(JOINS), "json", "0-0")
    bench.run()
    assert bench.holds()
    assert queue_length(bench.feed.client, "json") == 0


@pytest.mark.parametrize("step", ["open", "head", "write", "half", "written"])
@pytest.mark.parametrize(
    "fault", [full(), OSError("broken"), RuntimeError("a fault of the program"), Unreachable("gone")]
)
def test_a_fault_at_any_step_loses_and_doubles_nothing(bench: Bench, step: str, fault: Exception) -> None:
    bench.feed.publish(30)
    bench.run()
    bench.feed.publish(30)
    bench.disks["json"].faults[step] = [fault]
    if step == "open":
        bench.deliveries["json"].close()
    with pytest.raises(type(fault)):
        bench.run()
    bench.deliveries["json"].give_back()
    length = queue_length(bench.feed.client, "json")
    assert length == 30, "the count is what is not acknowledged"
    bench.feed.publish(5)
    bench.run()
    assert bench.holds()
    assert queue_length(bench.feed.client, "json") == 0


@pytest.mark.parametrize("method", ["xreadgroup", "evalsha", "exists"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_server_that_fails_at_any_call_loses_and_doubles_nothing(
    bench: Bench, method: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.feed.publish(30)
    calls, right = [], getattr(bench.feed.client, method)

    def failing(*args: Any, **options: Any) -> Any:
        calls.append(1)
        result = right(*args, **options)
        if len(calls) == nth:
            raise Unreachable("the answer was lost")
        return result

    monkeypatch.setattr(bench.feed.client, method, failing)
    for _ in range(3):
        try:
            bench.run()
        except Unreachable:
            continue
    monkeypatch.undo()
    bench.run()
    assert bench.holds()
    assert queue_length(bench.feed.client, "json") == 0


def test_tries_that_cannot_even_open_the_sink_burn_no_tokens(bench: Bench) -> None:
    fresh = Bench(bench.feed.client)
    bench.feed.client.flushall()
    fresh.feed.publisher.begin_epoch(fresh.feed.epoch)
    fresh.restart("cloud")
    fresh.feed.publish(20)
    for _ in range(5):
        fresh.disks["cloud"].faults["open"] = [full()]
        with pytest.raises(SinkUnavailable):
            fresh.run("cloud")
        fresh.feed.client.lpop(keys.queue("cloud"))  # the token that RQ took for this try
        fresh.deliveries["cloud"].give_back()
        assert queue_length(fresh.feed.client, "cloud") == 20
    fresh.run("cloud")
    assert fresh.holds("cloud")


def test_a_process_that_may_not_write_does_not(bench: Bench) -> None:
    bench.feed.publish(3)

    def refuse() -> None:
        raise LeaseLost("another writes")

    bench.allowed = refuse
    with pytest.raises(LeaseLost):
        bench.run()
    assert bench.disks["json"].logs[JOINS] == []
    bench.allowed = lambda: None
    bench.run()
    assert bench.holds()


def test_it_stops_between_batches_when_told(bench: Bench) -> None:
    bench.feed.publish(1200)
    turns = iter([True, False])
    bench.deliveries["json"].run(lambda: next(turns))
    assert len(bench.disks["json"].logs[JOINS]) == 500
    assert queue_length(bench.feed.client, "json") == 700


def test_an_invalid_entry_goes_to_the_dead_letters_once_and_binds_all_sinks(bench: Bench) -> None:
    bench.feed.publish(3)
    last = bench.feed.published[JOINS][-1].event_id.partition("-")[0]
    bench.feed.client.xadd(keys.stream(JOINS), {"junk": "by hand"}, id=f"{last}-77")
    bench.feed.publish(4)
    for sink in keys.SINKS:
        bench.run(sink)
        assert bench.holds(sink)
        assert queue_length(bench.feed.client, sink) == 0
    ((_, letter),) = bench.feed.client.xrange(keys.DEAD_LETTERS)
    assert letter[b"event_id"] == f"{last}-77".encode()
    for sink in keys.SINKS:
        bench.restart(sink)
        bench.run(sink)
        assert bench.holds(sink)
    assert bench.feed.client.xlen(keys.DEAD_LETTERS) == 1


def test_a_record_of_a_newer_version_waits_and_those_before_it_are_delivered(bench: Bench) -> None:
    bench.feed.publish(3)
    last = bench.feed.published[JOINS][-1].event_id.partition("-")[0]
    bench.feed.client.xadd(keys.stream(JOINS), {"v": "2", "id": "x", "r": "{}"}, id=f"{last}-77")
    bench.feed.publish(2)
    bench.feed.publish(2, CHANGES)
    for _ in range(3):
        with pytest.raises(NewerVersion):
            bench.run()
        bench.deliveries["json"].give_back()
        assert len(bench.disks["json"].logs[JOINS]) == 3
        assert queue_length(bench.feed.client, "json") == 3, "the newer one and the two behind it"
        assert bench.holds(log=CHANGES)
    assert bench.feed.client.xlen(keys.DEAD_LETTERS) == 0


def test_a_newer_record_in_one_log_does_not_hold_up_the_other(bench: Bench) -> None:
    bench.feed.client.xadd(keys.stream(JOINS), {"v": "2", "id": "x", "r": "{}"}, id="5-0")
    bench.feed.publish(2, CHANGES)
    with pytest.raises(NewerVersion):
        bench.run()
    assert bench.holds(log=CHANGES)


def test_a_new_epoch_opens_the_sink_again_and_puts_the_group_where_it_ends(bench: Bench) -> None:
    bench.feed.publish(10)
    bench.run()
    before = bench.disks["json"].opened
    bench.feed.client.flushall()
    bench.feed.epoch = "healed"
    bench.feed.publisher.begin_epoch("healed")
    bench.feed.send(JOINS, bench.feed.published[JOINS])
    bench.feed.publish(5)
    bench.run()
    assert bench.disks["json"].opened == before + 1
    assert bench.holds()
    assert queue_length(bench.feed.client, "json") == 0


def test_a_server_that_forgot_is_waited_for(bench: Bench) -> None:
    bench.feed.publish(10)
    bench.run()
    bench.feed.client.delete(keys.stream(JOINS), keys.stream(CHANGES))
    with pytest.raises(StreamForgot):
        bench.run()
    bench.feed.send(JOINS, bench.feed.published[JOINS])
    bench.feed.publish(3)
    bench.run()
    assert bench.holds()


def test_a_sink_that_lost_its_data_is_filled_again(bench: Bench) -> None:
    bench.feed.publish(10)
    bench.run()
    bench.deliveries["json"].close()
    bench.disks["json"].logs[JOINS].clear()
    bench.feed.publish(2)
    bench.run()
    assert bench.holds()


def test_a_sink_that_cannot_be_opened_still_shows_its_backlog(bench: Bench) -> None:
    bench.deliveries["json"].close()
    bench.feed.publish(4)
    bench.feed.client.delete(keys.queue("json"))
    bench.disks["json"].faults["open"] = [full()]
    with pytest.raises(SinkUnavailable):
        bench.run()
    bench.deliveries["json"].give_back()
    assert queue_length(bench.feed.client, "json") == 4
