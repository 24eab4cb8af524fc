"""`invitelog verify`: all is sound, or what was altered is named, in which file and line."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from joins import schema
from joins.chain import chained, genesis
from joins.cloud import anchors
from joins.cloud.anchors import Anchor
from joins.cloud.bucket import Bucket
from joins.keys import SINKS
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, JOINS
from joins.settings import Settings
from ops.__main__ import main
from ops.verifying.finding import EDITED, INSERTED, MOVED, NOTE, REMOVED, REWRITTEN, UNSETTLED, Finding
from ops.verifying.verification import Verification
from tests.consumers.sink_kinds import LOCAL
from tests.ops.verified_house import JOIN_COUNT, House, flipped

SEED = 20261126


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def one(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def test_copies_that_nobody_touched_are_sound(house: House) -> None:
    verdict = house.verify()
    assert (verdict.status, verdict.findings) == (0, [])
    assert {sink: logs[JOINS]["records"] for sink, logs in verdict.copies.items()} == dict.fromkeys(SINKS, JOIN_COUNT)
    assert len({logs[CHANGES]["hash"] for logs in verdict.copies.values()}) == 1


def test_every_one_of_1000_random_single_byte_edits_is_found_and_its_line_is_named(house: House) -> None:
    chance, files = random.Random(SEED), house.files()
    assert len(files) == 9
    for number in range(1000):
        path = files[number % len(files)]
        data = path.read_bytes()
        edited, offset = flipped(data, chance)
        path.write_bytes(edited)
        findings = house.verify().findings
        path.write_bytes(data)
        said = [
            finding.sentence for finding in findings if str(path) in finding.sentence.partition(": ")[0] + finding.what
        ]
        assert said, (path, offset, data[offset], edited[offset], findings)
        if path.suffix != ".gz":  # of an object, one wrong byte spoils all of it
            line = data.count(b"\n", 0, offset) + 1
            named = [int(found) for sentence in said for found in re.findall(r"line (\d+)", sentence)]
            assert any(abs(found - line) <= (edited[offset] == 10 or data[offset] in b"\n,]}") for found in named), said


def test_every_edit_of_a_cell_of_the_database_is_found_and_its_table_is_named(house: House) -> None:
    chance, path = random.Random(SEED), database_path(house.folder)
    whole = path.read_bytes()
    for table in ("joins", "changes", "heads", "attributions", "staff", "codes"):
        for _ in range(12):
            database = sqlite3.connect(path)
            columns = [row[1] for row in database.execute(f"pragma table_info({table})")]
            column = chance.choice(columns)
            (rows,) = database.execute(f"select count(*) from {table}").fetchone()
            row = chance.randrange(rows)
            database.execute(
                f"update {table} set {column} = coalesce({column}, '') || 'x' "
                f"where rowid = (select rowid from {table} limit 1 offset ?)",
                [row],
            )
            database.commit()
            database.close()
            findings = [finding for finding in house.verify().altered() if finding.sink == "sqlite"]
            assert any(f"table {table}" in finding.sentence for finding in findings), (table, column, row, findings)
            path.write_bytes(whole)


def test_a_wrong_byte_anywhere_in_the_database_is_found_or_alters_nothing_that_is_read(house: House) -> None:
    chance, path = random.Random(SEED), database_path(house.folder)
    whole = path.read_bytes()
    sound, found = dump(path), 0
    for _ in range(150):
        path.write_bytes(flipped(whole, chance)[0])
        if house.verify().status:
            found += 1
        else:
            assert dump(path) == sound
    assert found > 10
    path.write_bytes(whole)


def dump(path: Path) -> list[str]:
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return list(database.iterdump())
    finally:
        database.close()


def test_a_view_or_trigger_that_was_slipped_in_is_found(house: House) -> None:
    database = sqlite3.connect(database_path(house.folder))
    database.execute("create trigger credit after insert on staff begin update staff set ib_code = 'mine'; end")
    database.execute("drop view effective_joins")
    database.execute("create view effective_joins as select * from joins")
    database.commit()
    database.close()
    said = [finding.sentence for finding in house.verify().altered()]
    assert [sentence.rpartition("definition of ")[2] for sentence in said] == [
        "'credit' is not this program's", "'effective_joins' is not this program's",
    ]  # fmt: skip


Alter = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("kind", "alter", "line"),
    [
        (EDITED, lambda lines: [*lines[:5], lines[5].replace(b"Pip", b"Pop"), *lines[6:]], 7),
        (REMOVED, lambda lines: [*lines[:5], *lines[8:]], 7),
        (INSERTED, lambda lines: [*lines[:5], re.sub(rb"(\d{13})-\d", rb"\1-77", lines[4]), *lines[5:]], 7),
        (MOVED, lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], 7),
        (MOVED, lambda lines: [*lines[:5], lines[2], *lines[5:]], 7),
    ],
    ids=["edited", "removed", "inserted", "moved", "repeated"],
)
@pytest.mark.parametrize("path_of", [json_path, csv_path])
def test_what_was_done_to_a_record_is_named(
    house: House, path_of: Callable[[Path, str], Path], kind: str, alter: Alter, line: int
) -> None:
    path = path_of(house.folder, JOINS)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], *alter(lines[1:])]))
    found = one(list(house.verify().altered()))
    assert (found.kind, found.where) == (kind, f"{path}, line {line}"), found
    assert found.event_id is not None


def test_of_an_edit_the_keys_are_named_but_no_name_is_shown(house: House) -> None:
    path = json_path(house.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'"uses_after": 6', b'"uses_after": 7', 1))
    found = one(list(house.verify().altered()))
    assert "differs from" in found.what
    assert "in uses_after" in found.what
    assert house.records[JOINS][0]["username"] not in found.sentence


def test_a_copy_whose_chain_was_made_anew_contradicts_the_others(house: House) -> None:
    forged = [{**record, "invite_code": "mine"} if n > 6 else record for n, record in enumerate(house.records[JOINS])]
    forged = chained(genesis(JOINS), forged)
    json_path(house.folder, JOINS).unlink()
    house.fill(("json",), {JOINS: forged, CHANGES: []})
    found = one(list(house.verify().altered()))
    assert (found.kind, found.sink, found.where) == (REWRITTEN, "json", f"{json_path(house.folder, JOINS)}, line 9")


def test_all_four_copies_rewritten_at_once_are_caught_by_an_anchor(house: House) -> None:
    bucket = Bucket(house.settings.cloud_url)
    head = house.records[JOINS][9]["event_id"], house.records[JOINS][9]["hash"]
    assert anchors.make(bucket, "2026-11-26", "now", {JOINS: head})
    assert not anchors.make(bucket, "2026-11-26", "later", {JOINS: head})
    verdict = house.verify()
    assert (verdict.status, verdict.anchors) == (0, 1)
    forged = [{**record, "staff_id": "99"} if n == 2 else record for n, record in enumerate(house.records[JOINS])]
    for path in (json_path(house.folder, JOINS), csv_path(house.folder, JOINS)):
        path.unlink()
    shutil.rmtree(house.folder / "cloud" / JOINS)
    database = sqlite3.connect(database_path(house.folder))
    database.execute("delete from joins")
    database.execute("delete from heads where log = 'joins'")
    database.commit()
    database.close()
    house.fill(SINKS, {JOINS: chained(genesis(JOINS), forged), CHANGES: []})
    verdict = house.verify()
    assert {(finding.kind, finding.sink) for finding in verdict.findings} == {(REWRITTEN, sink) for sink in SINKS}
    shutil.rmtree(house.folder / "cloud" / "anchors")
    assert house.verify().status == 0, "nothing but the anchor can tell"
    written_down = Anchor(JOINS, *head, origin="the anchor that was given")
    assert len(house.verify(written_down).altered()) == 4


def test_a_shorter_copy_is_behind_and_not_altered(house: House) -> None:
    json_path(house.folder, JOINS).unlink()
    house.fill(("json",), {JOINS: house.records[JOINS][:9], CHANGES: []})
    verdict = house.verify()
    assert verdict.status == 0
    assert one(list(verdict.findings)).kind == NOTE
    assert "5 records behind" in one(list(verdict.findings)).what


def test_a_torn_end_is_told_and_settled_by_the_consumers_start(house: House) -> None:
    path = csv_path(house.folder, JOINS)
    path.write_bytes(path.read_bytes() + b"2025-10-31T14:30")
    verdict = house.verify()
    assert (verdict.status, one(list(verdict.findings)).kind) == (2, UNSETTLED)
    LOCAL["csv"](house.folder).open().close()
    assert house.verify().status == 0


def test_a_comma_after_the_last_record_is_found(house: House) -> None:
    path = json_path(house.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b"}\n]", b"},\n]"))
    assert one(list(house.verify().altered())).where == f"{path}, line {JOIN_COUNT + 1}"


def test_names_that_are_gone_without_an_order_and_names_that_stand_against_one_are_found(house: House) -> None:
    path = json_path(house.folder, JOINS)
    lines = path.read_bytes().split(b"\n")
    record = json.loads(lines[2].removesuffix(b","))
    for key in ("username", "display_name", "discriminator"):
        record[key] = None
    del record["salts"]["member"]
    path.write_bytes(b"\n".join([*lines[:2], json.dumps(record, ensure_ascii=False).encode() + b",", *lines[3:]]))
    assert "no `erased` change orders that" in one(list(house.verify().altered())).what
    path.unlink()
    sink = LOCAL["json"](house.folder).open()
    sink.write(JOINS, house.records[JOINS])  # not by way of the one who obeys
    sink.close()
    found = one(list(house.verify().altered()))
    assert (found.where, "orders them gone" in found.what) == (f"{path}, line 5", True)


@pytest.mark.parametrize("fault", ["missing", "edited", "header", "swapped"])
def test_what_was_done_to_an_object_of_the_cloud_is_named(house: House, fault: str) -> None:
    first, second, third = sorted((house.folder / "cloud" / JOINS).iterdir())
    if fault == "missing":
        second.unlink()
        expected, kind = third, REMOVED
    elif fault == "swapped":
        second.write_bytes(first.read_bytes())
        expected, kind = second, EDITED
    else:
        lines = gzip.decompress(second.read_bytes())
        old, new = {"edited": (b"Pip", b"Pop"), "header": (b'"records":5', b'"records": 5')}[fault]
        assert old in lines
        second.write_bytes(gzip.compress(lines.replace(old, new, 1), mtime=0))
        expected, kind = second, EDITED
    verdict = house.verify()
    found = one(list(verdict.altered()))
    assert (found.sink, expected.name in found.where) == ("cloud", True), found
    assert verdict.status == 1
    assert kind in (REMOVED, EDITED)


def test_an_object_that_is_only_compressed_otherwise_is_a_note(house: House) -> None:
    path = min((house.folder / "cloud" / JOINS).iterdir())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=0))
    verdict = house.verify()
    assert (verdict.status, one(list(verdict.findings)).kind) == (0, NOTE)


def test_the_command_names_what_it_found_and_its_status_tells(house: House) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        environment = {
            "INVITE_LOGS_DIR": str(house.folder), "CLOUD_BACKUP_URL": house.settings.cloud_backup_url,
        }  # fmt: skip
        done = CliRunner().invoke(main, ["verify", *arguments], env=environment)
        return done.exit_code, done.output

    def files() -> dict[Path, bytes]:
        """What there is, but for the files that SQLite needs while a database is open."""
        found = (path for path in house.folder.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found if not path.name.endswith(("-shm", "-wal"))}

    before = files()
    status, said = run()
    assert (status, "All is sound" in said) == (0, True), said
    assert files() == before
    head = house.records[JOINS][3]
    assert run("--anchor", f"joins:{head['event_id']}:{head['hash']}")[0] == 0
    assert run("--anchor", f"joins:{head['event_id']}:{'0' * 64}")[0] == 1
    assert run("--anchor", "joins:nonsense")[0] == 10
    path = csv_path(house.folder, CHANGES)
    path.write_bytes(path.read_bytes().replace(b"TravisP", b"TravisQ", 1))
    status, said = run("--json")
    told = json.loads(said)
    assert (status, told["status"], told["findings"][0]["where"]) == (1, 1, f"{path}, line 2")
    path.write_bytes(before[path])
    shutil.move(house.folder / "cloud", house.folder / "elsewhere")
    status, said = run()
    assert (status, "no such folder" in said) == (2, True), said
    assert schema.open_for_reading(database_path(house.folder)) is not None


def test_a_folder_that_cannot_be_looked_into_is_no_alteration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    verdict = Verification(Settings(invite_logs_dir=tmp_path / "file" / "logs"), sinks=("json", "csv", "sqlite")).run()
    assert verdict.status == 2
    assert {(finding.kind, finding.sink) for finding in verdict.findings} == {
        (UNSETTLED, sink) for sink in ("json", "csv", "sqlite")
    }
