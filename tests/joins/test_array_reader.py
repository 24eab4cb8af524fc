from __future__ import annotations

from pathlib import Path
from typing import Any

import hostile
import pytest
from factories import batch, event
from hypothesis import given
from hypothesis import strategies as st
from log_file_cases import LOG, chain

from joins import event_id
from joins.array_file import ArrayWriter
from joins.array_reader import ArrayReader, needle_of
from joins.chain import Record, chained, genesis, seal
from joins.json_format import to_line
from joins.records import CHANGES

NAMES = ["maria", "mar", '"reason": "maria"', "=1", "\\", "é\u2028", "a\nb"]


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Chains whose names repeat, and stand in nested objects too."""
    drawn = draw(st.lists(hostile.normals(CHANGES), max_size=12))
    records = []
    for number, record in enumerate(drawn):
        record = {
            **record,
            "reason": draw(st.sampled_from([None, *NAMES])),
            "xnest": {"reason": draw(st.sampled_from(NAMES))},
        }
        records.append({**seal(record), "event_id": event(number)})
    return chained(genesis(LOG), records)


def write(path: Path, records: list[Record], size: int) -> None:
    path.unlink(missing_ok=True)
    writer = ArrayWriter(path, LOG)
    for start in range(0, len(records), size):
        some = records[start : start + size]
        writer.append([to_line(record) for record in some], (some[-1]["event_id"], some[-1]["hash"]))
    writer.close()


@given(logs(), st.integers(1, 5))
def test_a_reader_answers_as_a_list_of_the_records_would(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "reader.json"
    write(path, records, size)
    with ArrayReader(path) as reader:
        assert list(reader) == records
        assert list(reader.backward()) == records[::-1]
        assert reader.last() == (records[-1] if records else None)
        for record in records:
            assert reader.at(record["event_id"]) == record
        for absent in ("0-0", "0-1", event(len(records)), f"{event_id.milliseconds(event(0))}-7"):
            assert reader.at(absent) is None
        for name in NAMES:
            assert list(reader.with_text("reason", name)) == [r for r in records[::-1] if r["reason"] == name]


def test_a_reader_shows_the_log_as_it_was_when_opened(tmp_path: Path) -> None:
    records = chain(6)
    write(tmp_path / "log", records[:4], 2)
    with ArrayReader(tmp_path / "log") as reader:
        writer = ArrayWriter(tmp_path / "log", LOG)
        writer.append([to_line(record) for record in records[4:]], ("9-9", "ab"))
        writer.close()
        assert list(reader) == records[:4]
        assert reader.at(records[5]["event_id"]) is None
        assert list(reader.with_text("change_id", "change-5")) == []
    with ArrayReader(tmp_path / "log") as reader:
        assert list(reader) == records


def test_every_record_of_a_long_log_is_found(tmp_path: Path) -> None:
    records = batch(LOG, 0, 3000)
    write(tmp_path / "log", records, 500)
    with ArrayReader(tmp_path / "log") as reader:
        for record in records[::101]:
            assert reader.at(record["event_id"]) == record
        assert [record["event_id"] for record in reader] == [record["event_id"] for record in records]


def test_an_empty_log_has_nothing(tmp_path: Path) -> None:
    write(tmp_path / "log", [], 1)
    with ArrayReader(tmp_path / "log") as reader:
        assert list(reader) == list(reader.backward()) == list(reader.with_text("reason", "x")) == []
        assert reader.at("1-0") is None
        assert reader.last() is None


@pytest.mark.parametrize("tail", [b"\n]", b"\n]   ", b"\n]" + b" " * 200_000, b"\n]\n", b"\n]\0\0"])
def test_the_blanks_after_the_array_do_not_matter(tail: bytes, tmp_path: Path) -> None:
    records = chain(3)
    (tmp_path / "log").write_bytes(b"[\n" + b",\n".join(map(to_line, records)) + tail)
    with ArrayReader(tmp_path / "log") as reader:
        assert list(reader) == records


def test_no_log_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ArrayReader(tmp_path / "log")


def test_a_reader_lets_go_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "log", chain(1), 1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with ArrayReader(tmp_path / "log"):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(hostile.texts.filter(lambda text: text.isprintable()))
def test_the_bytes_searched_for_stand_in_the_line(text: str) -> None:
    record: dict[str, Any] = {"a": 1, "username": text, "b": None}
    assert needle_of("username", text) in to_line(record)
