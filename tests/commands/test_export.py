"""Exports, read back as a spreadsheet would."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_logs import GUILD, MARY, MEMBER, OTHER_GUILD, TRAVIS, Logs

from commands import export, selection, spreadsheet
from commands.refusals import Refused
from commands.selection import Selection, Wanted
from joins.log_files import csv_path, database_path
from joins.records import JOINS

SPECIFIED = (
    "Timestamp,User ID,Username,Display Name,Invite Code,Staff ID,Staff Username,Uses Before,Uses After,"
    "Guild ID,Guild Name"
)
LIMIT = 10 * 2**20
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def exported(logs: Logs, format: export.Format = "csv", limit: int = LIMIT, **keys: str) -> Path:
    return export.made(Selection(logs.folder, Wanted(GUILD, **keys)), logs.folder, format, limit)


def table(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def cells(path: Path) -> dict[str, tuple[str, str]]:
    """Each cell's kind and content."""
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    found = {}
    for cell in ElementTree.fromstring(sheet).iter(f"{SHEET}c"):
        assert cell.find(f"{SHEET}f") is None, "a formula"
        # Written row by row, the workbook keeps each text in its cell ("inlineStr") instead of in a shared table.
        kind = {"inlineStr": "text", "n": "number"}[cell.get("t", "n")]
        found[str(cell.get("r"))] = (kind, "".join(cell.itertext()))
    return found


def test_the_csv_has_the_specified_header_and_row_behind_a_byte_order_mark(logs: Logs) -> None:
    logs.join()
    header, row = exported(logs).read_bytes().decode().splitlines()
    assert header.startswith("\ufeff" + SPECIFIED + ",")
    assert row.startswith(
        "2025-10-31T14:30:45.123456,123456789012345678,john_doe,John Doe,abc123XYZ,987654321098765432,TravisP#0001,"
        "5,6,111222333444555666,PipVault,"
    )


def test_the_file_is_named_for_the_day(logs: Logs) -> None:
    logs.join()
    assert exported(logs).name[:12] == "invite_logs_"
    assert len(exported(logs).stem) == len("invite_logs_20251031")


def test_no_salt_leaves_the_server(logs: Logs) -> None:
    record = logs.join()
    text = exported(logs).read_text()
    assert not any(salt in text for salt in record["salts"].values())


@pytest.mark.parametrize("gone", [None, "database", "csv"])
def test_rows_carry_the_attribution_that_holds_now(logs: Logs, gone: str | None) -> None:
    first = logs.join()
    logs.join(user_id=MARY, confidence="ambiguous")
    logs.join(guild_id=OTHER_GUILD)
    logs.correct(first)
    logs.close()
    if gone:
        {"database": database_path(logs.folder), "csv": csv_path(logs.folder, JOINS)}[gone].unlink()
    rows = table(exported(logs))
    assert [(row["Staff ID"], row["Effective Staff ID"]) for row in rows] == [(TRAVIS, MARY), ("", "")]
    assert [row["Effective Confidence"] for row in rows] == ["exact", "ambiguous"]


def test_filters_go_by_period_and_by_the_attribution_that_holds_now(logs: Logs) -> None:
    first = logs.join()
    logs.join(user_id=MARY)
    logs.correct(first, sinks=("json",))
    users = lambda **keys: [row["User ID"] for row in table(exported(logs, **keys))]  # noqa: E731
    assert users(staff_id=TRAVIS) == [MARY]
    assert users(invite_code="mary99") == [MEMBER]
    assert users(since="2025-10-31T15:00:00.000000") == [MARY]
    assert users(until="2025-10-31T15:00:00.000000") == [MEMBER]
    with pytest.raises(Refused, match="nothing to export"):
        users(staff_id="1")


def test_no_name_runs_as_a_formula(logs: Logs) -> None:
    logs.join(username="=cmd|' /C calc'!A0", display_name="+1\n@x", guild_name="-")
    (row,) = table(exported(logs))
    assert (row["Username"], row["Display Name"], row["Guild Name"]) == ("'=cmd|' /C calc'!A0", "'+1\\n@x", "'-")
    content = cells(exported(logs, "xlsx"))
    assert (content["C2"], content["D2"]) == (("text", "=cmd|' /C calc'!A0"), ("text", "+1\n@x"))


def test_a_workbook_keeps_every_id_and_code_as_text_and_counts_as_numbers(logs: Logs) -> None:
    logs.join(invite_code="22E1")
    path = exported(logs, "xlsx")
    content = cells(path)
    assert [content[cell] for cell in ("B2", "E2", "F2", "J2")] == [
        ("text", MEMBER), ("text", "22E1"), ("text", TRAVIS), ("text", GUILD)]  # fmt: skip
    assert (content["H2"], content["I2"]) == (("number", "5"), ("number", "6"))
    assert content["A2"][0] == "number"  # a date, which a pivot table can group
    assert [content[f"{letter}1"][1] for letter in "ABCDEFGHIJK"] == SPECIFIED.split(",")
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert "<autoFilter" in sheet
    assert 'state="frozen"' in sheet


def test_a_file_beyond_the_limit_is_zipped_and_beyond_that_refused(logs: Logs) -> None:
    logs.write(JOINS, [logs.made_join(user_id=str(10**17 + n)) for n in range(200)])
    plain = exported(logs)
    zipped = exported(logs, limit=plain.stat().st_size - 1)
    assert zipped.name == f"{plain.name}.zip"
    with zipfile.ZipFile(zipped) as archive:
        assert len(archive.read(plain.name).splitlines()) == 201
    for format in ("csv", "xlsx"):
        with pytest.raises(Refused, match="narrow it by date"):
            exported(logs, format, limit=1000)  # type: ignore[arg-type]


def test_more_rows_than_a_sheet_holds_are_refused(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_XLSX_ROWS", 1)
    logs.join()
    logs.join()
    with pytest.raises(Refused, match="narrow"):
        exported(logs, "xlsx")


def test_half_a_row_at_the_end_is_no_row_yet(logs: Logs) -> None:
    logs.join()
    with csv_path(logs.folder, JOINS).open("ab") as file:
        file.write(b"2025-10-31T14:30:45.123456,1234")
    rows = Selection(logs.folder, Wanted(GUILD))
    assert len(list(rows)) == rows.rows == 1
    assert rows.unreadable == 0


def test_many_rows_keep_their_order_across_batches(logs: Logs) -> None:
    logs.write(JOINS, [logs.made_join(user_id=str(10**17 + n)) for n in range(selection._BATCH * 2 + 1)])
    assert [row["User ID"] for row in table(exported(logs))] == [
        str(10**17 + n) for n in range(selection._BATCH * 2 + 1)
    ]


def test_no_logs_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no invite log yet"):
        list(Selection(tmp_path, Wanted(GUILD)))
