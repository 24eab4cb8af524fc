from __future__ import annotations

import json

import pytest
from factories import GUILD, Feed, change, code_assigned, event, join, queue_length, sequenced, staff_set

from joins import keys
from joins.chain import seal
from joins.errors import LeaseLost, StreamForgot
from joins.groups import Group
from joins.publish import Publisher, Sequenced
from joins.records import CHANGES, JOINS
from joins.redis_url import Client


def length(client: Client, log: str = JOINS) -> int:
    return int(client.xlen(keys.stream(log)))


@pytest.fixture
def feed(redis_client: Client) -> Feed:
    return Feed(redis_client)


def test_records_stand_in_the_stream_under_the_ids_their_sequencer_gave(feed: Feed) -> None:
    items = feed.publish(5)
    ids = [entry_id.decode() for entry_id, _ in feed.client.xrange(keys.stream(JOINS))]
    assert ids == [item.event_id for item in items]
    assert feed.publisher.last_id(JOINS) == items[-1].event_id
    assert feed.publisher.last_id(CHANGES) == "0-0"


def test_publishing_again_adds_nothing_and_gives_the_same_ids(feed: Feed) -> None:
    items = feed.publish(5)
    for _ in range(3):
        assert feed.send(JOINS, items) == [item.event_id for item in items]
    assert length(feed.client) == 5
    assert [queue_length(feed.client, sink) for sink in keys.SINKS] == [5] * 4


def test_a_record_that_was_published_under_another_id_keeps_that_one(feed: Feed) -> None:
    (first,) = feed.publish(1)
    again = Sequenced(JOINS, event(50), first.record)
    assert feed.send(JOINS, [again]) == [first.event_id]
    assert length(feed.client) == 1


def test_an_id_that_stands_there_already_is_not_added_again_though_its_identity_was_forgotten(feed: Feed) -> None:
    items = feed.publish(3)
    feed.client.delete(keys.PUBLISHED)
    assert feed.send(JOINS, items) == [item.event_id for item in items]
    assert length(feed.client) == 3


def test_a_record_that_comes_too_late_for_its_id_is_told_so_and_the_others_are_added(feed: Feed) -> None:
    feed.send(JOINS, sequenced(JOINS, 5, 1))
    late, fresh = sequenced(JOINS, 3, 1)[0], sequenced(JOINS, 6, 1)[0]
    assert feed.send(JOINS, [late, fresh]) == [None, fresh.event_id]
    assert length(feed.client) == 2


def test_both_logs_have_their_own_order(feed: Feed) -> None:
    feed.publish(3, JOINS)
    feed.publish(2, CHANGES)
    assert (length(feed.client, JOINS), length(feed.client, CHANGES)) == (3, 2)
    assert [queue_length(feed.client, sink) for sink in keys.SINKS] == [5] * 4


def test_a_stale_or_missing_epoch_refuses_all_of_it(feed: Feed) -> None:
    items = sequenced(JOINS, 0, 2)
    for epoch in ("another", None):
        feed.client.set(keys.EPOCH, epoch) if epoch else feed.client.delete(keys.EPOCH)
        with pytest.raises(StreamForgot, match="epoch"):
            feed.send(JOINS, items)
    assert length(feed.client) == 0


def test_a_lost_lease_refuses_all_of_it(feed: Feed) -> None:
    items = sequenced(JOINS, 0, 2)
    with pytest.raises(LeaseLost):
        feed.publisher.publish(JOINS, items, feed.epoch, "1|another|", "0-0")
    assert length(feed.client) == 0


def test_a_stream_that_lost_its_end_is_noticed_before_anything_is_added(feed: Feed) -> None:
    items = feed.publish(5)
    feed.client.delete(keys.stream(JOINS))
    with pytest.raises(StreamForgot, match="forgotten records"):
        feed.send(JOINS, sequenced(JOINS, 5, 1), last=items[-1].event_id)
    assert length(feed.client) == 0


def test_the_jobs_behind_the_tokens_are_written_with_the_first_record(feed: Feed) -> None:
    feed.publish(1)
    for sink in keys.SINKS:
        assert feed.client.lrange(keys.queue(sink), 0, -1) == [keys.job_id(sink).encode()]
        assert feed.client.exists(keys.job(keys.job_id(sink)))
        assert feed.client.ttl(keys.job(keys.job_id(sink))) == -1
    assert feed.client.smembers(keys.RQ_QUEUES) == {keys.queue(sink).encode() for sink in keys.SINKS}


def test_an_arrival_is_gone_once_its_record_is_published(feed: Feed) -> None:
    record = join(0)
    feed.client.hset(keys.ARRIVALS, mapping={record["join_id"]: "{}", "other": "{}"})
    feed.publish(1)
    assert feed.client.hkeys(keys.ARRIVALS) == [b"other"]


def test_staff_records_fill_the_look_up_hashes(feed: Feed) -> None:
    records = [
        staff_set(0, "7", "maria"),
        code_assigned(1, "abc", "7"),
        change(2),
        change(3, "staff_retired", staff_id="8"),
    ]
    items = [Sequenced(CHANGES, event(n), seal(record)) for n, record in enumerate(records)]
    feed.send(CHANGES, items)
    staff = {field.decode(): json.loads(value) for field, value in feed.client.hgetall(keys.STAFF).items()}
    assert staff[f"{GUILD}/7"] == {
        "staff_username": "maria", "ib_link": "https://ib.example/7", "ib_code": "IB7", "retired": False,
    }  # fmt: skip
    assert staff[f"{GUILD}/8"]["retired"]
    assert feed.client.hgetall(keys.CODES) == {f"{GUILD}/abc/{records[1]['recorded_at']}".encode(): b"7"}


def test_an_old_registration_published_again_does_not_override_a_later_one(feed: Feed) -> None:
    old, new = (Sequenced(CHANGES, event(n), seal(staff_set(n, "7", name))) for n, name in enumerate(["old", "new"]))
    feed.send(CHANGES, [old])
    feed.send(CHANGES, [new])
    feed.send(CHANGES, [old])
    assert json.loads(feed.client.hget(keys.STAFF, f"{GUILD}/7") or b"{}")["staff_username"] == "new"


# Trimming


def acknowledge(feed: Feed, sink: str, count: int = 1000) -> None:
    group = Group(feed.client, sink)
    group.settle(group.read(count))


@pytest.fixture
def groups(feed: Feed) -> dict[str, Group]:
    made = {sink: Group(feed.client, sink) for sink in keys.SINKS}
    for group in made.values():
        for log in (JOINS, CHANGES):
            group.align(log, "0-0")
    return made


def test_only_what_all_four_acknowledged_is_trimmed_and_the_window_stays(feed: Feed, groups: dict[str, Group]) -> None:
    feed.publish(30)
    for sink in keys.SINKS[:3]:
        acknowledge(feed, sink)
    assert feed.publisher.trim(JOINS, 10) == 0
    acknowledge(feed, "cloud", 5)
    assert feed.publisher.trim(JOINS, 10) == 5
    assert feed.publisher.trim(JOINS, 10) == 0
    acknowledge(feed, "cloud")
    assert feed.publisher.trim(JOINS, 10) == 15
    assert length(feed.client) == 10
    assert feed.publisher.trim(JOINS, 10) == 0
    assert feed.client.hlen(keys.PUBLISHED) == 10
    assert [group.settle() for group in groups.values()] == [0] * 4


def test_what_was_read_and_not_acknowledged_is_not_trimmed(feed: Feed, groups: dict[str, Group]) -> None:
    feed.publish(30)
    for sink in keys.SINKS[:3]:
        acknowledge(feed, sink)
    entries = groups["cloud"].read(20)
    groups["cloud"].settle(entries[:7])
    assert feed.publisher.trim(JOINS, 0) == 7


def test_nothing_is_trimmed_while_a_sink_has_no_group(feed: Feed) -> None:
    Group(feed.client, "json").align(JOINS, "0-0")
    feed.publish(5)
    acknowledge_all = Group(feed.client, "json")
    acknowledge_all.align(CHANGES, "0-0")
    acknowledge_all.settle(acknowledge_all.read(10))
    assert feed.publisher.trim(JOINS, 0) == 0


def test_a_long_backlog_is_trimmed_a_thousand_at_a_time(feed: Feed, groups: dict[str, Group]) -> None:
    feed.publish(1200)
    for sink in keys.SINKS:
        acknowledge(feed, sink, 2000)
    assert [feed.publisher.trim(JOINS, 100) for _ in range(3)] == [1000, 100, 0]


def test_the_epoch_can_be_asked_for(redis_client: Client) -> None:
    publisher = Publisher(redis_client)
    assert publisher.epoch() is None
    publisher.begin_epoch("abc")
    assert publisher.epoch() == "abc"
