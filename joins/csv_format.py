"""A record as one row of CSV, and back, without loss and without a cell that a spreadsheet would run as a formula.

Text cells are changed in two reversible steps. First every control character and line separator becomes a backslash
escape, so that a record is one line. Then text that begins with a character a spreadsheet takes for a formula, or with
the guard itself, gets a leading apostrophe (https://owasp.org/www-community/attacks/CSV_Injection). Numbers and ids
are never guarded: a bare number is no formula.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from joins.chain import Record
from joins.columns import COLUMNS, HEADERS, NUMBERS, merged, split
from joins.errors import InvalidRecord
from joins.records import MAX_NUMBER, normal

GUARD = "'"
_STARTS_FORMULA = tuple("=+-@'\t\r\n\0＝＋－＠")
_UNSAFE = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|.)", re.DOTALL)
_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONG = {escape[1]: character for character, escape in _SHORT.items()}


def header(log: str) -> bytes:
    """The first line of a log's CSV file, newline included."""
    return _line(HEADERS[log])


def to_row(log: str, record: Record) -> bytes:
    """The record as one line of UTF-8 CSV, newline included."""
    values, extra = split(log, record)
    return _line([*(_cell(value) for value in values), extra])


def from_row(log: str, line: bytes) -> Record:
    """The record in a line, in normal form. Raises InvalidRecord or NewerVersion."""
    return normal(log, from_cells(log, line))


def from_cells(log: str, line: bytes) -> Record:
    """All that a line holds, as it stands there, whatever its version. Raises InvalidRecord."""
    try:
        cells = cells_of(log, line)
    except ValueError as error:
        raise InvalidRecord(f"the line is no CSV: {error}") from error
    return of_cells(log, cells)


def cells_of(log: str, line: bytes) -> list[str]:
    """The cells of a line. Raises ValueError when they are not as many as the header's."""
    try:
        rows = list(csv.reader([line.decode()], strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if len(rows) != 1 or len(rows[0]) != len(HEADERS[log]):
        raise ValueError(f"the line has not the {len(HEADERS[log])} cells of the header")
    return rows[0]


def of_cells(log: str, cells: list[str]) -> Record:
    """All that the cells hold, as it stands there, whatever its version. Raises InvalidRecord."""
    *values, extra = cells
    return merged(log, [_value(key, cell) for key, cell in zip(COLUMNS[log], values, strict=True)], extra)


def guarded(text: str) -> str:
    """The text as a cell that neither breaks the line nor runs as a formula."""
    escaped = _UNSAFE.sub(lambda match: _SHORT.get(match[0], f"\\u{ord(match[0]):04x}"), text)
    return GUARD + escaped if text.startswith(_STARTS_FORMULA) else escaped


def unguarded(cell: str) -> str:
    """The text that `guarded` was given. Raises InvalidRecord for an escape that it never writes."""
    cell = cell.removeprefix(GUARD)
    return _ESCAPE.sub(_unescape, cell)


def _unescape(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    if escape not in _LONG:
        raise InvalidRecord(f"the cell holds the unknown escape \\{escape}")
    return _LONG[escape]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return guarded(value) if isinstance(value, str) else str(value)


def _value(key: str, cell: str) -> Any:
    if cell == "":
        return None
    if key in NUMBERS:
        if not cell.isascii() or not cell.isdigit() or len(cell) > len(str(MAX_NUMBER)):
            raise InvalidRecord(f"{key} must be a count, not {cell[:80]!r}")
        return int(cell)
    return unguarded(cell)


def _line(cells: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
