"""The logs of other bots are read whatever their layout, and what cannot be read is named by its line."""

from __future__ import annotations

import json
import string
import tracemalloc
from pathlib import Path
from typing import Any

import hostile
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from old_logs import KEYS, as_csv, as_json, lines, old, read

from joins.errors import InviteLogError
from ops import old_json
from ops.old_line import Line
from ops.old_log import OldLog

BOM = b"\xef\xbb\xbf"
USERS = [str(old(number)["user_id"]) for number in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "old.log"


@pytest.mark.parametrize(
    "data",
    [
        as_json(map(old, range(3))),
        as_json(map(old, range(3)), indent=4),
        BOM + as_json(map(old, range(3))),
        b"\n".join(json.dumps(old(number)).encode() for number in range(3)),
        b",\r\n".join(json.dumps(old(number)).encode() for number in range(3)) + b",",
        as_json(map(old, range(3))).removesuffix(b"]"),
        as_json(map(old, range(3))) + b" " * 300_000 + b"\n",
        as_csv(map(old, range(3))),
        as_csv(map(old, range(3)), "\n"),
        BOM + as_csv(map(old, range(3))),
        as_csv(map(old, range(3)), delimiter=";"),
        as_csv(map(old, range(3))).removesuffix(b"\r\n"),
        as_csv(map(old, range(3))) + b"\r\n,,,,,,,,,,\r\n",
    ],
)
def test_every_layout_gives_the_same_records(path: Path, data: bytes) -> None:
    found = read(path, data)
    assert [user for _, user in lines(found)] == USERS
    for number, entry in enumerate(found):
        assert isinstance(entry, Line)
        assert {key: str(entry.values[key]) for key in KEYS} == {key: str(old(number)[key]) for key in KEYS}


def test_a_record_is_named_by_the_line_it_begins_on(path: Path) -> None:
    assert [number for number, _ in lines(read(path, as_json(map(old, range(3)), indent=1)))] == [2, 16, 30]
    rows = as_csv([old(0, username="a\r\nb\n"), old(1), old(2)])
    found = read(path, rows)
    assert [number for number, _ in lines(found)] == [2, 5, 6]
    assert isinstance(found[0], Line)
    assert found[0].values["username"] == "a\r\nb\n"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_record_that_is_cut_off_at_the_end_is_named_and_the_others_are_read(path: Path, cut: int) -> None:
    data = b"[\n" + b",\n".join(json.dumps(old(number)).encode() for number in range(3))
    *whole, last = lines(read(path, data[:-cut]))
    assert whole == [(2, USERS[0]), (3, USERS[1])]
    assert last[0] == 4
    assert last[1].startswith("the record is cut off")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b'{"user_id": "1", "username": "a', "no JSON"),
        (b'{"user_id": "1" "username": "a"}', "no JSON"),
        (b'{"user_id": NaN}', "NaN is no JSON"),
        (b'{"user_id": "1", "user_id": "2"}', "a key stands in it twice"),
        (b'{"user_id": "\xff"}', "not UTF-8"),
        (b"null", "is no record"),
        (b"\0\0\0", "no JSON"),
        (b'"text"', "is no record"),
        (b'{"a":' * 2000, "no JSON"),
    ],
)
def test_what_is_damaged_in_json_is_named_and_the_rest_is_read(path: Path, damage: bytes, reason: str) -> None:
    rest = [json.dumps(old(number)).encode() for number in range(2)]
    found = lines(read(path, b"[\n" + b",\n".join([rest[0], damage, rest[1]]) + b"\n]\n"))
    assert [found[0], found[-1]] == [(2, USERS[0]), (4, USERS[1])]
    (damaged,) = found[1:-1]
    assert damaged[0] == 3
    assert reason in damaged[1]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"2025-10-31T14:30:45.123456,1,john", "3 cells where the header has 11"),
        (b'2025-10-31T14:30:45.123456,1,"john,John,a,2,b,5,6,7,Pip', "unexpected end of data"),
        (b"a,b,c,d,e,f,g,h,i,j,k,l", "12 cells"),
        (b"a,\xff,c,d,e,f,g,h,i,j,k", "not UTF-8"),
        (b"x" * 200_000, "more than 131072 bytes"),
    ],
)
def test_what_is_damaged_in_csv_is_named_and_the_rest_is_read(path: Path, damage: bytes, reason: str) -> None:
    header, first, *others = as_csv(map(old, range(3))).splitlines(keepends=True)
    found = lines(read(path, b"".join([header, first, damage + b"\r\n", *others])))
    assert [found[0], *found[2:]] == [(2, USERS[0]), (4, USERS[1]), (5, USERS[2])]
    assert found[1][0] == 3
    assert reason in found[1][1]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (BOM + b" \n", "is empty"),
        ("\ufeffTimestamp,User ID".encode("utf-16-le"), "save it as UTF-8"),
        (b"some text\nand more\n", "must name the columns"),
        (b"Timestamp,User ID,User ID\n", "must name the columns"),
        (b'[\n{"user_id": "1", "hash": "ab"}\n]', "written by this program"),
        (as_json([old(n) for n in range(300)]).removesuffix(b"]") + b', {"hash": "ab"}]', "written by this program"),
        (b"Timestamp,User ID,Hash\n", "written by this program"),
    ],
)
def test_what_is_no_old_log_is_one_sentence(path: Path, data: bytes, sentence: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InviteLogError, match=sentence):
        OldLog(path)


def test_a_member_named_hash_does_not_make_a_log_ours(path: Path) -> None:
    named = [old(0, username="hash"), old(1, username='"hash": "ab"')]
    assert [user for _, user in lines(read(path, as_json(named)))] == USERS[:2]
    assert [user for _, user in lines(read(path, as_csv(named)))] == USERS[:2]


def test_a_file_that_is_not_there_or_a_folder_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InviteLogError, match="cannot be read"):
            OldLog(path)


def test_columns_that_the_format_does_not_have_are_known(path: Path) -> None:
    path.write_bytes(b"Timestamp,User ID,Notes,Discriminator\n")
    assert OldLog(path).unknown_columns == ["notes"]


def test_a_file_that_changes_while_it_is_read_is_noticed(path: Path) -> None:
    path.write_bytes(as_json([old()]))
    log = OldLog(path)
    log.demand_unchanged()
    path.write_bytes(as_json([old(), old(1)]))
    with pytest.raises(InviteLogError, match="has changed while it was read"):
        log.demand_unchanged()


@pytest.fixture(scope="module")
def one_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "old.log"


values = hostile.names | st.integers()


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), values), max_size=4), st.sampled_from([None, 1]))
def test_any_objects_are_read_as_any_reader_of_json_reads_them(one_path: Path, made: list[Any], indent: Any) -> None:
    for text in (json.dumps([{}, *made], indent=indent, ensure_ascii=ascii) for ascii in (True, False)):
        data = text.encode(errors="replace")  # lone surrogates are no UTF-8
        found = read(one_path, data)
        assert [entry.values for entry in found if isinstance(entry, Line)] == json.loads(data)
        assert len(found) == len(made) + 1


@given(st.binary(max_size=300))
def test_no_bytes_are_passed_over_and_none_raise(one_path: Path, junk: bytes) -> None:
    assume(b"hash" not in junk)  # a log of ours is refused as a whole
    entries = read(one_path, b"[" + json.dumps(old()).encode() + b",\n" + junk)
    assert entries[0] == Line(1, old())
    if junk.decode(errors="replace").strip(string.whitespace + ",[]"):
        assert len(entries) > 1
    rows = read(one_path, as_csv([old()]) + junk)
    assert isinstance(rows[0], Line)
    if junk.strip(b'\r\n,"\0'):
        assert len(rows) > 1


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_long_file_takes_no_more_memory_than_a_short_one(path: Path, kind: str) -> None:
    record = json.dumps(old()).encode()
    with path.open("wb") as file:
        if kind == "json":
            file.write(b"[" + record + (b",\n" + record) * 60_000 + b"]")
        else:
            header, row = as_csv([old()]).splitlines(keepends=True)
            file.write(header + row * 60_001)
    assert path.stat().st_size > 6 << 20
    log = OldLog(path)
    tracemalloc.start()
    try:
        count = sum(1 for _ in log.entries())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 60_001
    assert peak < (5 << 20)


def test_an_object_longer_than_any_record_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_json, "LONGEST", 1000)
    monkeypatch.setattr(old_json, "CHUNK", 100)
    data = as_json([old(0, username="x" * 3000), old(1)])
    found = lines(read(path, data))
    assert found[-1] == (1, USERS[1])
    assert "no JSON" in found[0][1]


def test_a_header_with_a_carriage_return_in_a_cell_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_bytes(b"Timestamp,User ID,User\rname\n2025-10-31T14:30:45,123456789012345678,a\n")
    with pytest.raises(InviteLogError, match="its first line must name the columns"):
        OldLog(path)
