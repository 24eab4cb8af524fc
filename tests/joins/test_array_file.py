from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from factories import batch
from log_file_cases import KINDS, LOG, chain

from joins.array_file import GROW_BYTES, MOST_SPARE, ArrayWriter
from joins.errors import LogDamaged
from joins.json_format import to_line
from joins.tail import MAX_WRITE_BYTES, WINDOW_BYTES

JSON = KINDS[0]


def test_an_empty_log_is_an_empty_array(tmp_path: Path) -> None:
    ArrayWriter(tmp_path / "log", LOG).close()
    assert json.loads((tmp_path / "log").read_text()) == []


def test_one_record_is_one_line(tmp_path: Path) -> None:
    records = chain(5)
    JSON.write(tmp_path / "log", records)
    lines = (tmp_path / "log").read_bytes().rstrip(b" ").split(b"\n")
    assert lines[0] == b"["
    assert [line.removesuffix(b",") for line in lines[1:-1]] == [to_line(record) for record in records]
    assert lines[-1] == b"]"


def test_what_was_written_never_changes_again(tmp_path: Path) -> None:
    writer, records = ArrayWriter(tmp_path / "log", LOG), chain(30)
    settled = b""
    for record in records:
        JSON.append(writer, [record])
        content = (tmp_path / "log").read_bytes()
        assert content.startswith(settled)
        settled = content.rstrip(b" ").removesuffix(b"\n]")
    writer.close()


def test_a_write_never_grows_the_file_and_space_is_there_long_before_it_is_needed(tmp_path: Path) -> None:
    """A reader that asked for the size before a growth must be done before a record lies across the old end."""
    path = tmp_path / "log"
    writer, least = ArrayWriter(path, LOG), GROW_BYTES
    for number, record in enumerate(batch(LOG, 0, 300, reason="x" * 1000)):
        size = path.stat().st_size
        JSON.append(writer, [record])
        content = path.read_bytes()
        assert len(content.rstrip(b" ")) <= size, f"append {number} wrote beyond the old end"
        least = min(least, len(content) - len(content.rstrip(b" ")))
    writer.close()
    assert least >= GROW_BYTES // 4


def test_an_edited_record_that_cannot_even_be_hashed_is_no_tear(tmp_path: Path) -> None:
    path = tmp_path / "log"
    JSON.write(path, chain(5))
    for old, new in ((b'"change-2"', b'"\\ud800"'), (b'"event_id": "1', b'"event_id": 1.5, "x": "1')):
        edited = path.read_bytes().replace(old, new, 1)
        path.write_bytes(edited)
        with pytest.raises(LogDamaged):
            ArrayWriter(path, LOG)
        assert path.read_bytes() == edited


def test_a_foreign_json_load_succeeds_at_any_moment_while_records_are_appended(tmp_path: Path) -> None:
    """Nine of ten appends are of one record, as joins come; the tenth is of 25, some seven pages."""
    path, program = tmp_path / "log.json", Path(__file__).parent / "json_reading.py"
    ArrayWriter(path, "joins").close()
    run = [sys.executable, "-W", "error", str(program)]
    with (
        subprocess.Popen([*run, "read", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader,
        subprocess.Popen([*run, "write", str(path), "2000", *["1"] * 9, "25"], stdout=subprocess.PIPE) as writer,
    ):
        written, _ = writer.communicate()
        read, _ = reader.communicate("")
    appended, counts = json.loads(written.splitlines()[-1]), json.loads(read)
    assert appended["appends"] >= 2000
    assert counts["reads"] >= 20
    assert counts["bad"] == 0, counts
    assert len(json.loads(path.read_text())) == appended["records"]


def test_more_allocated_space_than_is_read_at_the_opening_hides_no_record(tmp_path: Path) -> None:
    records = chain(20)
    JSON.write(tmp_path / "log", records)
    with (tmp_path / "log").open("ab") as file:
        file.write(b" " * (WINDOW_BYTES + GROW_BYTES))
    writer = ArrayWriter(tmp_path / "log", LOG)
    assert writer.head == (records[-1]["event_id"], records[-1]["hash"])
    JSON.append(writer, chain(21)[20:])
    writer.close()
    assert len(json.loads((tmp_path / "log").read_bytes())) == 21


def test_the_space_ahead_of_a_long_log_has_a_limit(tmp_path: Path) -> None:
    writer = ArrayWriter(tmp_path / "log", LOG)
    line = to_line(batch(LOG, 0, 1)[0])
    for _ in range(90):  # some 90 MB; what the lines hold does not matter here
        writer.append([line] * ((MAX_WRITE_BYTES - 64) // (len(line) + 2)), ("1-0", "00"))
    writer.close()
    content = (tmp_path / "log").read_bytes()
    assert len(content) - len(content.rstrip(b" ")) <= 3 * MOST_SPARE
