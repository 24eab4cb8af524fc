"""Reading a log's CSV file without reading it whole."""

from __future__ import annotations

import os
from pathlib import Path

from joins.csv_file import parse_line
from joins.csv_format import header
from joins.log_reader import LogReader
from joins.tail import MAX_WRITE_BYTES


class CsvReader(LogReader):
    """A view of the file as it was when opened. Reading raises ValueError or InvalidRecord."""

    def __init__(self, path: Path, log: str) -> None:
        """Opens the log. Raises FileNotFoundError when there is none yet, ValueError when it is none of ours."""
        begin = header(log)
        super().__init__(path, len(begin), _last_newline, lambda line: parse_line(log, line))
        if self._map[: len(begin)] != begin:
            self.__exit__(None, None, None)
            raise ValueError(f"{path} does not begin with this program's header")


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
