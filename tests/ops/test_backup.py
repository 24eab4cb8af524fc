"""Backups that are made, kept for their time, proven, and restored."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from consumers import backing_up
from consumers.cloud_backup import CloudBackup
from consumers.unpacking import unpack
from joins import event_id
from joins import settings as settings_module
from joins.cloud import anchors, backups
from joins.cloud.bucket import Bucket
from joins.erasure import Erasure, erasure_of
from joins.errors import NoBucket
from joins.keys import SINKS
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, JOINS, LOGS
from joins.settings import Settings
from ops.__main__ import main
from ops.backup import find
from ops.verifying.verification import Verification
from tests.ops.verified_house import JOIN_COUNT, House

DAY = "2026-11-20"


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "logs").mkdir()
    made = House(tmp_path / "logs")
    shutil.move(made.folder / "cloud", tmp_path / "cloud")
    made.settings = Settings(invite_logs_dir=made.folder, cloud_backup_url=(tmp_path / "cloud").as_uri())
    return made


def bucket(house: House) -> Bucket:
    return Bucket(house.settings.cloud_url)


def house_order(house: House) -> Erasure:
    [order] = [one for change in house.records[CHANGES] if (one := erasure_of(change))]
    return order


def call(house: House, *arguments: str) -> tuple[int, str]:
    environment = {
        "INVITE_LOGS_DIR": str(house.folder), "CLOUD_BACKUP_URL": house.settings.cloud_backup_url,
        "REDIS_URL": "unix:///nowhere.sock",
    }  # fmt: skip
    done = CliRunner().invoke(main, list(arguments), env=environment)
    return done.exit_code, done.output


def content(folder: Path) -> dict[str, object]:
    """The logs without allocated space, and the database as rows."""
    found: dict[str, object] = {}
    for log in LOGS:
        found[f"{log}.json"] = json_path(folder, log).read_bytes().rstrip()
        found[f"{log}.csv"] = csv_path(folder, log).read_bytes()
    database = sqlite3.connect(database_path(folder))
    found["database"] = sorted(line for line in database.iterdump() if "_sqlite_migrations" not in line)
    database.close()
    return found


def test_a_day_has_one_backup_and_it_holds_what_there_is(house: House) -> None:
    made = backing_up.make(house.settings, bucket(house), DAY)
    assert made is not None
    assert backing_up.make(house.settings, bucket(house), DAY) is None, "it is there"
    assert backups.read(bucket(house), DAY) == made
    assert [file.name for file in made.files] == [
        "invite_joins.json", "invite_joins.csv", "invite_changes.json", "invite_changes.csv", "invites.db",
    ]  # fmt: skip
    last = house.records[JOINS][-1]
    assert all(
        file.heads[JOINS] == [last["event_id"], last["hash"], JOIN_COUNT] for file in made.files if JOINS in file.heads
    )
    assert not list(house.folder.glob(".backup/*"))
    status, said = call(house, "backup", "check")
    assert (status, said.splitlines()[-1]) == (0, f"{DAY}  {JOIN_COUNT} joins, 5 files, 0.1 MB: it can be restored.")
    assert call(house, "backup", "list")[1].startswith(f"{DAY}  {JOIN_COUNT} joins")
    assert house.verify().status == 0


def test_one_made_by_hand_stands_beside_the_daily_one(house: House) -> None:
    backing_up.make(house.settings, bucket(house), DAY)
    status, said = call(house, "backup", "now")
    assert (status, f"{JOIN_COUNT} joins" in said) == (0, True), said
    assert len(backups.names(bucket(house))) == 2
    shutil.rmtree(house.folder)
    house.folder.mkdir()
    assert call(house, "backup", "now")[0] == 1
    assert call(house, "backup", "check", "2020-01-01")[0] == 1


def test_what_a_crash_left_is_no_backup_and_the_next_try_is_whole(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = bucket(house)

    def dies(name: str, data: bytes) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "create", dies)
    with pytest.raises(KeyboardInterrupt):
        backing_up.make(house.settings, store, DAY)
    assert backups.names(bucket(house)) == []
    assert backing_up.make(house.settings, bucket(house), DAY) is not None
    assert call(house, "backup", "check")[0] == 0
    assert backing_up.clear(house.settings, bucket(house)) == []
    left = bucket(house).names(backups.FOLDER)
    assert len(left) == 6, "what the crash left is gone once its day is over"


@pytest.mark.parametrize("how", ["missing", "cut", "edited", "manifest"])
def test_a_backup_that_was_altered_fails_its_check_and_is_not_restored(house: House, tmp_path: Path, how: str) -> None:
    made = backing_up.make(house.settings, bucket(house), DAY)
    assert made is not None
    path = tmp_path / "cloud" / made.files[0].object
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "edited":
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"Pip", b"Pop")))
    else:
        named = tmp_path / "cloud" / backups.manifest(DAY)
        told = json.loads(named.read_bytes())
        told["files"][0]["heads"][JOINS][1] = "0" * 64
        named.write_bytes(json.dumps(told).encode())
    status, said = call(house, "backup", "check")
    assert status == 1, said
    shutil.rmtree(house.folder)
    assert call(house, "restore", "--from-backup", DAY)[0] == 1
    assert not json_path(house.folder, JOINS).exists()


@given(
    st.sets(st.dates(date(2024, 1, 1), date(2026, 12, 31)), min_size=1, max_size=60),
    st.tuples(*[st.integers(0, 9)] * 3),
)
def test_the_newest_of_each_day_week_and_month_stays_and_always_one(
    days: set[date], keep: tuple[int, int, int]
) -> None:
    names = [day.isoformat() for day in days]
    gone = backups.expired(names, *keep)
    kept = sorted(set(names) - set(gone), reverse=True)
    ordered = sorted(names, reverse=True)
    assert kept[0] == ordered[0]
    assert set(ordered[: keep[0]]) <= set(kept)
    months = list(dict.fromkeys(name[:7] for name in ordered))[: keep[2]]
    assert all(max(name for name in names if name.startswith(month)) in kept for month in months)
    assert len(kept) <= 1 + sum(keep)


def test_backups_that_served_their_time_are_removed_with_their_files(house: House) -> None:
    settings = Settings(
        invite_logs_dir=house.folder, cloud_backup_url=house.settings.cloud_backup_url,
        backup_keep_daily=2, backup_keep_weekly=0, backup_keep_monthly=0,
    )  # fmt: skip
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        assert backing_up.make(settings, bucket(house), day) is not None
    assert backing_up.clear(settings, bucket(house)) == ["2026-11-01"]
    assert backups.names(bucket(house)) == ["2026-11-02", "2026-11-03"]
    assert len(bucket(house).names(backups.FOLDER)) == 12
    assert call(house, "backup", "check", "2026-11-02")[0] == 0


def test_the_cloud_consumer_makes_the_days_backup_by_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backing_up, "FIRST_LOOK", 0.0)
    daily = backing_up.DailyBackup(house.settings)
    daily.look()
    assert daily._thread is not None
    daily._thread.join(30)
    assert backups.names(bucket(house)) == [datetime.now(UTC).date().isoformat()]
    assert daily.fault is None
    unplugged = backing_up.DailyBackup(replace(house.settings, cloud_backup_url="file:///nowhere/at/all"))
    unplugged.look()
    assert unplugged._thread is not None
    unplugged._thread.join(30)
    assert (unplugged.fault or "").startswith("no daily backup yet: ")
    nowhere = backing_up.DailyBackup(Settings(invite_logs_dir=house.folder))
    nowhere.look()
    assert nowhere._thread is None, "a folder on this machine is no backup"


def test_restoring_gives_the_same_bytes_and_the_same_database(house: House) -> None:
    before = content(house.folder)
    shutil.rmtree(house.folder)
    status, said = call(house, "restore")
    assert (status, "20 records were restored" in said) == (0, True), said
    assert content(house.folder) == before
    assert house.verify().status == 0
    shutil.rmtree(house.folder)
    house.folder.mkdir()
    house.fill(("json", "csv", "sqlite"), {JOINS: house.records[JOINS][:4], CHANGES: []})
    assert call(house, "restore")[0] == 0
    assert content(house.folder) == before, "older data gives way, and is kept"
    assert len(list(house.folder.glob("*.replaced-*"))) >= 3


def test_a_backup_is_restored_as_it_was(house: House) -> None:
    before = content(house.folder)
    backing_up.make(house.settings, bucket(house), DAY)
    shutil.rmtree(house.folder)
    status, said = call(house, "restore", "--from-backup", DAY)
    assert (status, "20 records" in said) == (0, True), said
    assert content(house.folder) == before


def test_newer_data_is_never_replaced(house: House) -> None:
    _, *later = sorted((house.folder.parent / "cloud" / JOINS).iterdir())
    for path in later:
        path.unlink()
    before = content(house.folder)
    status, said = call(house, "restore")
    assert (status, "reaches further" in said) == (1, True), said
    assert content(house.folder) == before


def test_a_point_in_time_goes_into_another_folder(house: House, tmp_path: Path) -> None:
    milliseconds = event_id.milliseconds(house.records[JOINS][8]["event_id"])
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    until = (moment - timedelta(milliseconds=1)).isoformat()
    assert call(house, "restore", "--until", until)[0] == 10
    assert call(house, "restore", "--until", "yesterday", "--into", str(tmp_path / "then"))[0] == 10
    status, said = call(house, "restore", "--until", until, "--into", str(tmp_path / "then"))
    assert status == 0, said
    verdict = Verification(
        Settings(invite_logs_dir=tmp_path / "then"), sinks=SINKS[:3], ordered=[house_order(house)]
    ).run()
    wanted = sum(event_id.milliseconds(one["event_id"]) < milliseconds for one in house.records[JOINS])
    assert verdict.status == 0
    assert {sink: logs[JOINS]["records"] for sink, logs in verdict.copies.items()} == dict.fromkeys(SINKS[:3], wanted)


def test_settings_of_how_long_backups_stay_are_read() -> None:
    found = settings_module.load({"BACKUP_KEEP_DAILY": "3"}, None)
    assert (found.backup_keep_daily, found.backup_keep_weekly, found.backup_keep_monthly) == (3, 5, 12)


def test_names_go_out_of_every_backup_and_it_can_still_be_restored(house: House, tmp_path: Path) -> None:
    person = house.records[JOINS][6]
    made = backing_up.make(house.settings, bucket(house), DAY)
    backing_up.make(house.settings, bucket(house), "2026-11-21")
    assert made is not None
    order = Erasure(person["guild_id"], person["user_id"], "9" * 13 + "-0")
    cloud = CloudBackup(house.settings.cloud_url)
    assert cloud.erase([order]) == []
    objects = list((tmp_path / "cloud").rglob("*.gz"))
    assert not [path for path in objects if person["salts"]["member"].encode() in gzip.decompress(path.read_bytes())]
    assert len(backups.names(bucket(house))) == 2
    now = backups.read(bucket(house), DAY)
    assert now is not None
    assert now != made
    with pytest.raises(NoBucket):
        bucket(house).download(made.files[0].object, io.BytesIO())
    assert cloud.erase([order]) == []
    assert backups.read(bucket(house), DAY) == now, "done again, it changes nothing"
    unpack(bucket(house), now, tmp_path)
    assert person["user_id"].encode() in (tmp_path / "invite_joins.csv").read_bytes()


def test_a_backup_that_cannot_be_read_is_told_when_names_are_to_go(house: House, tmp_path: Path) -> None:
    made = backing_up.make(house.settings, bucket(house), DAY)
    assert made is not None
    (tmp_path / "cloud" / made.files[0].object).write_bytes(b"x")
    [told] = CloudBackup(house.settings.cloud_url).erase([house_order(house)])
    assert f"the backup {DAY} may hold the names" in told


def test_a_backup_is_the_one_that_is_named_and_a_day_names_its_newest(house: House) -> None:
    for name in (DAY, f"{DAY}T120000Z", f"{DAY}T130000Z"):
        backing_up.make(house.settings, bucket(house), name)
    assert find(bucket(house), DAY).name == DAY
    assert find(bucket(house), f"{DAY}T12").name == f"{DAY}T120000Z"
    assert find(bucket(house), DAY[:7]).name == find(bucket(house), None).name == f"{DAY}T130000Z"


def cloud_of(house: House) -> Path:
    return Path((house.settings.cloud_backup_url or "").removeprefix("file://"))


def test_a_damaged_manifest_hides_no_other_backup(house: House) -> None:
    for name in (DAY, f"{DAY}T120000Z"):
        backing_up.make(house.settings, bucket(house), name)
    (cloud_of(house) / "backups" / f"{DAY}.json").write_text("{")
    status, said = call(house, "backup", "list")
    assert (status, "is no manifest" in said, f"{DAY}T120000Z  " in said) == (0, True, True)


def test_a_moment_and_a_backup_exclude_each_other(house: House) -> None:
    into = str(house.folder / "then")
    status, said = call(house, "restore", "--from-backup", DAY, "--until", "2026-01-01", "--into", into)
    assert (status, "exclude each other" in said) == (10, True)


def test_a_cloud_that_lost_records_that_an_anchor_witnesses_is_restored_with_a_warning(house: House) -> None:
    last = house.records[JOINS][-1]
    anchors.make(bucket(house), DAY, "2026-11-20T00:00:00", {JOINS: (last["event_id"], last["hash"])})
    assert "BEWARE" not in call(house, "restore", "--into", str(house.folder / "whole"))[1]
    max((cloud_of(house) / "joins").glob("*.gz")).unlink()
    status, said = call(house, "restore", "--into", str(house.folder / "part"))
    assert status == 0
    assert f"BEWARE: the joins log reached at least to record {last['event_id']}" in said
