from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from factories import GUILD, code_assigned, join, of, staff_set

from joins import event_id
from joins.chain import seal
from joins.errors import SinkUnavailable
from joins.records import CHANGES, JOINS
from producer.outbox import Outbox
from producer.sequencer import Request, Sequencer
from producer.staff_registry import Staff, StaffRegistry

SECONDS = 10


class Desk:
    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder / "outbox.jsonl")
        self.registry, self.woken = StaffRegistry(), threading.Event()
        self.sequencer = Sequencer(self.outbox, self.registry, self.woken.set)
        self.sequencer.start()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.sequencer.stop()
    made.outbox.close()


def refuse(box: Outbox, monkeypatch: pytest.MonkeyPatch, name: str) -> threading.Event:
    """Lets a method of the outbox fail as on a full disk until it is undone; the event is set by each refusal."""
    refused = threading.Event()

    def full(*_: object) -> None:
        refused.set()
        raise SinkUnavailable("the disk is full")

    monkeypatch.setattr(box, name, full)
    return refused


def test_ids_grow_in_the_order_of_submission_in_each_log(desk: Desk) -> None:
    futures = [(log, desk.sequencer.submit(log, of(log, n))) for n in range(200) for log in (JOINS, CHANGES)]
    for log in (JOINS, CHANGES):
        ids = [future.result(SECONDS) for of_log, future in futures if of_log == log]
        assert all(event_id.is_above(later, earlier) for earlier, later in pairwise(ids))
        assert ids == [item.event_id for item in desk.outbox.waiting.values() if item.log == log]
    assert desk.woken.is_set()


def test_one_identity_has_one_id_however_often_it_is_submitted(desk: Desk) -> None:
    record = join(0)
    ids = {desk.sequencer.submit(JOINS, seal(record)).result(SECONDS) for _ in range(3)}
    ids |= {future.result(SECONDS) for future in [desk.sequencer.submit(JOINS, seal(record)) for _ in range(20)]}
    assert len(ids) == 1
    desk.outbox.mark_published(list(desk.outbox.waiting.values()))
    assert {desk.sequencer.submit(JOINS, seal(record)).result(SECONDS)} == ids


def test_an_arrival_is_gone_once_it_is_recorded_and_does_not_come_back(desk: Desk) -> None:
    record = seal(join(0))
    arrival = {"join_id": record["join_id"]}
    desk.sequencer.submit_arrival(arrival).result(SECONDS)
    assert list(desk.outbox.arrivals) == [record["join_id"]]
    desk.sequencer.submit(JOINS, record).result(SECONDS)
    desk.sequencer.submit_arrival(arrival).result(SECONDS)
    assert desk.outbox.arrivals == {}


def test_a_future_is_done_only_when_the_record_is_durable(desk: Desk, tmp_path: Path) -> None:
    given = desk.sequencer.submit(JOINS, of(JOINS, 0)).result(SECONDS)
    again = Outbox(tmp_path / "outbox.jsonl")
    assert [item.event_id for item in again.waiting.values()] == [given]
    again.close()


def test_a_full_disk_is_waited_for_and_nothing_is_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.sequencer.DISK_RETRY", 0.01)
    refused = refuse(desk.outbox, monkeypatch, "add_records")
    futures = [desk.sequencer.submit(JOINS, of(JOINS, n)) for n in range(5)]
    assert refused.wait(SECONDS)
    assert not any(future.done() for future in futures)
    monkeypatch.undo()
    assert len({future.result(SECONDS) for future in futures}) == 5


def test_a_stop_on_a_full_disk_ends_and_says_what_was_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    refused = refuse(desk.outbox, monkeypatch, "add_records")
    future = desk.sequencer.submit(JOINS, of(JOINS, 0))
    assert refused.wait(SECONDS)
    desk.sequencer.stop()
    with pytest.raises(SinkUnavailable):
        future.result(0)
    desk.outbox.close()


def test_what_was_submitted_before_the_stop_is_durable(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    futures = [desk.sequencer.submit(JOINS, of(JOINS, n)) for n in range(50)]
    desk.sequencer.stop()
    assert all(future.done() for future in futures)
    assert len(desk.outbox.waiting) == 50
    desk.outbox.close()


def test_a_file_that_cannot_be_made_smaller_holds_up_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(desk.outbox, monkeypatch, "compact")
    desk.sequencer.submit(CHANGES, seal(staff_set(0, "7", "maria"))).result(SECONDS)
    assert desk.registry.name(GUILD, "7") == "maria"


def test_a_change_about_staff_counts_from_the_moment_it_is_durable(desk: Desk) -> None:
    for record in (staff_set(0, "7", "maria"), code_assigned(1, "abc", "7")):
        desk.sequencer.submit(CHANGES, seal(record)).result(SECONDS)
    assert desk.registry.of_code(GUILD, "abc") == Staff("7", "maria")
    assert desk.registry.of_code("9", "abc") is None


def test_requests_kept_together_share_their_places(desk: Desk) -> None:
    record = seal(join(0))
    requests = [Request(JOINS, record), Request(None, {"join_id": "x"}), Request(JOINS, record)]
    assert desk.sequencer.keep(requests)
    first, arrival, second = (request.done.result(0) for request in requests)
    assert first == second
    assert arrival == ""
