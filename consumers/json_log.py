"""The first copy: each log as a JSON array that is valid at every moment."""

from __future__ import annotations

from pathlib import Path

from consumers.file_log import FileLog
from joins.array_file import ArrayWriter
from joins.form import json_form
from joins.json_format import to_line


class JsonLog(FileLog):
    """`invite_joins.json` and `invite_changes.json` in a folder, and their archives."""

    def __init__(self, folder: Path, archive_after: int = 0) -> None:
        """See FileLog."""
        super().__init__(folder, json_form, ArrayWriter, lambda log, record: to_line(record), archive_after)
