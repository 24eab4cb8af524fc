from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from monthly import FORMS, LOG_FILES, MONTHS, archive_all, check, fill, records_of

from consumers.sink import opener
from joins import archives
from joins.archive import BLOCK_BYTES, Archive
from joins.erasure import Erasure
from joins.errors import LogDamaged, SinkUnavailable
from joins.event_id import ZERO
from joins.records import CHANGES, JOINS
from joins.settings import Settings

BOTH = pytest.mark.parametrize("sink", ["json", "csv"])


@BOTH
@pytest.mark.parametrize("log", [JOINS, CHANGES])
def test_closed_months_leave_the_file_and_every_reader_finds_them(tmp_path: Path, sink: str, log: str) -> None:
    form, records = FORMS[sink](log), records_of(log)
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, log, records)
    check(tmp_path, form, records)
    assert archive_all(log_file, log, after=2) == list(MONTHS[:3])
    check(tmp_path, form, records)
    with form.reader(form.path(tmp_path)) as recent:
        assert [record["event_id"] for record in recent] == [record["event_id"] for record in records[21:]]
    assert log_file.head(log) == (records[-1]["event_id"], records[-1]["hash"])
    assert archive_all(log_file, log, after=1) == [MONTHS[3]]
    more = records_of(log, months=("2026-03",), before=records)
    fill(log_file, log, more)
    log_file.close()
    check(tmp_path, form, records + more)
    log_file = LOG_FILES[sink](tmp_path)
    assert log_file.head(log) == (more[-1]["event_id"], more[-1]["hash"])
    assert archive_all(log_file, log) == [MONTHS[4]]
    log_file.close()
    check(tmp_path, form, records + more)


def test_an_archive_is_a_whole_document_to_any_gunzip(tmp_path: Path) -> None:
    records = records_of()
    for kind in LOG_FILES.values():
        log_file = kind(tmp_path)
        fill(log_file, JOINS, records)
        archive_all(log_file)
        log_file.close()
    document = gzip.decompress((tmp_path / "archive/invite_joins.2025-11.json.gz").read_bytes())
    assert [one["event_id"] for one in json.loads(document)] == [one["event_id"] for one in records[7:14]]
    text = gzip.decompress((tmp_path / "archive/invite_joins.2025-11.csv.gz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert [row["Event ID"] for row in rows] == [one["event_id"] for one in records[7:14]]


@BOTH
def test_a_large_month_is_read_by_blocks(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](CHANGES), records_of(CHANGES, each=400, months=MONTHS[:2], reason="why " * 500)
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, CHANGES, records)
    archive_all(log_file, CHANGES)
    log_file.close()
    one = Archive(archives.paths(tmp_path, form)[0], form)
    assert len(one.index.blocks) > 2
    assert all(len(one.payload(block)) < 2 * BLOCK_BYTES for block in one.index.blocks)
    one.close()
    check(tmp_path, form, records)


@BOTH
def test_a_month_is_due_by_the_setting_and_never_when_it_is_zero(tmp_path: Path, sink: str) -> None:
    records = records_of()
    for after, expected in ((0, []), (3, list(MONTHS[:2])), (1, list(MONTHS[:4]))):
        folder = tmp_path / str(after)
        folder.mkdir()
        log_file = opener(sink)(Settings(invite_logs_dir=folder, archive_after_months=after))
        log_file.write(JOINS, records)
        for _ in range(10):
            log_file.rest(lambda: True)  # type: ignore[attr-defined]  # of this sink
            log_file._next_look = 0.0  # type: ignore[attr-defined]
        log_file.close()
        assert [path.name.split(".")[1] for path in archives.paths(folder, FORMS[sink](JOINS))] == expected
        check(folder, FORMS[sink](JOINS), records)


@BOTH
def test_a_log_whose_file_is_gone_ends_where_its_archives_end(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records)
    archive_all(log_file)
    log_file.close()
    form.path(tmp_path).unlink()
    check(tmp_path, form, records[:28])
    log_file = LOG_FILES[sink](tmp_path)
    assert log_file.head(JOINS) == (records[27]["event_id"], records[27]["hash"])
    fill(log_file, JOINS, records[28:])
    log_file.close()
    check(tmp_path, form, records)


@BOTH
def test_a_file_put_back_from_before_is_cut_to_what_is_not_archived(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    for count in (14, 35):  # the older one ends within what is archived by then
        fill(log_file, JOINS, records[count - 14 if count == 14 else 14 : count])
        shutil.copy(form.path(tmp_path), tmp_path / f"kept-{count}")
    archive_all(log_file)
    log_file.close()
    for count in (14, 35):
        shutil.copy(tmp_path / f"kept-{count}", form.path(tmp_path))
        check(tmp_path, form, records[: max(28, count)])
        log_file = LOG_FILES[sink](tmp_path)
        assert log_file.head(JOINS)[0] == records[max(28, count) - 1]["event_id"]
        fill(log_file, JOINS, records[max(28, count) :])
        log_file.close()
        check(tmp_path, form, records)
        with form.reader(form.path(tmp_path)) as recent:
            assert recent.count() == 7


@BOTH
def test_a_file_put_back_that_tells_another_story_is_refused_and_left(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records)
    archive_all(log_file)
    log_file.close()
    other = records_of(guild_name="Another")
    form.write_whole(form.path(tmp_path), map(form.encode, other))
    before = form.path(tmp_path).read_bytes()
    with pytest.raises(LogDamaged, match="different records"):
        LOG_FILES[sink](tmp_path)
    assert form.path(tmp_path).read_bytes() == before


@BOTH
def test_a_missing_archive_is_said_with_the_way_out(tmp_path: Path, sink: str) -> None:
    form = FORMS[sink](JOINS)
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records_of())
    archive_all(log_file)
    log_file.close()
    archives.paths(tmp_path, form)[-1].unlink()
    with pytest.raises(LogDamaged, match=f"an archive is missing.*invitelog rebuild {sink}"):
        LOG_FILES[sink](tmp_path)


@BOTH
def test_an_archive_that_was_cut_or_changed_is_refused(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records)
    archive_all(log_file)
    log_file.close()
    path = archives.paths(tmp_path, form)[-1]
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole[:100], b"x" * len(whole), whole[:-60] + b"\0" * 60):
        path.write_bytes(data)
        with pytest.raises(LogDamaged, match=path.name):
            LOG_FILES[sink](tmp_path)


@BOTH
def test_a_record_that_was_edited_keeps_its_month_out_of_the_archive(tmp_path: Path, sink: str) -> None:
    form = FORMS[sink](JOINS)
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records_of(each=3))
    path = form.path(tmp_path)
    data = path.read_bytes().replace(b"PipVault", b"PipFault", 1)
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(LogDamaged):
        archive_all(log_file)
    log_file.close()
    assert (path.read_bytes(), archives.paths(tmp_path, form)) == (data, [])
    assert list((tmp_path / "archive").iterdir()) == []


@BOTH
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path, sink: str, monkeypatch: pytest.MonkeyPatch) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(SinkUnavailable, match="the disk is full"):
            log_file.archive(JOINS, 1)
    assert archives.paths(tmp_path, form) == []
    check(tmp_path, form, records)
    assert archive_all(log_file) == list(MONTHS[:4])
    log_file.close()
    check(tmp_path, form, records)


@BOTH
def test_names_are_erased_from_archives_once_and_from_those_put_back(tmp_path: Path, sink: str) -> None:
    form, records = FORMS[sink](JOINS), records_of()
    log_file = LOG_FILES[sink](tmp_path)
    fill(log_file, JOINS, records)
    archive_all(log_file)
    path = archives.paths(tmp_path, form)[1]
    old = path.read_bytes()
    person = records[9]
    orders = [Erasure(person["guild_id"], person["user_id"], records[-1]["event_id"])]
    log_file.erase(orders)
    clean = path.read_bytes()
    assert person["salts"]["member"].encode() in gzip.decompress(old)
    assert person["salts"]["member"].encode() not in gzip.decompress(clean)
    inodes = [one.stat().st_ino for one in archives.paths(tmp_path, form)]
    log_file.erase(orders, again=True)
    assert [one.stat().st_ino for one in archives.paths(tmp_path, form)] == inodes, "nothing is written twice"
    path.write_bytes(old)
    log_file.erase(orders, again=True)
    assert path.read_bytes() == clean
    log_file.close()
    one = Archive(path, form)
    assert one.index.obeyed == orders[0].event_id != ZERO
    hashes = [record["hash"] for record in one.after(ZERO)]
    one.close()
    assert hashes == [record["hash"] for record in records[7:14]]


@pytest.mark.parametrize("sink", LOG_FILES)
def test_a_process_that_ends_gives_a_month_up_and_the_next_one_does_it(tmp_path: Path, sink: str) -> None:
    log_file, records = LOG_FILES[sink](tmp_path, archive_after=1), records_of()
    fill(log_file, JOINS, records)
    asked = iter([True] * 5)
    log_file.rest(lambda: next(asked, False))
    assert archives.paths(tmp_path, FORMS[sink](JOINS)) == []
    assert list((tmp_path / archives.FOLDER).iterdir()) == []
    for _ in range(5):
        log_file.rest(lambda: True)
    log_file.close()
    assert len(archives.paths(tmp_path, FORMS[sink](JOINS))) == 4
    check(tmp_path, FORMS[sink](JOINS), records)
