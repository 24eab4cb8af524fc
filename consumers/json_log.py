"""The first copy: each log as a JSON array that is valid at every moment."""

from __future__ import annotations

from pathlib import Path

from consumers.file_log import FileLog
from joins.array_file import ArrayWriter
from joins.json_format import to_line
from joins.log_files import json_path
from joins.scrubbing import scrub_json


class JsonLog(FileLog):
    """`invite_joins.json` and `invite_changes.json` in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            lambda log: json_path(folder, log), ArrayWriter, lambda log, record: to_line(record), scrub_json
        )
