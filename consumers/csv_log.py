"""The second copy: each log as CSV, which a spreadsheet opens and no cell of which runs as a formula."""

from __future__ import annotations

from pathlib import Path

from consumers.file_log import FileLog
from joins.csv_file import CsvWriter
from joins.csv_format import to_row
from joins.form import csv_form


class CsvLog(FileLog):
    """`invite_joins.csv` and `invite_changes.csv` in a folder, and their archives."""

    def __init__(self, folder: Path, archive_after: int = 0) -> None:
        """See FileLog."""
        super().__init__(folder, csv_form, CsvWriter, to_row, archive_after)
