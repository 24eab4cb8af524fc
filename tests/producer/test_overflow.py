"""An outbox in which more waits than memory holds."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from factories import event, of, sequenced

from joins.chain import link
from joins.erasure import Erasure
from joins.errors import SinkUnavailable
from joins.publish import Sequenced
from joins.records import CHANGES, JOINS, LOGS, identity
from producer import outbox as outbox_module
from producer import overflow as overflow_module
from producer.outbox import Outbox


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory for few."""
    for name, value in (
        ("IN_MEMORY", 20), ("READ_BACK", 7), ("KEEP_RECORDS", 5), ("KEEP_MOST", 15), ("KEEP_SECONDS", 0.0),
        ("LEAST_SECONDS", 0.0), ("COMPACT_BYTES", 20_000),
    ):  # fmt: skip
        monkeypatch.setattr(outbox_module, name, value)


def opened(folder: Path) -> Outbox:
    return Outbox(folder / "outbox.jsonl")


def publish(box: Outbox, count: int) -> list[Sequenced]:
    """Publishes the next records as the publisher does; gives them."""
    box.compact()
    box.take_up()
    items = list(box.waiting.values())[:count]
    box.mark_published(items)
    return items


def drain(box: Outbox) -> list[Sequenced]:
    items: list[Sequenced] = []
    for _ in range(10_000):
        items += publish(box, 10)
        if not box.size:
            break
    assert box.size == 0
    return items


def test_memory_holds_few_records_however_many_wait_and_all_are_published_in_order(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 300)
    for start in range(0, 300, 10):
        box.add_records(items[start : start + 10])
        assert len(box.waiting) <= 20
    assert box.size == 300
    assert list(box.records()) == items
    assert box.bytes == sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))
    assert drain(box) == items
    assert len(box.kept) <= 15
    box.compact()
    assert not list(tmp_path.glob("overflow-*")), "what is not needed any more takes no room"
    box.close()


def test_a_restart_goes_on_where_it_was_and_publishes_nothing_twice(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 120)
    box.add_arrivals({"join_id": item.record["join_id"]} for item in items[100:])
    for start in range(0, 120, 10):
        box.add_records(items[start : start + 10])
    published = []
    for _ in range(8):
        published += publish(box, 10)
        box.close()
        box = opened(tmp_path)
        assert box.last[JOINS] == items[-1].event_id
        assert box.published[JOINS] == published[-1].event_id
        assert box.size == 120 - len(published)
        assert box.arrivals == {}
    assert published + drain(box) == items
    box.close()


def test_a_record_that_waits_on_disk_alone_is_known_by_its_identity(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 60)
    for start in range(0, 60, 10):
        box.add_records(items[start : start + 10])
    key = identity(JOINS, items[55].record)
    assert key not in box.waiting
    assert box.holds(key) == items[55]
    assert box.holds("nobody") is None
    box.add_arrivals([{"join_id": key}])
    assert box.arrivals == {}
    box.close()


def test_the_loss_of_a_line_in_the_overflow_takes_no_other_with_it(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 60)
    for start in range(0, 60, 10):
        box.add_records(items[start : start + 10])
    box.close()
    (path,) = tmp_path.glob("overflow-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[10].replace(b"user_id", b"user_1d")
    path.write_bytes(b"".join([*lines[:10], damaged, *lines[11:]]))
    lost = items[60 - len(lines) + 10]
    box = opened(tmp_path)
    assert drain(box) == [item for item in items if item != lost]
    (aside,) = tmp_path.glob("overflow-*.damaged-*")
    assert aside.read_bytes() == damaged
    box.close()


def test_a_crash_at_any_byte_of_the_overflow_keeps_what_had_been_promised(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 24)
    box.add_records(items[:20])
    promised = {}
    for item in items[20:]:
        box.add_records([item])
        (path,) = tmp_path.glob("overflow-*.jsonl")
        promised[path.stat().st_size] = item
    box.close()
    whole, main = path.read_bytes(), (tmp_path / "outbox.jsonl").read_bytes()
    for length in range(0, len(whole) + 1, 41):
        path.write_bytes(whole[:length])
        (tmp_path / "outbox.jsonl").write_bytes(main)
        box = opened(tmp_path)
        kept = [item for size, item in promised.items() if size <= length]
        box.add_records(later := sequenced(CHANGES, 0, 1))
        assert list(box.records()) == [*items[:20], *kept, *later], length
        box.close()
        for left in tmp_path.glob("overflow-*.jsonl"):
            left.unlink()


def test_a_full_disk_takes_nothing_and_what_waits_is_published_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 60)
    for start in range(0, 50, 10):
        box.add_records(items[start : start + 10])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(overflow_module.durable, "write_all", full)
        with pytest.raises(SinkUnavailable, match="full"):
            box.add_records(items[50:])
        assert box.size == 50
        monkeypatch.setattr(box, "compact", box._let_go)
        published = [item for _ in range(4) for item in publish(box, 10)]
        monkeypatch.setattr(box, "compact", lambda: Outbox.compact(box))
    box.add_records(items[50:])
    assert published + drain(box) == items
    box.close()


class Model:
    """What an outbox owes, beside one that is disturbed at random."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder, self.dice, self.box = folder, dice, opened(folder)
        self.owed: dict[str, Sequenced] = {}  # identity -> record to be published, in order
        self.published: dict[str, Sequenced] = {}
        self.numbers = dict.fromkeys(LOGS, 0)
        self.ids = dict.fromkeys(LOGS, 0)

    def step(self) -> None:
        self.dice.choices(
            [self.add, self.publish, self.place_again, self.drop, self.repeat, self.reopen], (6, 6, 1, 1, 1, 1)
        )[0]()
        assert [(i.log, i.event_id) for i in self.box.records() if self._key(i) in self.owed] == [
            (i.log, i.event_id) for i in self.owed.values()
        ]
        assert self.box.size == len(self.owed)
        assert len(self.box.waiting) <= 20 + 10
        assert len(self.box.kept) <= 15 + 20

    def add(self) -> None:
        log = self.dice.choice(LOGS)
        self._take([self._new(log) for _ in range(self.dice.randint(1, 10))])

    def publish(self) -> None:
        for item in publish(self.box, self.dice.randint(1, 10)):
            assert self._key(item) == next(iter(self.owed)), "in order, and once"
            assert self.owed.pop(self._key(item)) == item
            self.published[self._key(item)] = item

    def place_again(self) -> None:
        """Another sequencer went past the first that waits."""
        for item in list(self.box.waiting.values())[:3]:
            del self.owed[self._key(item)]
            self._take([Sequenced(item.log, self._id(item.log), item.record)])

    def drop(self) -> None:
        some = list(self.box.waiting.values())[:2]
        self.box.drop(some)
        for item in some:
            del self.owed[self._key(item)]

    def repeat(self) -> None:
        if self.owed:
            key = self.dice.choice(list(self.owed))
            assert self.box.holds(key) == self.owed[key]

    def reopen(self) -> None:
        self.box.close()
        self.box = opened(self.folder)

    def _new(self, log: str) -> Sequenced:
        self.numbers[log] += 1
        return Sequenced(log, self._id(log), of(log, self.numbers[log]))

    def _id(self, log: str) -> str:
        self.ids[log] += 1
        return event(self.ids[log])

    def _take(self, items: list[Sequenced]) -> None:
        self.box.add_records(items)
        self.owed |= {self._key(item): item for item in items}

    @staticmethod
    def _key(item: Sequenced) -> str:
        return identity(item.log, item.record)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_in_whatever_order_each_record_is_published_once_and_in_order(
    tmp_path: Path, seed: int
) -> None:
    model = Model(tmp_path, random.Random(seed))
    for _ in range(150):
        model.step()
    assert model.published
    model.box.close()


def test_a_place_that_was_given_up_in_the_overflow_is_not_taken_for_a_record_after_a_restart(tmp_path: Path) -> None:
    box, items = opened(tmp_path), sequenced(JOINS, 0, 60)
    for start in range(0, 60, 10):
        box.add_records(items[start : start + 10])
    publish(box, 10)
    publish(box, 10)
    box.take_up()
    moved = list(box.waiting.values())[-1]
    later = Sequenced(JOINS, event(100), moved.record)
    box.add_records([later])
    box.close()
    box = opened(tmp_path)
    assert drain(box) == [*(item for item in items[20:] if item != moved), later]
    box.close()


def test_what_was_published_last_is_in_memory_after_a_restart_though_much_still_waits(tmp_path: Path) -> None:
    """A server that forgets its last second at that moment is healed from it."""
    box, items = opened(tmp_path), sequenced(JOINS, 0, 200)
    for start in range(0, 200, 10):
        box.add_records(items[start : start + 10])
    published = []
    while len(published) < 120:
        published += publish(box, 10)
    last = published[-5:]
    box.close()
    box = opened(tmp_path)
    kept = [item for _, item in box.kept.values()]
    assert kept[-5:] == last
    assert len(kept) <= 15 + 7
    assert published + drain(box) == items
    box.close()


def test_a_record_that_stands_for_a_condemned_one_takes_its_place_when_it_is_published(tmp_path: Path) -> None:
    box, (item,) = opened(tmp_path), sequenced(JOINS, 0, 1)
    box.add_records([item])
    box.mark_published([item])
    again = Sequenced(JOINS, event(5), item.record)
    box.add_records([again])
    assert [kept for _, kept in box.kept.values()] == [item], "until then the server may have to be given it back"
    box.close()
    box = opened(tmp_path)
    assert box.holds(identity(JOINS, item.record)) == again
    box.mark_published([again])
    assert [kept for _, kept in box.kept.values()] == [again]
    box.close()


def test_names_go_once_nothing_waits_on_disk_alone_and_hashes_stay(tmp_path: Path) -> None:
    box = opened(tmp_path)
    items = [Sequenced(JOINS, event(number), of(JOINS, number, username=f"quux{number:03}")) for number in range(60)]
    box.add_records(items)
    person = items[57].record
    order = Erasure(person["guild_id"], person["user_id"], event(1000))
    assert not box.erase([order]), "some wait where they cannot be altered"
    assert holding(tmp_path, "quux057")
    tries = itertools.takewhile(lambda _: not box.erase([order]), range(30))
    assert sum(len(publish(box, 2)) for _ in tries) < 57, "at the latest when it is the next"
    assert not holding(tmp_path, "quux057")
    assert holding(tmp_path, "quux058")
    box.close()
    held = {item.event_id: item.record for item in opened(tmp_path).records()}
    assert held[event(57)]["username"] is None
    assert held[event(58)] == items[58].record
    assert link("0" * 64, held[event(57)]) == link("0" * 64, person)


def holding(folder: Path, name: str) -> bool:
    return any(name.encode() in path.read_bytes() for path in folder.iterdir())
