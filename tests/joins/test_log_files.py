"""What holds for the JSON log and the CSV log alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import batch
from log_file_cases import KINDS, LOG, Kind, chain, holed, torn

from joins.chain import Record
from joins.errors import HeadMoved, LogDamaged, SinkUnavailable
from joins.tail import MAX_WRITE_BYTES, empty_head

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def head_of(records: list[Record]) -> tuple[str, str]:
    return (records[-1]["event_id"], records[-1]["hash"]) if records else empty_head(LOG)


def each_state_is_repaired(
    kind: Kind, folder: Path, records: list[Record], before: int, crash: Callable[[bytes, bytes], Iterator[bytes]]
) -> None:
    """Writes `before` records, then the rest, and opens what each crash leaves: a log of all or some of them."""
    path = folder / "log"
    writer = kind.open(path)
    if before:
        kind.append(writer, records[:before])
    old = path.read_bytes()
    kind.append(writer, records[before:])
    new = path.read_bytes()
    writer.close()
    for number, state in enumerate(crash(old, new)):
        path.write_bytes(state)
        writer = kind.open(path)
        there = kind.read(path)
        assert there == records[: len(there)], f"state {number}"
        assert before <= len(there) <= len(records), f"state {number}"
        assert writer.head == head_of(there)
        if number % 7 == 0 and len(there) < len(records):
            kind.append(writer, records[len(there) :])
            assert kind.read(path) == records, f"state {number}, completed"
        writer.close()
    for aside in folder.glob("log.torn-*"):
        assert aside.read_bytes().strip(b" \n\0]"), "only what holds something is kept aside"


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_crash_at_any_byte_of_a_write_loses_none_before_it_and_leaves_no_half(
    kind: Kind, before: int, quick_folder: Path
) -> None:
    each_state_is_repaired(kind, quick_folder, chain(before + 2), before, torn)


@pytest.mark.parametrize("shift", range(0, 512, 37))
@pytest.mark.parametrize("before", [0, 2])
def test_a_block_that_never_reached_the_disk_loses_none_before_the_write(
    kind: Kind, before: int, shift: int, quick_folder: Path
) -> None:
    records = chain(before + 2, "x" * (1 + shift))
    each_state_is_repaired(kind, quick_folder, records, before, holed)


def test_what_is_cut_from_the_end_is_kept_aside(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", chain(3)
    kind.write(path, records)
    last = kind.encode(records[-1]).rstrip(b"\n")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(last) + len(last) // 2])
    kind.open(path).close()
    (aside,) = tmp_path.glob("log.torn-*")
    assert last[: len(last) // 2] in aside.read_bytes()
    assert kind.read(path) == records[:2]


def test_a_file_that_is_whole_is_not_touched_by_opening_it(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "log"
    kind.write(path, chain(3))
    before = path.read_bytes(), path.stat().st_mtime_ns
    kind.open(path).close()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["log"]


def test_a_log_grows_by_many_small_appends_and_reopenings(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", chain(60)
    for start in range(0, 60, 15):
        writer = kind.open(path)
        for record in records[start : start + 15]:
            kind.append(writer, [record])
            assert writer.head == head_of([record])
        writer.close()
    assert kind.read(path) == records


def test_the_head_is_right_however_long_the_log_and_its_last_write(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", batch(LOG, 0, 80, reason="x" * 50_000)
    writer = kind.open(path)
    for start in range(0, 80, 20):
        kind.append(writer, records[start : start + 20])
    writer.close()
    writer = kind.open(path)
    assert writer.head == head_of(records)
    writer.close()


def test_a_write_too_large_to_be_told_when_torn_is_refused(kind: Kind, tmp_path: Path) -> None:
    writer = kind.open(tmp_path / "log")
    with pytest.raises(ValueError, match="MAX_WRITE_BYTES"):
        writer.append([b"x" * (MAX_WRITE_BYTES + 1)], ("1-0", "ab"))
    writer.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'[{"user": "somebody"}]',
        b'[\n{"user": "somebody"}\n]',
        b'{"joins": []}',
        b"name,code\nmaria,abc\n",
        b"Timestamp,User ID,Username\n2025,1,x\n",
        b"\0" * 100,
        b'[\n  {\n    "user": "somebody"\n  }\n]',
        b'[\n{\n"user": "somebody"\n}\n]',
        b"[\n\t1,\n\t2\n]",
        b"[\n1,\n2\n]",
        b"[\nnothing of ours\n]",
    ],
)
def test_a_file_of_another_program_is_refused_and_left_as_it_is(kind: Kind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(LogDamaged, match="left as it is"):
        kind.open(path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("victim", [0, 4, 9])
@pytest.mark.parametrize("edit", [(b"change-", b"chance-"), (b"vip_upgraded", b"member_left")], ids=["id", "kind"])
def test_an_edited_record_is_refused_and_the_file_left_as_it_is(
    kind: Kind, victim: int, edit: tuple[bytes, bytes], tmp_path: Path
) -> None:
    path, records = tmp_path / "log", chain(10)
    kind.write(path, records)
    line = kind.encode(records[victim])
    edited = path.read_bytes().replace(line, line.replace(*edit, 1))
    path.write_bytes(edited)
    with pytest.raises(LogDamaged, match=r"byte \d+.*left as it is"):
        kind.open(path)
    assert path.read_bytes() == edited


def test_a_record_that_was_taken_out_of_the_middle_is_noticed(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", chain(10)
    kind.write(path, records)
    line = kind.encode(records[4]).rstrip(b"\n")
    path.write_bytes(path.read_bytes().replace(line + b",\n", b"").replace(line + b"\n", b""))
    with pytest.raises(LogDamaged):
        kind.open(path)


def test_erased_names_are_no_damage(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", chain(5)
    kind.write(path, [{**record, "reason": None, "salts": {}} for record in records])
    writer = kind.open(path)
    assert writer.head == head_of(records)
    writer.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "truncated", "grown"])
def test_a_file_that_changed_under_its_writer_is_noticed_before_anything_is_written(
    kind: Kind, how: str, tmp_path: Path
) -> None:
    path, records = tmp_path / "log", chain(4)
    writer = kind.open(path)
    kind.append(writer, records[:3])
    content = path.read_bytes()
    if how == "removed":
        path.unlink()
    elif how == "replaced":
        (tmp_path / "other").write_bytes(content)
        (tmp_path / "other").replace(path)
    else:
        path.write_bytes(content[:-10] if how == "truncated" else content + b"x")
    with pytest.raises(HeadMoved):
        writer.check_identity()
    with pytest.raises(HeadMoved):
        kind.append(writer, records[3:])
    writer.close()


def test_a_file_that_vanished_is_made_anew_when_opened_again(kind: Kind, tmp_path: Path) -> None:
    path, records = tmp_path / "log", chain(3)
    kind.write(path, records)
    path.unlink()
    writer = kind.open(path)
    assert writer.head == empty_head(LOG)
    kind.append(writer, records)
    writer.close()
    assert kind.read(path) == records


FULL_DISK = """
import resource, sys
sys.path[:0] = [{root!r}, {tests!r}, {here!r}]
from pathlib import Path
from log_file_cases import KINDS, chain
from joins.errors import SinkUnavailable

kind = next(kind for kind in KINDS if kind.name == sys.argv[1])
path, records = Path(sys.argv[2]), chain(400)
writer, done = kind.open(path), 0
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    for start in range(0, 400, 7):
        kind.append(writer, records[start : start + 7])
        done = start + 7
except SinkUnavailable as error:
    print(error)
assert 0 < done < 400, done
assert kind.read(path) == records[:done], "valid, and holds what was said to be durable"
for _ in range(3):
    try:
        writer = kind.open(path)
        kind.append(writer, records[done : done + 7])
    except SinkUnavailable:
        pass
    assert kind.read(path) == records[:done]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer = kind.open(path)
kind.append(writer, records[done:])
assert kind.read(path) == records, "goes on once there is room"
"""


def test_a_full_disk_leaves_a_valid_log_that_goes_on_once_there_is_room(kind: Kind, tmp_path: Path) -> None:
    code = FULL_DISK.format(root=str(ROOT), tests=str(ROOT / "tests"), here=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, kind.name, str(tmp_path / "log")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "too large" in done.stdout or "limit" in done.stdout


def test_a_folder_that_is_not_there_is_a_sentence(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="cannot be used"):
        kind.open(tmp_path / "absent" / "log")


def test_a_file_that_cannot_be_opened_leaves_no_descriptor_behind(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"foreign")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(LogDamaged):
            kind.open(tmp_path / "log")
    assert len(os.listdir("/proc/self/fd")) == before
