"""Reads an old log of CSV, row by row.

With or without a byte order mark; lines end in LF or CRLF; cells may hold line breaks within quotes. A quote that is
never closed spoils its own line and no other.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from joins.columns import COLUMNS
from joins.records import JOIN_KEYS, JOINS
from ops.old_line import Line, Unreadable

LONGEST_LINE = 128 * 1024  # bytes; a record has at most 64 kB
MOST_LINES = 64  # lines of one row: more than any name could break into
KEYS = JOIN_KEYS[:12]  # the customer's columns are named after these; `discriminator` has none, but may have one here
_NAMES = ",".join(list(COLUMNS[JOINS].values())[:11])
_BOM = b"\xef\xbb\xbf"


def read(file: BinaryIO) -> Iterator[Line | Unreadable]:
    """Every row, or why it is none, in the file's order. Raises OSError, ValueError for a wrong header."""
    lines = _Lines(file)
    header = lines.take()
    columns, delimiter = _header(header[1] if header else b"")
    while (first := lines.take()) is not None:
        number, line = first
        try:
            cells = _row(line, lines, len(columns), delimiter)
        except (ValueError, csv.Error) as error:
            yield Unreadable(number, str(error))
            continue
        if any(cells):
            values = {key: cell or None for key, cell in zip(columns, cells, strict=True)}
            yield Line(number, values)


def unknown_columns(head: bytes) -> list[str]:
    """The columns of a header that are none of the format's. Raises ValueError for a wrong header."""
    return [column for column in _header(head.partition(b"\n")[0])[0] if column not in KEYS]


def _header(line: bytes) -> tuple[list[str], str]:
    """The keys of the columns, in order, and the delimiter: a spreadsheet writes semicolons in some countries."""
    text = line.removeprefix(_BOM).decode(errors="replace")
    delimiter = max(",;\t", key=text.count)
    try:
        names = next(csv.reader([text.strip()], delimiter=delimiter), [])
    except csv.Error:  # such as a carriage return within a cell
        names = []
    columns = [name.strip().casefold().replace(" ", "_") for name in names]
    if not {"timestamp", "user_id"} <= set(columns) or len(set(columns)) < len(columns):
        raise ValueError(f"its first line must name the columns, as in {_NAMES}")
    return columns, delimiter


def _row(line: bytes, lines: _Lines, width: int, delimiter: str) -> list[str]:
    """The cells of the row that begins with `line`. Raises ValueError, csv.Error."""
    more: list[tuple[int, bytes]] = []
    quotes = line.count(b'"')
    while quotes % 2 and len(more) < MOST_LINES and (following := lines.take()) is not None:
        more.append(following)
        quotes += following[1].count(b'"')
    if more:
        try:
            return _cells(b"".join([line, *(part for _, part in more)]), width, delimiter)
        except (ValueError, csv.Error):
            lines.give_back(more)
    return _cells(line, width, delimiter)


def _cells(data: bytes, width: int, delimiter: str) -> list[str]:
    if len(data) > LONGEST_LINE:
        raise ValueError(f"the line has more than {LONGEST_LINE} bytes")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise ValueError("the line holds bytes that are not UTF-8") from error
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)) or [[]]
    if rows == [[]]:
        return [""] * width  # a line without anything is no record
    if len(rows) > 1 or len(rows[0]) != width:
        raise ValueError(f"the line has {len(rows[0])} cells where the header has {width}")
    return rows[0]


class _Lines:
    """The lines of a file with their numbers, from 1, of which some can be given back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._number = file, 0
        self._back: deque[tuple[int, bytes]] = deque()

    def take(self) -> tuple[int, bytes] | None:
        """The next line with its number, its end included; None at the end. Of a line too long, the beginning."""
        if self._back:
            return self._back.popleft()
        line = self._file.readline(LONGEST_LINE + 1)
        if not line:
            return None
        rest = line
        while not rest.endswith(b"\n") and (rest := self._file.readline(LONGEST_LINE)):
            pass
        self._number += 1
        return self._number, line

    def give_back(self, lines: list[tuple[int, bytes]]) -> None:
        """Puts lines back before all others."""
        self._back.extendleft(reversed(lines))
