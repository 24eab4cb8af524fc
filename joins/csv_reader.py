"""Reading a log's CSV file without reading it whole."""

from __future__ import annotations

import os
from pathlib import Path

from joins.csv_file import parse_line
from joins.csv_format import header
from joins.log_reader import LogReader
from joins.tail import MAX_WRITE_BYTES, foreign_beginning


class CsvReader(LogReader):
    """A view of the file as it was when opened."""

    def __init__(self, path: Path, log: str) -> None:
        """Opens the log. Raises FileNotFoundError when there is none yet, LogDamaged when it is none of ours."""
        begin = header(log)
        super().__init__(path, len(begin), _last_newline, lambda line: parse_line(log, line))
        if (found := os.pread(self._descriptor, len(begin), 0)) != begin:
            self.__exit__(None, None, None)
            raise foreign_beginning(str(path), found, begin)


def _last_newline(descriptor: int) -> int:
    """The offset of the last newline: what a crash tore after it is no row yet."""
    size = os.fstat(descriptor).st_size
    while size > 0:
        start = max(0, size - MAX_WRITE_BYTES)
        found = os.pread(descriptor, size - start, start).rfind(b"\n")
        if found >= 0:
            return start + found
        size = start
    return 0
