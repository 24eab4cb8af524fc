"""Archived months to every command: they read, verify, erase, rebuild, back up and restore as before."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import GUILD

from commands import history, listing
from commands.listing import Filter
from commands.selection import Selection, Wanted
from joins.archive import FOOTER_BYTES, Archive
from joins.archives import FOLDER
from joins.chain import Record
from joins.copies.finding import checked, open_copy
from joins.erasure import Erasure
from joins.errors import LogDamaged
from joins.form import csv_form, json_form
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, JOINS, LOGS
from joins.settings import Settings
from joins.tail import empty_head
from joins.whole_log import WholeLog
from ops import leftovers
from ops.__main__ import main
from ops.verifying.finding import Verdict
from ops.verifying.verification import Verification
from tests.consumers.monthly import MONTHS, records_of
from tests.consumers.sink_kinds import LOCAL
from tests.ops.verified_house import flipped

RECORDS = {JOINS: records_of(JOINS, 6), CHANGES: records_of(CHANGES, 4)}
PERSON = RECORDS[JOINS][8]["user_id"]  # of the second month


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log folder with four copies, of which four months of five are archived."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for place in LOCAL.values():
        sink = place(folder).open()
        for log in LOGS:
            sink.write(log, RECORDS[log])
        sink.close()
    return folder


def call(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {
        "INVITE_LOGS_DIR": str(folder),
        "CLOUD_BACKUP_URL": (folder / "cloud").as_uri(),
        "REDIS_URL": None,
        "ARCHIVE_AFTER_MONTHS": None,
    }
    done = CliRunner().invoke(main, list(arguments), env=environment)
    return done.exit_code, done.output


def verified(folder: Path) -> Verdict:
    return Verification(Settings(invite_logs_dir=folder, cloud_backup_url=(folder / "cloud").as_uri())).run()


def archives(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.gz"))


def holds(folder: Path, sink: str) -> bool:
    copies = {log: open_copy(sink, log, folder, "file:///nowhere") for log in LOGS}
    return all(copy and list(checked(copy, log, empty_head(log))) == RECORDS[log] for log, copy in copies.items())


def answers(folder: Path) -> list[object]:
    """What staff is shown of the log."""
    shown: list[object] = [list(Selection(folder, Wanted(GUILD)))]
    for record in RECORDS[JOINS]:
        member = history.of_member(folder, GUILD, record["user_id"])
        shown.append([(join.record, join.doubt) for join in member.joins])
    shown.append(listing.page(folder, Filter(GUILD)))
    return shown


def test_archiving_by_hand_and_what_is_listed_then(folder: Path) -> None:
    assert call(folder, "archive", "list") == (0, f"There is no archive in {folder / FOLDER} yet.\n")
    code, said = call(folder, "archive", "now")
    assert (code, said.splitlines()[0]) == (0, "archived: invite_joins.2025-10.json.gz")
    assert said.count("archived: ") == 2 * 2 * 2, "two months of two logs in two forms, three months later"
    code, said = call(folder, "archive", "now")
    assert (code, said) == (
        0, "Nothing is due: every month that ended 3 months before the newest record is archived.\n",
    )  # fmt: skip
    assert call(folder, "archive", "now", "--after", "1")[1].count("archived: ") == 8
    code, said = call(folder, "archive", "list", "--json")
    listed = json.loads(said)
    assert [one["month"] for one in listed if (one["log"], one["form"]) == (JOINS, "csv")] == list(MONTHS[:4])
    assert {one["file"] for one in listed} == {path.name for path in archives(folder)}
    assert all(one["records"] == (6 if one["log"] == JOINS else 4) for one in listed)
    lines = call(folder, "archive", "list")[1].splitlines()
    assert lines[1].startswith("invite_joins.2025-11.json.gz  6 records  ")
    assert call(folder, "archive", "now", "--after", "0")[0] == 2


@pytest.mark.parametrize("lost", ["nothing", "database", "csv"])
def test_staff_is_shown_the_same_before_and_after(folder: Path, lost: str) -> None:
    path = {"nothing": folder / "none", "database": database_path(folder), "csv": csv_path(folder, JOINS)}[lost]
    path.unlink(missing_ok=True)
    before = answers(folder)
    call(folder, "archive", "now", "--after", "1")
    assert answers(folder) == before


def test_archived_logs_verify_also_while_a_crash_left_records_in_both_places(folder: Path) -> None:
    kept = {path: path.read_bytes() for log in LOGS for path in (json_path(folder, log), csv_path(folder, log))}
    call(folder, "archive", "now", "--after", "1")
    verdict = verified(folder)
    assert (verdict.status, verdict.findings) == (0, [])
    assert {verdict.copies[sink][JOINS]["records"] for sink in ("json", "csv", "sqlite", "cloud")} == {30}
    for path, data in kept.items():
        path.write_bytes(data)
    verdict = verified(folder)
    assert (verdict.status, verdict.findings) == (0, [])
    assert verdict.copies["json"][JOINS]["records"] == 30


def test_every_wrong_byte_in_an_archive_is_found_and_the_archive_named(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    chance = random.Random(5)
    for path in archives(folder)[::3]:
        whole = path.read_bytes()
        for turn in range(60):
            path.write_bytes(flipped(whole, chance)[0] if turn else whole[: len(whole) // 2])
            altered = verified(folder).altered()
            assert any(path.name in finding.sentence for finding in altered), (path, turn, altered)
        path.write_bytes(whole)
    assert verified(folder).status == 0


def test_a_bit_that_means_nothing_is_found_too(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    path = archives(folder)[0]
    whole = bytearray(path.read_bytes())
    one = Archive(path, csv_form(CHANGES))
    ends = [*(block.offset for block in one.index.blocks), one.index.end, one.index_at, one.size - FOOTER_BYTES]
    one.close()
    for end in ends:
        changed = bytearray(whole)
        changed[end - 9] ^= 0x80  # the last bit of a member's data, before its checksum and size
        path.write_bytes(changed)
        assert any(path.name in finding.sentence for finding in verified(folder).altered()), end
    path.write_bytes(whole)
    assert verified(folder).findings == []


def test_records_taken_out_put_in_or_moved_in_an_archive_are_named_by_line(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    path = folder / FOLDER / "invite_joins.2025-12.json.gz"
    whole = gzip.decompress(path.read_bytes())
    lines = whole.split(b"\n")
    for edited in (
        whole.replace(b"PipVault", b"PipFault", 1), b"\n".join(lines[:2] + lines[3:]),
        b"\n".join([lines[0], lines[2], lines[1], *lines[3:]]),
    ):  # fmt: skip
        path.write_bytes(gzip.compress(edited))
        altered = verified(folder).altered()
        assert altered
        assert all(path.name in finding.sentence for finding in altered)


def test_an_archive_that_is_gone_is_found(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    for name in ("invite_joins.2025-12.json.gz", "invite_joins.2026-01.csv.gz"):
        shutil.move(folder / FOLDER / name, folder / "away")
        altered = verified(folder).altered()
        assert [finding.kind for finding in altered] == ["removed"], altered
        shutil.move(folder / "away", folder / FOLDER / name)
    assert verified(folder).status == 0


@pytest.mark.parametrize("sink", ["json", "csv"])
def test_a_rebuilt_copy_holds_all_and_its_archives_are_kept_aside(folder: Path, sink: str) -> None:
    call(folder, "archive", "now", "--after", "1")
    assert holds(folder, sink)
    others = [path for path in archives(folder) if f".{sink}." not in path.name]
    code, said = call(folder, "rebuild", sink, "--from", "csv" if sink == "json" else "json")
    assert (code, "50 records, each checked" in said, said.count("replaced-")) == (0, True, 2 + 8), said
    assert archives(folder) == others
    assert holds(folder, sink)
    assert verified(folder).status == 0
    assert call(folder, "archive", "now", "--after", "1")[1].count("archived: ") == 8
    assert holds(folder, sink)


@pytest.mark.parametrize("sink", ["json", "csv"])
@pytest.mark.parametrize("how", ["cut", "gone", "newest gone", "no archive"])
def test_a_copy_whose_archive_is_damaged_or_gone_is_rebuilt(folder: Path, sink: str, how: str) -> None:
    call(folder, "archive", "now", "--after", "1")
    month = MONTHS[3] if how == "newest gone" else MONTHS[2]
    path = folder / FOLDER / f"invite_joins.{month}.{sink}.gz"
    if "gone" in how:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-40] if how == "cut" else b"no archive")
    assert verified(folder).altered()
    code, said = call(folder, "archive", "now", "--after", "1")
    assert (code, said.count("\n")) == (1, 1), said
    with pytest.raises(LogDamaged, match=path.name[:12]):
        WholeLog(folder, {"json": json_form, "csv": csv_form}[sink](JOINS))
    code, said = call(folder, "rebuild", sink, "--from", "sqlite")
    assert (code, "50 records, each checked" in said) == (0, True), said
    assert holds(folder, sink)
    assert verified(folder).status == 0
    assert call(folder, "archive", "now", "--after", "1")[1].count("archived: ") == 8


def test_the_database_and_the_cloud_are_rebuilt_from_archives(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    for sink, source in (("sqlite", "json"), ("cloud", "csv")):
        code, said = call(folder, "rebuild", sink, "--from", source)
        assert (code, "50 records, each checked" in said) == (0, True), said
    assert verified(folder).status == 0


def test_a_backup_holds_archived_months_and_is_restored_with_them(folder: Path, tmp_path: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    code, said = call(folder, "backup", "now")
    assert code == 0, said
    assert "it can be restored" in call(folder, "backup", "check")[1]
    code, said = call(folder, "restore", "--into", str(tmp_path / "new"), "--from-backup", said.split()[0])
    assert (code, f"50 records were restored into {tmp_path / 'new'}, each checked.\n" in said) == (0, True)
    assert holds(tmp_path / "new", "json")
    assert holds(tmp_path / "new", "csv")
    for arguments in ((), ("--from-backup", backup_name(folder))):
        code, said = call(folder, "restore", *arguments)
        assert code == 0, said
        assert archives(folder) == []
        assert holds(folder, "json")
        assert verified(folder).status == 0
        call(folder, "archive", "now", "--after", "1")
        assert verified(folder).status == 0


def backup_name(folder: Path) -> str:
    return call(folder, "backup", "list")[1].split()[0]


def test_names_leave_archives_that_were_set_aside_too(folder: Path) -> None:
    call(folder, "archive", "now", "--after", "1")
    call(folder, "rebuild", "json", "--from", "sqlite")
    aside = next((folder / FOLDER).glob("invite_joins.2025-11.json.gz.replaced-*"))
    record = next(one for one in read(aside) if one["user_id"] == PERSON)
    assert record["username"] is not None
    spoilt = next((folder / FOLDER).glob("invite_changes.2025-11.json.gz.replaced-*"))
    spoilt.write_bytes(b"spoilt")
    told = leftovers.clean(folder, [Erasure(GUILD, PERSON, RECORDS[JOINS][-1]["event_id"])])
    assert any(aside.name in line and "taken out" in line for line in told)
    assert any(spoilt.name in line and "removed whole" in line for line in told)
    assert not spoilt.exists()
    record = next(one for one in read(aside) if one["user_id"] == PERSON)
    assert (record["username"], "member" in record["salts"]) == (None, False)


def read(path: Path) -> list[Record]:
    found: list[Record] = json.loads(gzip.decompress(path.read_bytes()))
    return found
