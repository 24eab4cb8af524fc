from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from factories import batch, change, join
from hypothesis import given
from hypothesis import strategies as st

from consumers.sqlite_database import SqliteDatabase
from joins.chain import Record, chained, genesis, seal
from joins.log_files import database_path
from joins.records import CHANGES, JOINS
from joins.schema import migrations, open_for_reading, open_for_writing


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = [line for line in connection.iterdump() if "_sqlite_migrations" not in line]
    connection.close()
    return lines


def test_migrating_twice_changes_nothing_and_keeps_the_rows(tmp_path: Path) -> None:
    path = database_path(tmp_path)
    sink = SqliteDatabase(tmp_path)
    sink.write(JOINS, batch(JOINS, 0, 3))
    sink.close()
    before = dump(path)
    for _ in range(2):
        database = open_for_writing(path)
        migrations.apply(database)
        database.close()
    assert dump(path) == before


def test_every_commit_is_durable_and_readers_are_not_blocked(tmp_path: Path) -> None:
    database = open_for_writing(database_path(tmp_path))
    assert database.execute("pragma synchronous").fetchone() == (2,)
    assert database.execute("pragma journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_reader_cannot_write_and_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_for_reading(database_path(tmp_path))
    assert not list(tmp_path.iterdir())
    open_for_writing(database_path(tmp_path)).close()
    connection = open_for_reading(database_path(tmp_path))
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("delete from joins")
    connection.close()


def numbered(log: str, records: list[Record]) -> list[Record]:
    return chained(genesis(log), [{**seal(record), "event_id": f"{n + 1}-0"} for n, record in enumerate(records)])


def rows(folder: Path, query: str) -> list[dict[str, object]]:
    connection = open_for_reading(database_path(folder))
    found = [dict(row) for row in connection.execute(query)]
    connection.close()
    return found


def confirmed(number: int, join_record: Record, code: str | None, kind: str = "attribution_confirmed") -> Record:
    fields = {"invite_code": code, "staff_id": "7", "staff_username": "maria", "confidence": "exact"}
    return change(number, kind, join_id=join_record["join_id"], **fields)


def test_a_join_is_overridden_by_its_latest_attribution(tmp_path: Path) -> None:
    first, second = join(0), join(1)
    later = [confirmed(0, first, "one"), confirmed(1, first, "two", "attribution_corrected"), change(2)]
    sink = SqliteDatabase(tmp_path)
    sink.write(JOINS, numbered(JOINS, [first, second]))
    sink.write(CHANGES, numbered(CHANGES, later))
    sink.close()
    found = rows(tmp_path, "select * from effective_joins order by position")
    assert [row["invite_code"] for row in found] == ["two", "abc123XYZ"]
    assert [row["staff_username"] for row in found] == ["maria", "TravisP#0001"]
    assert [row["invite_code"] for row in rows(tmp_path, "select * from joins")] == ["abc123XYZ"] * 2


def test_a_confirmation_that_nobody_is_known_overrides_too(tmp_path: Path) -> None:
    record = join(0)
    sink = SqliteDatabase(tmp_path)
    sink.write(JOINS, numbered(JOINS, [record]))
    sink.write(CHANGES, numbered(CHANGES, [confirmed(0, record, None, "attribution_corrected")]))
    sink.close()
    assert rows(tmp_path, "select invite_code from effective_joins") == [{"invite_code": None}]


CHANGE_LIST = st.lists(
    st.sampled_from(
        [
            ("staff_set", {"staff_id": "7", "staff_username": "maria"}),
            ("staff_set", {"staff_id": "7", "staff_username": "Maria"}),
            ("staff_retired", {"staff_id": "7"}),
            ("code_assigned", {"invite_code": "a", "staff_id": "7"}),
            ("code_assigned", {"invite_code": "a", "staff_id": "8"}),
            ("member_left", {}),
        ]
    ),
    min_size=1,
    max_size=8,
)


@given(CHANGE_LIST, st.integers(0, 2), st.booleans())
def test_the_fold_does_not_depend_on_batches_nor_on_whether_changes_come_before_their_joins(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, dict[str, str]]], cut: int, joins_first: bool
) -> None:
    joined = numbered(JOINS, [join(0), join(1)])
    records = [change(n, kind, **values) for n, (kind, values) in enumerate(kinds)]
    changes = numbered(CHANGES, [*records, confirmed(99, joined[0], "zzz")])
    folds = []
    for size, first in ((cut + 1, joins_first), (len(changes), True)):
        folder = tmp_path_factory.mktemp("fold")
        sink = SqliteDatabase(folder)
        if first:
            sink.write(JOINS, joined)
        for start in range(0, len(changes), size):
            sink.write(CHANGES, changes[start : start + size])
        if not first:
            sink.write(JOINS, joined)
        sink.close()
        folds.append([rows(folder, f"select * from {table} order by 1") for table in
                      ("staff", "codes", "attributions", "effective_joins", "heads")])  # fmt: skip
    assert folds[0] == folds[1]
