"""What earlier versions wrote opens today; a database is brought to today's form once, whole, with a copy before."""

from __future__ import annotations

import sqlite3
import tarfile
from pathlib import Path

import pytest
from factories import batch
from sqlite_utils import Database

from joins import archive, schema
from joins.chain import chained, genesis
from joins.copies.finding import open_copy
from joins.errors import NewerVersion
from joins.keys import SINKS
from joins.log_files import database_path
from joins.records import CHANGES, JOINS, LOGS, normal
from joins.settings import Settings
from joins.whole_log import WholeLog
from ops.verifying.verification import Verification
from producer.outbox import Outbox
from tests.consumers.monthly import FORMS, LOG_FILES, MONTHS, archive_all, check, fill, records_of
from tests.consumers.sink_kinds import LOCAL
from tests.fixtures.make import WAITING
from tests.ops.verified_house import JOIN_COUNT

FIXTURES = Path(__file__).parents[1] / "fixtures"


ARCHIVES = sorted(path.name for path in FIXTURES.glob("*-archives.tar.gz"))


@pytest.fixture(params=sorted({path.name for path in FIXTURES.glob("*.tar.gz")} - set(ARCHIVES)))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What a version left."""
    return unpacked(request.param, tmp_path)


def unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(FIXTURES / name) as packed:
        packed.extractall(folder, filter="data")
    return folder


def test_the_files_of_an_earlier_version_are_read_verified_and_continued(folder: Path) -> None:
    settings = Settings(invite_logs_dir=folder, cloud_backup_url=(folder / "cloud").as_uri())
    verdict = Verification(settings).run()
    assert (verdict.status, verdict.findings) == (0, [])
    for sink in SINKS:
        copy = open_copy(sink, JOINS, folder, settings.cloud_url)
        assert copy is not None
        assert copy.count() == JOIN_COUNT
        made = LOCAL[sink](folder).open()
        more = batch(JOINS, JOIN_COUNT, 3, previous=made.head(JOINS)[1])
        made.write(JOINS, more)
        assert made.head(JOINS) == (more[-1]["event_id"], more[-1]["hash"])
        made.close()
    box = Outbox(folder / "outbox" / "outbox.jsonl")
    assert (len(box.waiting), list(box.arrivals), box.epoch) == (WAITING, ["f" * 32], "epoch")
    box.close()
    verdict = Verification(settings).run()
    assert {found.kind for found in verdict.findings} == {"rewritten"}, "each sink got records of its own"
    assert {logs[JOINS]["records"] for logs in verdict.copies.values()} == {JOIN_COUNT + 3}


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("sink", LOG_FILES)
@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_of_an_earlier_version_are_read_and_continued(tmp_path: Path, name: str, sink: str, log: str) -> None:
    folder, form = unpacked(name, tmp_path), FORMS[sink](log)
    with WholeLog(folder, FORMS["json"](log)) as whole:
        records = [normal(log, record) for record in whole]
    assert chained(genesis(log), records) == records
    assert [archive.month_of(record["event_id"]) for record in records[::7]] == list(MONTHS)
    check(folder, form, records)
    log_file = LOG_FILES[sink](folder)
    records += records_of(log, months=("2026-03", "2026-04"), before=records)
    fill(log_file, log, records[-14:])
    assert archive_all(log_file, log) == ["2026-02", "2026-03"]
    log_file.close()
    check(folder, form, records)


def first_form(path: Path) -> None:
    """A database as the very first version made it, with a join in it."""
    database = Database(path)
    schema.migrations.apply(database, stop_before="m002_vip_upgrades")
    database.table(JOINS).insert(schema.row(JOINS, batch(JOINS, 0, 1)[0]))
    database.conn.close()


def indexes(path: Path) -> set[str]:
    database = sqlite3.connect(path)
    found = {row[0] for row in database.execute("select name from sqlite_master where type = 'index'")}
    assert database.execute("select count(*) from joins").fetchone() == (1,)
    database.close()
    return found


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob("invites.db.migrated-*"))


def test_an_older_database_is_migrated_once_and_kept_as_it_was(tmp_path: Path) -> None:
    path = database_path(tmp_path)
    first_form(path)
    for _ in range(2):
        schema.open_for_writing(path).conn.close()
    assert "idx_changes_vip" in indexes(path)
    [before] = kept(tmp_path)
    assert "idx_changes_vip" not in indexes(before)


def test_a_migration_that_fails_leaves_the_database_as_it_was_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database_path(tmp_path)
    first_form(path)
    last = schema.migrations._migrations[-1]

    def fails(database: Database) -> None:
        last_fn(database)
        raise sqlite3.OperationalError("database or disk is full")

    last_fn = last.fn
    monkeypatch.setattr(last, "fn", fails)
    with pytest.raises(sqlite3.OperationalError):
        schema.open_for_writing(path)
    assert "idx_changes_vip" not in indexes(path)
    monkeypatch.undo()
    schema.open_for_writing(path).conn.close()
    assert "idx_changes_vip" in indexes(path)


def test_a_new_database_needs_no_copy_of_before(tmp_path: Path) -> None:
    schema.open_for_writing(database_path(tmp_path)).conn.close()
    assert kept(tmp_path) == []


def test_a_database_of_a_later_version_is_waited_for_and_left_as_it_is(tmp_path: Path) -> None:
    path = database_path(tmp_path)
    database = schema.open_for_writing(path)
    database.table("_sqlite_migrations").insert(
        {"migration_set": "invite_log", "name": "m999_later", "applied_at": "x"}
    )
    database.conn.close()
    with pytest.raises(NewerVersion, match="m999_later"):
        schema.open_for_writing(path)
    assert CHANGES in Database(path).table_names()
