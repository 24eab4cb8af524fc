from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from factories import join, sequenced

from joins.errors import SinkUnavailable
from joins.publish import Sequenced
from joins.records import CHANGES, JOINS, identity
from producer import outbox as outbox_module
from producer.outbox import Outbox

ROOT = Path(__file__).parents[2]


def arrival(number: int) -> dict[str, Any]:
    return {"join_id": join(number)["join_id"], "user_id": str(number), "username": "é\n\ud800"}


def opened(path: Path) -> Outbox:
    return Outbox(path / "outbox.jsonl")


def promised(box: Outbox) -> dict[str, Any]:
    """What an outbox holds, in order where order counts."""
    return {
        "arrivals": dict(box.arrivals),
        "waiting": [(item.log, item.event_id, item.record) for item in box.waiting.values()],
        "kept": [(item.log, item.event_id) for _, item in box.kept.values()],
        "last": dict(box.last),
        "published": dict(box.published),
        "epoch": box.epoch,
    }


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    box = opened(tmp_path)
    items = [*sequenced(JOINS, 0, 3), *sequenced(CHANGES, 0, 2)]
    box.add_arrivals([arrival(0), arrival(7)])
    box.add_records(items)
    box.mark_published(items[:1])
    box.drop(items[3:4])
    box.set_epoch("abc")
    before = promised(box)
    box.close()
    again = opened(tmp_path)
    assert promised(again) == before
    assert list(again.arrivals) == [arrival(7)["join_id"]]
    assert [item.event_id for item in again.waiting.values()] == [i.event_id for i in (items[1], items[2], items[4])]
    again.close()


def test_a_crash_at_any_byte_of_the_file_keeps_what_had_been_promised(tmp_path: Path) -> None:
    box, path = opened(tmp_path), tmp_path / "outbox.jsonl"
    states = [(0, promised(box))]
    items = sequenced(JOINS, 0, 2)
    for step in (
        lambda: box.add_arrivals([arrival(0)]),
        lambda: box.set_epoch("abc"),
        lambda: box.add_records(items),
        lambda: box.mark_published(items[:1]),
        lambda: box.drop(items[1:]),
    ):
        step()
        states.append((path.stat().st_size, promised(box)))
    box.close()
    whole = path.read_bytes()
    for length in range(0, len(whole) + 1, 3):
        path.write_bytes(whole[:length])
        again = opened(tmp_path)
        size, least = max((state for state in states if state[0] <= length), key=lambda state: state[0])
        if length == size:
            assert promised(again) == least
        if least["waiting"]:
            assert again.waiting or again.kept, length
        assert again.arrivals.keys() >= least["arrivals"].keys() - {i.record["join_id"] for i in again.waiting.values()}
        again.add_arrivals([arrival(50)])
        expected = promised(again)
        again.close()
        third = opened(tmp_path)
        assert promised(third) == expected, f"it goes on after byte {length}"
        third.close()


def test_damage_in_the_middle_is_kept_aside_never_thrown_away(tmp_path: Path) -> None:
    box, path = opened(tmp_path), tmp_path / "outbox.jsonl"
    box.add_records(sequenced(JOINS, 0, 5))
    box.close()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    again = opened(tmp_path)
    assert 0 < len(again.waiting) < 5
    again.close()
    (aside,) = tmp_path.glob("outbox.jsonl.damaged-*")
    assert path.read_bytes() + aside.read_bytes() == bytes(whole)


def test_a_record_ends_its_arrival_and_one_that_comes_later_is_dropped(tmp_path: Path) -> None:
    box = opened(tmp_path)
    (item,) = sequenced(JOINS, 0, 1)
    box.add_arrivals([arrival(0)])
    box.add_records([item])
    box.add_arrivals([arrival(0)])
    assert box.arrivals == {}
    box.mark_published([item])
    box.add_arrivals([arrival(0)])
    assert box.arrivals == {}
    box.close()
    again = opened(tmp_path)
    assert again.arrivals == {}
    again.close()


def test_a_record_is_found_by_its_identity_while_it_waits_and_a_while_after(tmp_path: Path) -> None:
    box = opened(tmp_path)
    (item,) = sequenced(JOINS, 0, 1)
    key = identity(JOINS, item.record)
    assert box.holds(key) is None
    box.add_records([item])
    assert box.holds(key) == item
    box.mark_published([item])
    assert box.holds(key) == item
    assert box.published[JOINS] == item.event_id
    box.close()


def test_a_new_place_moves_a_record_to_the_end(tmp_path: Path) -> None:
    box = opened(tmp_path)
    one, two = sequenced(JOINS, 0, 2)
    box.add_records([one, two])
    box.add_records([Sequenced(JOINS, "1800000000000-0", one.record)])
    expected = [two.event_id, "1800000000000-0"]
    assert [item.event_id for item in box.waiting.values()] == expected
    box.close()
    again = opened(tmp_path)
    assert [item.event_id for item in again.waiting.values()] == expected
    assert again.last[JOINS] == "1800000000000-0"
    again.close()


def test_compacting_keeps_what_is_needed_and_makes_the_file_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COMPACT_BYTES", 20_000), ("KEEP_RECORDS", 5), ("KEEP_SECONDS", 0.0)):
        monkeypatch.setattr(outbox_module, name, value)
    box, path = opened(tmp_path), tmp_path / "outbox.jsonl"
    box.set_epoch("abc")
    items = sequenced(JOINS, 0, 60)
    box.add_arrivals([arrival(100)])
    box.add_records(items)
    box.mark_published(items[:50])
    grown = path.stat().st_size
    time.sleep(0.01)
    box.compact()
    assert path.stat().st_size < grown / 2
    assert len(box.kept) == 5
    assert [item.event_id for item in box.waiting.values()] == [item.event_id for item in items[50:]]
    box.add_arrivals([arrival(101)])
    expected = promised(box)
    box.close()
    again = opened(tmp_path)
    assert promised(again) == expected
    assert again.last[JOINS] == items[-1].event_id
    assert again.published[JOINS] == items[49].event_id
    again.close()


def test_a_file_that_grew_over_many_short_runs_is_compacted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COMPACT_BYTES", 30_000), ("KEEP_RECORDS", 0), ("KEEP_SECONDS", 0.0)):
        monkeypatch.setattr(outbox_module, name, value)
    sizes = []
    for start in range(0, 100, 10):
        box = opened(tmp_path)
        items = sequenced(JOINS, start, 10)
        box.add_records(items)
        box.mark_published(items)
        box.close()
        sizes.append((tmp_path / "outbox.jsonl").stat().st_size)
    assert max(sizes) < 60_000


FULL = """
import resource, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from factories import sequenced
from joins.errors import SinkUnavailable
from joins.records import JOINS
from producer.outbox import Outbox

path = Path(sys.argv[1]) / "outbox.jsonl"
box, items = Outbox(path), sequenced(JOINS, 0, 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
kept = 0
try:
    for start in range(0, 100, 5):
        box.add_records(items[start : start + 5])
        kept = start + 5
except SinkUnavailable:
    pass
assert 0 < kept < 100 and len(box.waiting) == kept
box.mark_published(items[:1])
assert box.published[JOINS] == items[0].event_id, "noted in memory at least"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
box.add_records(items[kept:])
box.close()
again = Outbox(path)
assert len(again.waiting) + len(again.kept) == 100
assert again.last[JOINS] == items[-1].event_id
"""


def test_a_full_disk_changes_nothing_and_it_goes_on_once_there_is_room(tmp_path: Path) -> None:
    code = FULL.format(root=str(ROOT), tests=str(ROOT / "tests"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_closed_outbox_takes_nothing_and_harms_no_file_opened_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = opened(tmp_path)
    box.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises(SinkUnavailable):
        box.add_arrivals([arrival(0)])
    before = (tmp_path / "outbox.jsonl").stat().st_ino
    monkeypatch.setattr(outbox_module, "COMPACT_BYTES", 0)
    box.compact()
    assert (tmp_path / "outbox.jsonl").stat().st_ino == before
    monkeypatch.setattr(outbox_module, "IN_MEMORY", 0)
    with pytest.raises(SinkUnavailable):
        box.add_records(sequenced(JOINS, 0, 1))
    assert not list(tmp_path.glob("overflow-*"))
    box.close()
    assert os.fstat(other).st_size == 0
    os.close(other)


def test_a_full_disk_at_the_start_keeps_nobody_from_reading_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = opened(tmp_path)
    box.add_records(sequenced(JOINS, 0, 5))
    before = promised(box)
    box.close()

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outbox_module, "COMPACT_BYTES", 0)
    monkeypatch.setattr(outbox_module.durable, "replace", full)
    again = opened(tmp_path)
    assert promised(again) == before
    again.close()
