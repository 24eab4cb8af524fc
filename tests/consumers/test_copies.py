"""Each sink's data, read back as a copy, answers as a list of its records would."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from factories import batch, event
from sink_kinds import LOCAL

from joins.copies import finding
from joins.copies.copy import Copy
from joins.copies.finding import checked, longest, open_copy, readable
from joins.errors import ChainBroken, LogDamaged
from joins.keys import SINKS
from joins.log_files import csv_path, json_path
from joins.records import CHANGES, JOINS, LOGS
from joins.settings import Settings
from joins.tail import empty_head

COUNT = 60


def settings(folder: Path) -> Settings:
    return Settings(invite_logs_dir=folder)


def write(folder: Path, sink: str, log: str, count: int = COUNT) -> None:
    made = LOCAL[sink](folder).open()
    records = batch(log, 0, COUNT)[:count]
    for start in range(0, count, 7):
        made.write(log, records[start : start + 7])
    made.close()


def copy_of(folder: Path, sink: str, log: str) -> Copy:
    copy = open_copy(sink, log, folder, settings(folder).cloud_url)
    assert copy is not None
    return copy


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("sink", SINKS)
def test_a_copy_answers_as_a_list_of_its_records_would(sink: str, log: str, tmp_path: Path) -> None:
    assert open_copy(sink, log, tmp_path, settings(tmp_path).cloud_url) is None
    place = LOCAL[sink](tmp_path)
    made = place.open()
    records = batch(log, 0, COUNT)
    for start in range(0, COUNT, 7):
        made.write(log, records[start : start + 7])
    made.close()
    copy = copy_of(tmp_path, sink, log)
    assert copy.sink == sink
    assert copy.head == (records[-1]["event_id"], records[-1]["hash"])
    for number in (0, 1, 6, 7, 33, COUNT - 1):
        assert list(copy.after(event(number))) == records[number + 1 :]
        assert copy.at(event(number)) == records[number]
        assert copy.before_newest(number) == event(COUNT - number - 1)
    assert list(copy.after("0-0")) == records
    assert copy.count() == COUNT
    assert copy.before_newest(COUNT) == copy.before_newest(COUNT + 5) == "0-0"
    for absent in ("0-0", "0-1", event(COUNT)):
        assert copy.at(absent) is None
    assert list(checked(copy, log, empty_head(log))) == records


def test_the_longest_copy_is_found_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    for count, sink in ((20, "json"), (COUNT, "csv"), (40, "sqlite"), (50, "cloud")):
        write(tmp_path, sink, JOINS, count)
    assert {copy.sink for copy in readable(JOINS, settings(tmp_path))} == set(SINKS)
    assert readable(CHANGES, settings(tmp_path), ["json", "csv", "cloud"]) == []
    best = longest(readable(JOINS, settings(tmp_path)))
    assert best is not None
    assert best.sink == "csv"
    csv_path(tmp_path, JOINS).write_bytes(b"Timestamp,somebody else's\n1,2\n")
    best = longest(readable(JOINS, settings(tmp_path)))
    assert best is not None
    assert best.sink == "cloud"
    assert longest(readable(JOINS, settings(tmp_path), finding.ON_DISK[:1])) is not None


def test_an_edit_in_a_copy_is_named_when_it_is_read_to_fill_another(tmp_path: Path) -> None:
    write(tmp_path, "json", JOINS)
    path = json_path(tmp_path, JOINS)
    lines = path.read_bytes().split(b"\n")
    records = batch(JOINS, 0, COUNT)
    lines[31] = lines[31].replace(b'"abc123XYZ"', b'"abc123XYy"')
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ChainBroken, match=rf"the json copy of the joins log, record {records[30]['event_id']}"):
        list(checked(copy_of(tmp_path, "json", JOINS), JOINS, empty_head(JOINS)))
    lines[31] = lines[31].replace(b'"abc123XYy"', b'"abc123XYZ"').replace(b"John Doe", b"Jane Doe")
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(LogDamaged, match="the names of 'member' do not match"):
        list(checked(copy_of(tmp_path, "json", JOINS), JOINS, empty_head(JOINS)))


@pytest.mark.parametrize("damage", ["gone", "short", "junk"])
def test_a_damaged_object_of_the_cloud_is_named(damage: str, tmp_path: Path) -> None:
    write(tmp_path, "cloud", JOINS)
    path = tmp_path / "cloud" / JOINS / "000000000014.jsonl.gz"
    if damage == "gone":
        path.unlink()
    elif damage == "junk":
        path.write_bytes(b"junk")
    else:
        path.write_bytes(gzip.compress(b"\n".join(gzip.decompress(path.read_bytes()).split(b"\n")[:-2]) + b"\n"))
    with pytest.raises((LogDamaged, ChainBroken), match=r"000000000014|follow"):
        list(checked(copy_of(tmp_path, "cloud", JOINS), JOINS, empty_head(JOINS)))
