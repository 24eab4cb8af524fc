"""What a sceptic tries against `verify`: alterations that hide behind something else, and things that are none."""

from __future__ import annotations

import fcntl
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from factories import batch, change, event

from consumers.obeying import write
from joins.chain import Record, chained, genesis, seal
from joins.cloud import anchors
from joins.cloud.anchors import Anchor
from joins.cloud.bucket import Bucket
from joins.erasure import KIND, Erasures
from joins.keys import SINKS
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, JOINS
from ops.verifying import log_file
from ops.verifying.database_rows import DatabaseRows
from ops.verifying.finding import REMOVED, REWRITTEN, UNSETTLED, Finding
from ops.verifying.following import Orders, follow
from tests.consumers.sink_kinds import LOCAL
from tests.joins.log_file_cases import KINDS, LOG, Kind, chain, holed, torn
from tests.ops.verified_house import JOIN_COUNT, House

NOBODY = Orders(Erasures(), Erasures())
Lines = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def refilled(house: House, sink: str, joins: Sequence[Record]) -> None:
    """Puts other joins into a file's copy."""
    (json_path if sink == "json" else csv_path)(house.folder, JOINS).unlink()
    house.fill((sink,), {JOINS: list(joins), CHANGES: []})


def forged(house: House) -> list[Record]:
    """The joins with one altered and the chain made anew."""
    altered = [{**record, "invite_code": "mine"} if n == 6 else record for n, record in enumerate(house.records[JOINS])]
    return chained(genesis(JOINS), altered)


def kinds(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(finding.sink, finding.kind) for finding in findings}


def test_a_third_copy_that_is_behind_hides_no_contradiction(house: House) -> None:
    refilled(house, "csv", house.records[JOINS][:3])
    refilled(house, "json", forged(house))
    assert kinds(house.verify().altered()) == {("json", REWRITTEN)}


def test_two_against_two_are_all_named(house: House) -> None:
    for sink in ("json", "csv"):
        refilled(house, sink, forged(house))
    assert kinds(house.verify().altered()) == {(sink, REWRITTEN) for sink in SINKS}


def test_a_torn_end_hides_no_chain_that_was_made_anew(house: House) -> None:
    refilled(house, "csv", forged(house))
    path = csv_path(house.folder, JOINS)
    path.write_bytes(path.read_bytes() + b"2025-10-31T14:30")
    assert kinds(house.verify().findings) >= {("csv", REWRITTEN), ("csv", UNSETTLED)}


def test_records_cut_from_the_end_of_all_copies_are_missed_by_an_anchor(house: House) -> None:
    last = house.records[JOINS][-1]
    for path in (json_path(house.folder, JOINS), csv_path(house.folder, JOINS), database_path(house.folder)):
        path.unlink()
    shutil.rmtree(house.folder / "cloud" / JOINS)
    house.fill(("json", "csv", "cloud"), {JOINS: house.records[JOINS][:9], CHANGES: []})
    house.fill(("sqlite",), {JOINS: house.records[JOINS][:9], CHANGES: house.records[CHANGES]})
    assert house.verify().status == 0, "nothing but an anchor can tell"
    anchor = Anchor(JOINS, last["event_id"], last["hash"], "the anchor that was given")
    assert kinds(house.verify(anchor).altered()) == {(sink, REMOVED) for sink in SINKS}
    json_path(house.folder, JOINS).unlink()
    assert house.verify(anchor).status == 2, "the copy that is not there might reach further"


@pytest.mark.parametrize("sink", SINKS)
def test_a_copy_that_is_gone_is_not_sound(house: House, sink: str) -> None:
    LOCAL[sink](house.folder).lose()
    verdict = house.verify()
    assert (verdict.status, verdict.altered()) == (2, [])
    assert {finding.sink for finding in verdict.findings} == {sink}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_crash_leaves_is_never_taken_for_an_alteration(kind: Kind, tmp_path: Path) -> None:
    path = (json_path if kind.name == "json" else csv_path)(tmp_path, LOG)
    records = chain(5)
    kind.write(path, records[:3])
    before = path.read_bytes()
    writer = kind.open(path)
    kind.append(writer, records[3:])
    writer.close()
    after = path.read_bytes()
    states = [*list(torn(before, after))[::3], *holed(before, after)]
    wrong = []
    for state in states:
        path.write_bytes(state)
        try:
            kind.open(path).close()
        except Exception:
            continue  # this the consumer refuses too
        path.write_bytes(state)
        source = (log_file.json_file if kind.name == "json" else log_file.csv_file)(tmp_path, LOG)
        assert source is not None
        walk = follow(source, NOBODY, (), lambda: None)
        source.close()
        # Where a whole record follows a hole smaller than a block's blanks, nobody can tell it from an edit.
        if walk.flaw is not None and not walk.flaw.torn and state[: len(before) - 1].startswith(before[:-4]):
            wrong.append((state[-300:], walk.flaw))
    assert len(states) > 100
    assert wrong == []


@pytest.mark.parametrize(
    "change",
    [
        lambda record: dict(reversed(record.items())),
        lambda record: {key: value for key, value in record.items() if key != "discriminator"} | {"x": None},
        lambda record: {**record, "ib_code": None},
        lambda record: {**record, "salts": {**record["salts"], "other": "ab"}},
    ],
    ids=["the order of keys", "a key is gone", "a null is new", "a salt of nothing"],
)
@pytest.mark.parametrize("sink", ["json", "cloud"])
def test_what_no_hash_covers_is_found(house: House, sink: str, change: Callable[[Record], Record]) -> None:
    if sink == "json":
        path = json_path(house.folder, JOINS)
        lines = path.read_bytes().split(b"\n")
        lines[2] = json.dumps(change(json.loads(lines[2][:-1])), ensure_ascii=False).encode() + b","
        path.write_bytes(b"\n".join(lines))
    else:
        path = min((house.folder / "cloud" / JOINS).iterdir())
        lines = gzip.decompress(path.read_bytes()).split(b"\n")
        lines[2] = json.dumps(change(json.loads(lines[2])), ensure_ascii=False).encode()
        path.write_bytes(gzip.compress(b"\n".join(lines), mtime=0))
    found = house.verify().altered()
    assert [finding.sink for finding in found] == [sink]
    assert f"{path.name}, line {3}" in found[0].where


@pytest.mark.parametrize("sink", SINKS)
def test_a_record_that_only_claims_to_be_of_a_later_version_was_edited(house: House, sink: str) -> None:
    if sink == "sqlite":
        with closing(sqlite3.connect(database_path(house.folder))) as database, database:
            database.execute("""update joins set extra = replace(extra, '"v":1', '"v":2') where uses_after = 6""")
    elif sink == "cloud":
        path = min((house.folder / "cloud" / JOINS).iterdir())
        data = gzip.decompress(path.read_bytes()).replace(b'"v": 1', b'"v": 2', 1)
        path.write_bytes(gzip.compress(data, mtime=0))
    else:
        path, old = (json_path, b'"v": 1') if sink == "json" else (csv_path, b'""v"":1')
        data = path(house.folder, JOINS).read_bytes()
        assert old in data
        path(house.folder, JOINS).write_bytes(data.replace(old, old[:-1] + b"2", 1))
    assert [finding.sink for finding in house.verify().altered()] == [sink]


def test_a_record_that_is_of_a_later_version_cannot_be_judged_by_this_one(tmp_path: Path) -> None:
    house = House(tmp_path)
    later = chained(house.records[JOINS][-1]["hash"], [{**batch(JOINS, 50, 1)[0], "v": 2, "hash": None}])
    sink = LOCAL["json"](tmp_path).open()
    sink.write(JOINS, later)
    sink.close()
    verdict = house.verify()
    assert (verdict.status, kinds(verdict.findings)) == (2, {("json", UNSETTLED)})


def test_a_log_that_an_editor_put_on_one_line_ends_the_walk_at_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    path = json_path(tmp_path, JOINS)
    path.write_bytes(b"[\n" + b" ".join([b'{"a": "' + b"x" * 1000 + b'"},'] * 6000) + b"\n]")
    found = house.verify().altered()
    assert [finding.where for finding in found] == [f"{path}, line 2"]


def test_a_file_that_a_stopped_writer_keeps_locked_does_not_keep_verify_waiting(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "LOCK_SECONDS", 0.05)
    with csv_path(house.folder, JOINS).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        verdict = house.verify()
    assert (verdict.status, "keeps it locked" in verdict.findings[0].sentence) == (2, True)


def test_not_even_sqlites_own_files_are_left_behind(house: House) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in house.folder.rglob("*") if path.is_file()}

    before = files()
    assert house.verify().status == 0
    assert files() == before


def test_a_table_that_is_gone_and_a_file_that_is_no_database_are_alterations(house: House) -> None:
    path = database_path(house.folder)
    before = path.read_bytes()
    for table in ("heads", "joins", "staff"):
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"drop table {table}" if table != "joins" else "alter table joins rename to other")
        verdict = house.verify()
        assert (verdict.status, {finding.sink for finding in verdict.altered()}) == (1, {"sqlite"}), table
        path.write_bytes(before)
    path.write_bytes(b"x" * 100 + before[100:])
    assert house.verify().status == 1


def test_reading_the_database_keeps_no_erased_name_in_its_write_ahead_log(house: House) -> None:
    made = LOCAL["sqlite"](house.folder).open()
    rows = DatabaseRows(database_path(house.folder), JOINS)
    walking = rows.lines()
    next(walking)
    order = {**seal(change(9, KIND, user_id=house.records[JOINS][5]["user_id"], reason=None)), "event_id": event(90)}
    (order,) = chained(house.records[CHANGES][-1]["hash"], [order])
    named = house.records[JOINS][5]["salts"]["member"].encode()
    assert named in database_path(house.folder).read_bytes()
    write(made, CHANGES, [order])
    assert not any(named in path.read_bytes() for path in house.folder.glob("invites.db*"))
    walking.close()
    rows.close()
    made.close()


def test_what_the_consumer_adds_to_the_database_meanwhile_is_no_alteration(house: House) -> None:
    made = LOCAL["sqlite"](house.folder).open()
    rows = DatabaseRows(database_path(house.folder), CHANGES)
    later = change(
        9, "attribution_corrected", join_id=house.records[JOINS][1]["join_id"], invite_code="new", staff_id="78",
        staff_username="Ann", confidence="exact",
    )  # fmt: skip
    assigned = change(10, "code_assigned", invite_code="later", staff_id="78")
    numbered = [{**seal(one), "event_id": event(80 + n)} for n, one in enumerate((later, assigned))]
    made.write(CHANGES, chained(house.records[CHANGES][-1]["hash"], numbered))
    orders = Orders(house.erasures, house.erasures)
    walk = follow(rows, orders, (), lambda: None)
    assert (walk.flaw, walk.records, list(rows.after_lines())) == (None, len(house.records[CHANGES]), [])
    rows.close()
    made.close()


def test_an_anchor_may_be_pasted_as_it_was_posted(house: House) -> None:
    record = house.records[JOINS][3]
    text = f" `joins:{record['event_id']}:{record['hash'].upper()}`\n"
    assert house.verify(anchors.from_text(text, "the channel")).status == 0


@pytest.mark.parametrize(
    "data", [b"{}", b'{"heads":{}}', b'{"heads": {"joins":{"event_id":"1-0","hash":"00"}}}', b"[" * 9999]
)
def test_an_anchor_that_was_emptied_is_found(house: House, data: bytes) -> None:
    Bucket(house.settings.cloud_url).create("anchors/2026-11-26.json", data)
    (found,) = house.verify().altered()
    assert "2026-11-26.json" in found.sentence


def test_the_cloud_may_lack_no_object_and_hold_no_stranger(house: House) -> None:
    home = house.folder / "cloud" / JOINS
    names = sorted(path.name for path in home.iterdir())
    middle = home / names[1]
    stranger = home / names[1].replace("5", "6")
    stranger.write_bytes(middle.read_bytes())
    assert [finding.sink for finding in house.verify().altered()] == ["cloud"]
    stranger.unlink()
    (home / names[-1]).unlink()
    verdict = house.verify()
    assert (verdict.status, "records behind" in verdict.findings[0].what) == (0, True), "its consumer adds them again"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [(b'"position"', b'"positiom"', 1), (b'{"first"', b'["first"', 1), (b'"username": "', b'"username": "\n', 2)],
)
def test_damage_within_an_object_is_named_by_line(house: House, old: bytes, new: bytes, line: int) -> None:
    path = min((house.folder / "cloud" / JOINS).iterdir())
    data = gzip.decompress(path.read_bytes())
    assert old in data
    path.write_bytes(gzip.compress(data.replace(old, new, 1), mtime=0))
    assert [finding.where for finding in house.verify().altered()] == [f"{path.absolute().as_uri()}, line {line}"]


def test_an_altered_record_says_nothing_to_the_terminal_that_shows_it(house: House) -> None:
    with closing(sqlite3.connect(database_path(house.folder))) as database, database:
        database.execute("update changes set change_id = 'a' || char(27, 10) || '[2J' where change = 'code_assigned'")
    sentences = [finding.sentence for finding in house.verify().altered()]
    assert sentences
    assert all(sentence.isprintable() for sentence in sentences)


def as_plain(found: Any) -> Any:
    return json.loads(json.dumps(found))


def test_the_outcome_is_plain_data(house: House) -> None:
    path = json_path(house.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'"uses_after": 6', b'"uses_after": 7', 1))
    told = house.verify().as_json()
    assert as_plain(told) == told
    assert told["copies"]["csv"][JOINS]["records"] == JOIN_COUNT
