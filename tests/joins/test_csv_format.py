from __future__ import annotations

import csv
import io
import json

import hostile
import pytest
from factories import batch, change, join
from hypothesis import given
from hypothesis import strategies as st

from joins.chain import seal
from joins.columns import COLUMNS, HEADERS, NUMBERS
from joins.csv_format import from_row, guarded, header, to_row, unguarded
from joins.errors import InvalidRecord
from joins.records import CHANGES, JOINS

SPECIFIED_HEADER = (
    "Timestamp,User ID,Username,Display Name,Invite Code,Staff ID,Staff Username,Uses Before,Uses After,"
    "Guild ID,Guild Name"
)
SPECIFIED_ROW = (
    "2025-10-31T14:30:45.123456,123456789012345678,john_doe,John Doe,abc123XYZ,987654321098765432,TravisP#0001,5,6,"
    "111222333444555666,PipVault"
)
RUNS = tuple("=+-@\t\r\n\0＝＋－＠")  # with what a cell begins that a spreadsheet may run


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_a_row_holds_the_whole_record(data: st.DataObject, log: str) -> None:
    record = seal(data.draw(hostile.normals(log))) | {"event_id": "1-0", "hash": "ab"}
    assert list(from_row(log, to_row(log, record)).items()) == list(record.items())


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_a_record_is_one_line_however_lines_are_counted(data: st.DataObject, log: str) -> None:
    row = to_row(log, data.draw(hostile.normals(log)))
    assert row.count(b"\n") == 1
    assert len(row.decode().splitlines()) == 1
    assert len(io.StringIO(row.decode(), newline=None).readlines()) == 1


@given(st.lists(hostile.normals(JOINS), max_size=4))
def test_a_plain_reader_finds_a_row_a_record_and_the_headers_cells(records: list[dict[str, object]]) -> None:
    text = (header(JOINS) + b"".join(to_row(JOINS, record) for record in records)).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == len(records)
    assert [row["User ID"] for row in rows] == [record["user_id"] for record in records]
    assert all(None not in row and None not in row.values() for row in rows)
    # As pandas splits with its default engine: physical lines first, quotes respected.
    assert len(text.rstrip("\n").split("\n")) == 1 + len(records)


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_no_cell_runs_as_a_formula_in_a_spreadsheet(data: st.DataObject, log: str) -> None:
    (cells,) = csv.reader([to_row(log, data.draw(hostile.normals(log))).decode()])
    assert not [cell for cell in cells if cell.startswith(RUNS)]


@given(hostile.normals(JOINS))
def test_numbers_and_ids_are_bare_digits(record: dict[str, object]) -> None:
    (cells,) = csv.reader([to_row(JOINS, record).decode()])
    row = dict(zip(COLUMNS[JOINS], cells, strict=False))
    for key in ("user_id", "guild_id", "staff_id", *NUMBERS):
        assert row[key] == ("" if record[key] is None else str(record[key]))


@given(hostile.texts)
def test_guarding_text_loses_nothing(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text).isprintable() or not set(guarded(text)) & set(map(chr, [*range(32), 127, 0x2028, 0x2029]))


def test_the_header_begins_as_specified_and_ends_with_extra() -> None:
    assert header(JOINS).decode().startswith(SPECIFIED_HEADER + ",")
    assert HEADERS[JOINS][-1] == HEADERS[CHANGES][-1] == "Extra"


def test_the_files_begin_without_a_byte_order_mark() -> None:
    assert header(JOINS).startswith(b"Timestamp,")


def test_the_row_of_the_customers_example_begins_as_specified() -> None:
    (record,) = batch(JOINS, 0, 1)
    assert to_row(JOINS, record).decode().startswith(SPECIFIED_ROW + ",")


def test_an_unknown_attribution_leaves_its_cells_empty() -> None:
    nothing = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
    row = to_row(JOINS, join(confidence="unknown", **nothing)).decode()
    assert ",John Doe,,,,,,111222333444555666," in row


def test_extra_is_canonical_json_of_what_has_no_column() -> None:
    (cells,) = csv.reader([to_row(CHANGES, change(0, zebra=1, ant=[None])).decode()])
    assert cells[-1] == '{"ant":[null],"v":1,"zebra":1}'
    assert json.loads(cells[-1]) == {"ant": [None], "v": 1, "zebra": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"john_doe", b"john\\qdoe"),
        (b"john_doe", b"john,doe"),
        (b",5,6,", ",٥,6,".encode()),
        (b",5,6,", b",-5,6,"),
        (b"john_doe", b"\xff"),
        (b"john_doe", b'"john'),
        (b"PipVault", b"a\nb"),
        (b'{""', b'{"'),
        (b'"{', b'"[{'),
    ],
)
def test_a_row_that_this_program_never_writes_is_refused(old: bytes, new: bytes) -> None:
    row = to_row(JOINS, seal(join()))
    assert old in row
    with pytest.raises(InvalidRecord):
        from_row(JOINS, row.replace(old, new, 1))


def test_a_column_is_not_overridden_by_extra() -> None:
    row = to_row(JOINS, join()).replace(b'"{""', b'"{""user_id"":""7"",""', 1)
    with pytest.raises(InvalidRecord, match="Extra"):
        from_row(JOINS, row)
