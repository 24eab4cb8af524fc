from __future__ import annotations

import json
from typing import Any

import pytest
from factories import Feed, change, event, join, queue_length
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from joins import keys
from joins.chain import Record, seal
from joins.errors import InvalidRecord, NewerVersion, RetryableError, StreamForgot, StreamTrimmed
from joins.groups import Entry, Group
from joins.json_format import to_line
from joins.records import CHANGES, JOINS
from joins.redis_url import Client, connect
from joins.settings import Settings


@pytest.fixture
def feed(redis_client: Client) -> Feed:
    return Feed(redis_client)


@pytest.fixture
def group(feed: Feed) -> Group:
    made = Group(feed.client, "json")
    made.align(JOINS, "0-0")
    made.align(CHANGES, "0-0")
    return made


def lag(client: Client, sink: str = "json", log: str = JOINS) -> tuple[Any, int]:
    (found,) = [g for g in client.xinfo_groups(keys.stream(log)) if g["name"] == sink.encode()]
    return found["lag"], found["pending"]


@pytest.mark.parametrize("at", [0, 1, 7, 29, 30])
def test_reading_continues_after_the_head_and_the_backlog_is_right_at_once(feed: Feed, at: int) -> None:
    items = feed.publish(30)
    group = Group(feed.client, "csv")
    group.align(JOINS, items[at - 1].event_id if at else "0-0")
    group.align(CHANGES, "0-0")
    assert lag(feed.client, "csv") == (30 - at, 0)
    assert group.settle() == queue_length(feed.client, "csv") == 30 - at
    assert [entry.event_id for entry in group.read(100)] == [item.event_id for item in items[at:]]
    feed.publish(3)
    assert lag(feed.client, "csv") == (3, 30 - at)


def test_a_head_may_move_back_and_forth(feed: Feed, group: Group) -> None:
    items = feed.publish(20)
    group.settle(group.read(15))
    for at in (3, 20, 0, 15):
        group.align(JOINS, items[at - 1].event_id if at else "0-0")
        assert lag(feed.client) == (20 - at, 0)
        assert group.settle() == 20 - at
        read = group.read(2)
        assert [entry.event_id for entry in read] == [item.event_id for item in items[at : at + 2]]


def test_a_head_between_two_entries_is_a_place_too(feed: Feed) -> None:
    items = feed.publish(9)
    group = Group(feed.client, "json")
    group.align(CHANGES, "0-0")
    group.align(JOINS, items[2].event_id.partition("-")[0] + "-99")
    assert [entry.event_id for entry in group.read(100)] == [item.event_id for item in items[3:]]


def test_a_head_above_a_server_that_forgot_gives_the_true_backlog_once_it_is_healed(feed: Feed, group: Group) -> None:
    """The sink opens before the records it has are added again; what comes after them is its backlog, no more."""
    items = feed.publish(10)
    group.settle(group.read(100))
    feed.client.flushall()
    again = Group(feed.client, "json")
    again.align(JOINS, items[-1].event_id)
    again.align(CHANGES, "0-0")
    feed.publisher.begin_epoch(feed.epoch)
    feed.send(JOINS, items[:6])
    again.align(JOINS, items[-1].event_id)
    feed.send(JOINS, items[6:])
    assert again.settle() == 0
    feed.publish(2)
    assert again.settle() == queue_length(feed.client, "json") == 2
    again.settle(again.read(100))
    assert again.settle() == queue_length(feed.client, "json") == 0


def test_a_stream_that_no_longer_reaches_back_to_the_head_says_so(feed: Feed) -> None:
    groups = [Group(feed.client, sink) for sink in keys.SINKS]
    for group in groups:
        for log in (JOINS, CHANGES):
            group.align(log, "0-0")
    items = feed.publish(20)
    for group in groups:
        group.settle(group.read(100))
    feed.publisher.trim(JOINS, 5)
    for at in (0, 13):
        with pytest.raises(StreamTrimmed, match="json sink"):
            groups[0].align(JOINS, items[at].event_id)
    groups[0].align(JOINS, items[14].event_id)
    assert lag(feed.client) == (5, 0)


def test_a_server_that_forgot_the_group_is_told_from_an_empty_backlog(feed: Feed, group: Group) -> None:
    feed.client.flushall()
    with pytest.raises(StreamForgot):
        group.read(10)
    with pytest.raises(StreamForgot):
        group.settle()


def test_the_epoch_is_the_servers(feed: Feed, group: Group) -> None:
    assert group.epoch() == feed.epoch
    feed.client.delete(keys.EPOCH)
    assert group.epoch() is None


def test_the_queue_is_set_right_though_the_server_lost_count_of_the_lag(feed: Feed, group: Group) -> None:
    items = feed.publish(10)
    feed.client.xdel(keys.stream(JOINS), items[4].event_id)
    assert group.settle() == 9
    group.settle(group.read(3))
    assert group.settle() == queue_length(feed.client, "json") == 6


def test_tokens_in_hand_are_not_in_the_queue(feed: Feed, group: Group) -> None:
    feed.publish(3)
    assert group.settle(in_hand=1) == 3
    assert queue_length(feed.client, "json") == 2
    group.settle(group.read(10), in_hand=1)
    assert queue_length(feed.client, "json") == 0


# What an entry holds


def entry(record: Record, log: str = JOINS, **fields: bytes) -> Entry:
    identity = record.get("join_id") if log == JOINS else record.get("change_id")
    whole = {b"v": b"1", b"id": str(identity).encode(), b"r": to_line(record)}
    return Entry(log, "7-0", whole | {key.encode(): value for key, value in fields.items()})


def test_an_entry_gives_its_record_with_its_event_id() -> None:
    record = seal(join())
    assert entry(record).record() == {**record, "event_id": "7-0"}
    other = seal(change())
    assert entry(other, CHANGES).record() == {**other, "event_id": "7-0"}


SEALED = seal(join())


@pytest.mark.parametrize(
    "wrong",
    [
        Entry(JOINS, "7-0", {}),
        Entry(JOINS, "7-0", {b"any": b"thing"}),
        entry(SEALED, v=b""),
        entry(SEALED, v=b"one"),
        entry(SEALED, v=b"9" * 5000),
        entry(SEALED, r=b"no json"),
        entry(SEALED, r=b'{"v": 1}'),
        entry(SEALED, r=b"\xff"),
        entry(SEALED, id=b"another"),
        entry(SEALED, log=CHANGES),
        entry(join()),
        entry({**SEALED, "username": "changed"}),
        entry({**SEALED, "salts": {"member": "abc", "staff": "00"}}),
        entry({**SEALED, "hash": "00"}),
        entry({**SEALED, "event_id": "1-0"}),
        entry({**SEALED, "evidence": {"n": 2**64}}),
    ],
)
def test_an_entry_that_is_no_record_is_invalid(wrong: Entry) -> None:
    with pytest.raises(InvalidRecord):
        wrong.record()


@pytest.mark.parametrize("newer", [entry(SEALED, v=b"2"), entry({**SEALED, "v": 2}), entry(SEALED, v=b"2", r=b"\x00")])
def test_an_entry_of_a_newer_format_is_waited_for(newer: Entry) -> None:
    with pytest.raises(NewerVersion):
        newer.record()


# Dead letters


@pytest.fixture
def four(feed: Feed) -> dict[str, Group]:
    groups = {sink: Group(feed.client, sink) for sink in keys.SINKS}
    for group in groups.values():
        for log in (JOINS, CHANGES):
            group.align(log, "0-0")
    return groups


def test_the_first_verdict_binds_all_sinks_and_the_entry_is_kept(feed: Feed, four: dict[str, Group]) -> None:
    feed.client.xadd(keys.stream(JOINS), {"junk": "x"}, id="5-0")
    (bad,) = four["csv"].read(10)
    assert four["json"].condemned([bad]) == set()
    four["csv"].condemn(bad, "no record")
    four["csv"].settle([bad])
    for sink, group in four.items():
        assert group.condemned([bad]) == {(JOINS, "5-0")}
        group.condemn(bad, f"{sink} says so too")
    ((_, letter),) = feed.client.xrange(keys.DEAD_LETTERS)
    assert {key.decode(): value.decode() for key, value in letter.items()} == {
        "log": "joins", "event_id": "5-0", "reason": "no record", "sink": "csv", "fields": '["junk","x"]',
    }  # fmt: skip


def test_an_entry_that_another_sink_has_accepted_is_not_condemned(feed: Feed, four: dict[str, Group]) -> None:
    feed.publish(3)
    entries = four["json"].read(10)
    four["csv"].read(10)
    four["json"].settle(entries[:2])
    with pytest.raises(RetryableError, match="accepted"):
        four["csv"].condemn(entries[1], "not to me")
    assert four["csv"].condemned(entries) == set()
    four["csv"].condemn(entries[2], "read by json but not in its data yet")


# The length of the queue, against a model


class Backlog(RuleBasedStateMachine):
    """A sink reads, acknowledges, is moved and disturbed in any order; its queue is as long as its backlog says."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.client = connect(Settings(redis_url=self.url), connections=2)
        self.client.flushall()
        self.feed = Feed(self.client)
        self.group = Group(self.client, "json")
        self.logs: dict[str, list[str]] = {JOINS: [], CHANGES: []}
        self.at = {JOINS: 0, CHANGES: 0}  # how many entries were delivered
        self.pending: list[Entry] = []
        for log in self.logs:
            self.group.align(log, "0-0")

    def teardown(self) -> None:
        self.client.close()

    @property
    def backlog(self) -> int:
        return sum(len(self.logs[log]) - self.at[log] for log in self.logs) + len(self.pending)

    def settled(self, done: list[Entry], in_hand: int) -> None:
        assert self.group.settle(done, in_hand) == self.backlog
        assert queue_length(self.client, "json") == max(0, self.backlog - in_hand)

    @rule(log=st.sampled_from([JOINS, CHANGES]), count=st.integers(1, 6))
    def publish(self, log: str, count: int) -> None:
        before = queue_length(self.client, "json")
        self.logs[log] += [item.event_id for item in self.feed.publish(count, log)]
        assert queue_length(self.client, "json") == before + count

    @rule(count=st.integers(1, 5))
    def read(self, count: int) -> None:
        entries = self.group.read(count)
        for log, ids in self.logs.items():
            expected = ids[self.at[log] : self.at[log] + count]
            assert [entry.event_id for entry in entries if entry.log == log] == expected
            self.at[log] += len(expected)
        self.pending += entries

    @rule(data=st.data(), in_hand=st.integers(0, 1))
    def acknowledge(self, data: st.DataObject, in_hand: int) -> None:
        count = data.draw(st.integers(0, len(self.pending)))
        done, self.pending = self.pending[:count], self.pending[count:]
        self.settled(done, in_hand)

    @rule(in_hand=st.integers(0, 1))
    def settle(self, in_hand: int) -> None:
        self.settled([], in_hand)

    @rule()
    def rq_empty(self) -> None:
        self.client.delete(keys.queue("json"))
        self.settled([], 0)

    @rule(tokens=st.integers(1, 4))
    def foreign_tokens(self, tokens: int) -> None:
        self.client.rpush(keys.queue("json"), *[keys.job_id("json")] * tokens)
        self.settled([], 0)

    @rule(data=st.data())
    def align(self, data: st.DataObject) -> None:
        for log, ids in self.logs.items():
            self.at[log] = data.draw(st.integers(0, len(ids)), label=log)
            self.group.align(log, ids[self.at[log] - 1] if self.at[log] else "0-0")
        self.pending = []
        self.settled([], 0)

    @precondition(lambda self: self.logs[JOINS])
    @rule()
    def publish_again(self) -> None:
        self.feed.send(JOINS, self.feed.published[JOINS][-3:])

    @invariant()
    def the_server_counts_as_we_do(self) -> None:
        counts = [lag(self.client, "json", log) for log in self.logs]
        assert sum(behind + pending for behind, pending in counts) == self.backlog


def test_the_queue_is_always_as_long_as_the_backlog(server_url: str) -> None:
    Backlog.url = server_url
    Backlog.TestCase.settings = settings(settings(), max_examples=settings().max_examples // 3, stateful_step_count=25)
    Backlog.TestCase("runTest").runTest()


def test_json_of_an_entry_is_kept_as_it_came(feed: Feed) -> None:
    (item,) = feed.publish(1)
    ((_, fields),) = feed.client.xrange(keys.stream(JOINS))
    assert json.loads(fields[b"r"]) == item.record
    assert event(0) == item.event_id
