"""Tables that a person opens: CSV that Excel reads as UTF-8, and XLSX in which every id stays text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from commands.refusals import Refused
from joins.csv_format import unguarded
from joins.errors import InvalidRecord

MAX_XLSX_ROWS = 1_048_576 - 1  # Excel's limit, less the header
BOM = "\ufeff"
_LONGEST_CELL = 32_767  # characters, Excel's limit
_WIDEST, _NARROWEST = 40, 8  # characters


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes rows of cells that are guarded already, with a byte order mark so that Excel takes them for UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(BOM)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_xlsx(
    path: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: frozenset[str],
    times: frozenset[str],
    widths: dict[str, int],
) -> None:
    """Writes rows of guarded cells as one sheet: columns named in `numbers` as numbers, in `times` as dates, all
    others as text, so that no id is rounded and no formula runs. Raises Refused beyond Excel's rows.
    """
    with xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": str(path.parent)}) as book:
        sheet = book.add_worksheet("Invite log")
        bold = book.add_format({"bold": True})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(header):
            width = widths.get(name, len(name) + 2)
            sheet.set_column(column, column, min(max(width, _NARROWEST), _WIDEST))
            sheet.write_string(0, column, name, bold)
        last = 0
        for last, row in enumerate(rows, start=1):
            if last > MAX_XLSX_ROWS:
                raise Refused(f"An Excel sheet holds {MAX_XLSX_ROWS:,} rows: narrow the export by date, or take CSV.")
            for column, (name, cell) in enumerate(zip(header, row, strict=True)):
                _write(sheet, last, column, cell, name in numbers, moment if name in times else None)
        sheet.autofilter(0, 0, last, len(header) - 1)


def _write(sheet: Any, row: int, column: int, cell: str, number: bool, moment: Any) -> None:
    if not cell:
        return
    if number and cell.isascii() and cell.isdigit():
        sheet.write_number(row, column, int(cell))
        return
    if moment is not None:
        try:
            sheet.write_datetime(row, column, datetime.fromisoformat(cell), moment)
            return
        except ValueError:
            pass  # a time that was edited by hand is shown as it is
    try:
        text = unguarded(cell)
    except InvalidRecord:
        text = cell
    sheet.write_string(row, column, text[:_LONGEST_CELL])
