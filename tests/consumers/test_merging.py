"""Small objects of the cloud become few, and at no moment is a record in none that counts."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import batch
from sink_kinds import LOCAL

from consumers import merging
from consumers.cloud_backup import CloudBackup
from consumers.merging import Merging, merge
from joins.chain import Record
from joins.cloud import merges, segments
from joins.cloud.bucket import Bucket
from joins.copies.finding import open_copy
from joins.errors import LogDamaged
from joins.log_files import json_path
from joins.records import JOINS
from joins.settings import Settings
from ops.verifying.verification import Verification

COUNT = 57


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merges, "FULL", 20)
    monkeypatch.setattr(merges, "MOST", 5)
    monkeypatch.setattr(merging, "EVERY", 0.0)
    monkeypatch.setattr(merging, "GRACE", 0.0)


class Backup:
    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.bucket = url, folder, Bucket(url, make=True)
        self.records = batch(JOINS, 0, COUNT)

    def write(self, upto: int = COUNT, size: int = 1) -> None:
        sink = CloudBackup(self.url)
        held = open_copy("cloud", JOINS, self.folder, self.url)
        for start in range(held.count() if held else 0, upto, size):
            sink.write(JOINS, self.records[start : min(start + size, upto)])

    def read(self) -> list[Record]:
        copy = open_copy("cloud", JOINS, self.folder, self.url)
        return list(copy.after("0-0")) if copy else []

    def live(self) -> list[str]:
        return merges.split(self.bucket, JOINS)[0]

    def merge_all(self) -> int:
        count = 0
        while merge(self.bucket, JOINS, ""):
            count += 1
        return count

    def verify(self) -> list[Any]:
        """With a JSON log of the same records beside it."""
        if not json_path(self.folder, JOINS).exists():
            made = LOCAL["json"](self.folder).open()
            made.write(JOINS, self.records)
            made.close()
        settings = Settings(invite_logs_dir=self.folder, cloud_backup_url=self.url)
        return Verification(settings, sinks=("json", "cloud")).run().findings


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    (tmp_path / "logs").mkdir()
    return Backup((tmp_path / "cloud").as_uri(), tmp_path / "logs")


def test_many_objects_become_few_and_hold_the_same(backup: Backup) -> None:
    backup.write()
    assert len(backup.live()) == COUNT
    assert backup.merge_all() > 2
    assert len(backup.live()) < 12
    assert backup.read() == backup.records
    assert backup.verify() == []
    assert len(backup.bucket.names(JOINS)) > COUNT, "nothing was removed yet"
    Merging(backup.bucket, "").look(lambda: True)
    assert sorted(backup.bucket.names(JOINS)) == sorted(backup.live())
    assert backup.read() == backup.records
    assert backup.verify() == []


def test_the_sink_goes_on_after_merges_and_so_do_they(backup: Backup) -> None:
    for upto in (9, 23, 24, 41, COUNT):
        backup.write(upto)
        sink = CloudBackup(backup.url)
        for _ in range(4):
            sink.rest(lambda: True)
        assert backup.read() == backup.records[:upto]
        assert CloudBackup(backup.url).head(JOINS) == (
            backup.records[upto - 1]["event_id"], backup.records[upto - 1]["hash"],
        )  # fmt: skip
    assert backup.verify() == []
    assert max(found.end - found.position for name in backup.live() if (found := merges.merged_range(name))) >= 20


def test_two_who_merge_at_once_make_the_same(backup: Backup) -> None:
    backup.write()
    threads = [threading.Thread(target=backup.merge_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert backup.read() == backup.records
    assert backup.verify() == []


class Dying:
    """A bucket whose process dies at its n-th call that alters it, before or after the call took effect."""

    def __init__(self, bucket: Bucket, at: int, after: bool) -> None:
        self._bucket, self._left, self._after = bucket, at, after

    def __getattr__(self, name: str) -> Any:
        found: Callable[..., Any] = getattr(self._bucket, name)
        if name not in ("create", "replace", "delete"):
            return found

        def call(*arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if self._after:
                    found(*arguments)
                raise KeyboardInterrupt
            return found(*arguments)

        return call


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_every_record_in_one_object_that_counts(backup: Backup, after: bool) -> None:
    backup.write(12)
    sound = backup.records[:12]
    for at in range(1, 40):
        shutil.rmtree(backup.folder.parent / "cloud")
        backup.write(12)
        dying: Any = Dying(backup.bucket, at, after)
        try:
            working = Merging(dying, "")
            for _ in range(4):
                working.look(lambda: True)
        except KeyboardInterrupt:
            assert backup.read() == sound
        else:
            break
        again = Merging(backup.bucket, "")
        for _ in range(4):
            again.look(lambda: True)
        assert backup.read() == sound
        assert len(backup.live()) < 6
        assert sorted(backup.bucket.names(JOINS)) == sorted(backup.live())
    else:
        pytest.fail("it never came to an end")
    assert at > 10


def test_objects_that_a_lock_keeps_stay_beside_their_merge(backup: Backup, monkeypatch: pytest.MonkeyPatch) -> None:
    backup.write()
    monkeypatch.setattr(Bucket, "delete", lambda self, name: False)
    working = Merging(backup.bucket, "")
    for _ in range(30):
        working.look(lambda: True)
    assert len(backup.live()) < 12
    assert len(backup.bucket.names(JOINS)) > COUNT
    assert backup.read() == backup.records
    assert backup.verify() == []


def test_a_merge_that_nobody_declared_does_not_count(backup: Backup) -> None:
    backup.write(12)
    live = backup.live()
    data = segments.encode(JOINS, 0, None, "0" * 64, backup.records[:5])
    backup.bucket.create(merges.object_name(JOINS, merges.Range(0, 5)), data)
    assert backup.live() == live
    assert backup.read() == backup.records[:12]
    assert backup.merge_all()
    assert backup.read() == backup.records[:12], "it was made anew"


def test_an_altered_merge_or_manifest_is_found(backup: Backup) -> None:
    backup.write()
    backup.merge_all()
    name = next(name for name in backup.live() if merges.merged_range(name))
    found = merges.merged_range(name)
    assert found is not None
    manifest = backup.folder.parent / "cloud" / merges.manifest_name(JOINS, found)
    whole = manifest.read_bytes()
    manifest.write_bytes(whole.replace(b'"hash":"', b'"hash":"0', 1))
    [finding] = backup.verify()
    assert manifest.name in finding.where
    manifest.write_bytes(whole)
    (backup.folder.parent / "cloud" / name).unlink()
    assert [finding.sink for finding in backup.verify()] == ["cloud"]


def test_an_object_that_does_not_continue_is_not_merged(backup: Backup) -> None:
    backup.write(12)
    path = backup.folder.parent / "cloud" / segments.object_name(JOINS, 2)
    path.write_bytes(segments.encode(JOINS, 2, None, "0" * 64, backup.records[2:3]))
    with pytest.raises(LogDamaged, match="does not continue"):
        merge(backup.bucket, JOINS, "")


def test_in_s3_too(s3_url: str, tmp_path: Path) -> None:
    backup = Backup(s3_url, tmp_path)
    backup.write(12)
    working = Merging(backup.bucket, "")
    for _ in range(4):
        working.look(lambda: True)
    assert backup.read() == backup.records[:12]
    assert sorted(backup.bucket.names(JOINS)) == sorted(backup.live())
    assert len(backup.live()) < 6
