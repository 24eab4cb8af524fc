from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from corruptions import CATALOGUE, COUNT, IN_ITS_PLACE, NEVER, RECORDS, REFUSED, WHOLE, Corruption
from factories import batch
from hypothesis import given
from hypothesis import strategies as st
from log_file_cases import KINDS, LOG, Kind

from joins.array_file import BLANK, CLOSE
from joins.array_reader import ArrayReader
from joins.errors import LogDamaged, NewerVersion, SinkUnavailable
from joins.tail import MAX_WRITE_BYTES, WINDOW_BYTES

JSON, CSV = KINDS
both = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
CASES = [(kind, row) for kind in KINDS for row in CATALOGUE if getattr(row, kind.name) != NEVER]
PLACE = re.compile(r"byte (\d+) \(line (\d+)\)")


def whole(kind: Kind, path: Path) -> bytes:
    """The log of all records, written in four batches, without the blank space at its end."""
    writer = kind.open(path)
    for start in range(0, COUNT, 6):
        kind.append(writer, RECORDS[start : start + 6])
    writer.close()
    data = path.read_bytes().rstrip(b" ")
    path.unlink()
    return data


def opened(kind: Kind, path: Path, damaged: bytes) -> str | None:
    """Opens a damaged file; gives the sentence when it is refused.

    Else the file then holds the first records and nothing else, what was cut is aside, and once the others came again
    it is byte for byte what it was before the damage.
    """
    expected = whole(kind, path)
    path.write_bytes(damaged)
    try:
        writer = kind.open(path)
    except (LogDamaged, NewerVersion) as error:
        assert path.read_bytes() == damaged
        assert list(path.parent.iterdir()) == [path]
        return str(error)
    there = kind.read(path)
    assert there == RECORDS[: len(there)]
    kept = path.read_bytes()
    if kind is JSON:
        kept = kept.rstrip(BLANK).removesuffix(CLOSE if there else b"]")
    cut = damaged[len(kept) :]
    aside = [entry.read_bytes().rstrip(BLANK) for entry in path.parent.glob("log.torn-*")]
    assert damaged.startswith(kept)
    assert aside == ([cut.rstrip(BLANK)] if cut.strip(BLANK + b",]") else [])
    if len(there) < COUNT:
        kind.append(writer, RECORDS[len(there) :])
    writer.close()
    assert path.read_bytes().rstrip(BLANK) == expected.rstrip(BLANK)
    assert kind.read(path) == RECORDS
    return None


def first_damaged_line(before: bytes, after: bytes) -> int:
    pairs = zip(before, after, strict=False)
    place = next((n for n, (one, two) in enumerate(pairs) if one != two), min(len(before), len(after)))
    return 1 + before[:place].count(b"\n")


@pytest.mark.parametrize(
    ("kind", "corruption"), CASES, ids=[f"{kind.name}: {corruption.name}" for kind, corruption in CASES]
)
def test_damage_is_repaired_without_loss_or_refused_by_file_byte_and_line(
    kind: Kind, corruption: Corruption, quick_folder: Path
) -> None:
    outcome, path = getattr(corruption, kind.name), quick_folder / "log"
    before = whole(kind, path)
    damaged = corruption.damage(before)
    assert damaged != before
    sentence = opened(kind, path, damaged)
    assert (sentence is not None) == (outcome == REFUSED), sentence or "it was taken"
    if sentence is not None:
        found = PLACE.search(sentence)
        assert found, sentence
        assert sentence.startswith(f"{path}, {found[0]}: ")
        assert sentence.endswith("left as it is. Move it aside to have it made anew.")
        byte, line = int(found[1]), int(found[2])
        assert line == 1 + damaged[:byte].count(b"\n")
        assert first_damaged_line(before, damaged) <= line <= first_damaged_line(before, damaged) + 1
    elif outcome == WHOLE:
        assert not list(quick_folder.glob("log.torn-*"))


@both
@given(data=st.data())
def test_no_single_byte_can_be_changed_unseen(kind: Kind, data: st.DataObject, quick_folder: Path) -> None:
    path = quick_folder / "log"
    for entry in quick_folder.iterdir():
        entry.unlink()
    damaged = bytearray(whole(kind, path))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != damaged[place]))
    opened(kind, path, bytes(damaged))


@both
@pytest.mark.parametrize("name", IN_ITS_PLACE)
def test_what_is_no_file_is_a_sentence_at_once_and_stays(kind: Kind, name: str, quick_folder: Path) -> None:
    path, (put, says) = quick_folder / "log", IN_ITS_PLACE[name]
    put(path)
    before = path.lstat()
    with pytest.raises(SinkUnavailable, match=says) as caught:
        kind.open(path)
    assert str(caught.value).startswith(f"{path} cannot be used: ")
    with pytest.raises(OSError):
        ArrayReader(path)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert list(quick_folder.iterdir()) == [path]


@both
@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_file_that_this_user_may_not_open_is_a_sentence(kind: Kind, mode: int, quick_folder: Path) -> None:
    path, myself = quick_folder / "log", os.geteuid()
    kind.write(path, RECORDS[:3])
    path.chmod(mode)
    quick_folder.chmod(0o755)
    try:
        if myself == 0:
            os.seteuid(65534)  # whom no mode excludes is nobody, for a moment
        with pytest.raises(SinkUnavailable, match="permission is denied; give this user write access"):
            kind.open(path)
    finally:
        os.seteuid(myself)


# Far from the end


@pytest.fixture(scope="module")
def long_log() -> dict[str, bytes]:
    """Both files of a log longer than the window that is read at opening."""
    from joins.csv_format import header

    records = batch(LOG, 0, WINDOW_BYTES // 20_000 + 20, reason="x" * 20_000)
    lines = [JSON.encode(record) for record in records]
    rows = [CSV.encode(record) for record in records]
    return {"json": b"[\n" + b",\n".join(lines) + CLOSE, "csv": header(LOG) + b"".join(rows)}


def damage_before_the_end(data: bytes, distance: int, damage: Callable[[bytes], bytes]) -> tuple[bytes, int]:
    """A line so far before the end, damaged; and its number."""
    start = data.index(b"\n", len(data) - distance) + 1
    stop = data.index(b"\n", start)
    return data[:start] + damage(data[start:stop]) + data[stop:], 1 + data[:start].count(b"\n")


@both
def test_an_unreadable_line_further_from_the_end_than_a_write_is_no_tear(
    kind: Kind, long_log: dict[str, bytes], quick_folder: Path
) -> None:
    path = quick_folder / "log"
    damaged, line = damage_before_the_end(long_log[kind.name], 2 * MAX_WRITE_BYTES, lambda text: text[:50])
    path.write_bytes(damaged)
    with pytest.raises(LogDamaged, match=rf"\(line {line}\): .*cannot be read.*more than a crash"):
        kind.open(path)
    assert path.read_bytes() == damaged


@both
def test_a_line_is_counted_from_the_beginning_of_the_file_however_long(
    kind: Kind, long_log: dict[str, bytes], quick_folder: Path
) -> None:
    path = quick_folder / "log"
    edit = damage_before_the_end(long_log[kind.name], 500_000, lambda text: text.replace(b"change-", b"chance-", 1))
    path.write_bytes(edit[0])
    with pytest.raises(LogDamaged, match=rf"\(line {edit[1]}\): .*does not follow"):
        kind.open(path)


@both
def test_nothing_readable_in_the_whole_window_is_refused(
    kind: Kind, long_log: dict[str, bytes], quick_folder: Path
) -> None:
    path, data = quick_folder / "log", long_log[kind.name]
    path.write_bytes(data[:-WINDOW_BYTES] + (b"nothing\n" * (WINDOW_BYTES // 8)))
    with pytest.raises(LogDamaged, match=r"byte \d+ \(line \d+\): .*cannot be read"):
        kind.open(path)


def test_a_reader_names_the_line_that_is_no_record(quick_folder: Path) -> None:
    path = quick_folder / "log"
    before = whole(JSON, path)
    for damage in (b'{"a": 1}', b"[]", b"half", b'{"event_id": 5}', b'{"event_id": "five"}', b"[" * 5000):
        lines = before.split(b"\n")
        lines[7] = damage + b","
        path.write_bytes(b"\n".join(lines))
        with ArrayReader(path) as reader, pytest.raises(LogDamaged, match=r"log, byte \d+ \(line 8\): no record"):
            list(reader.backward())
