"""The second copy: each log as CSV, which a spreadsheet opens and no cell of which runs as a formula."""

from __future__ import annotations

from pathlib import Path

from consumers.file_log import FileLog
from joins.csv_file import CsvWriter
from joins.csv_format import to_row
from joins.log_files import csv_path
from joins.scrubbing import scrub_csv


class CsvLog(FileLog):
    """`invite_joins.csv` and `invite_changes.csv` in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda log: csv_path(folder, log), CsvWriter, to_row, scrub_csv)
