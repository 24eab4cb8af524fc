"""Reading a log's JSON array without reading it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from joins.array_file import BLANK, OPEN, parse_line
from joins.chain import Record
from joins.json_format import to_line
from joins.log_reader import LogReader
from joins.tail import end_of_data


class ArrayReader(LogReader):
    """A view of the array as it was when opened. Records are as they stand there, not in normal form."""

    def __init__(self, path: Path) -> None:
        """Opens the log. Raises FileNotFoundError when there is none yet."""
        super().__init__(path, len(OPEN), _end_of_records, lambda line: parse_line(line.removesuffix(b",")))

    def with_text(self, key: str, value: str) -> Iterator[Record]:
        """The records whose `key` is the text `value`, newest first, found by a backward search for the bytes."""
        # The same bytes may stand in a nested object; the record's own key decides.
        return (record for record in self.containing(needle_of(key, value)) if record.get(key) == value)


def needle_of(key: str, value: str) -> bytes:
    """The bytes by which `key` with the text `value` stands in a line."""
    return to_line({key: value})[1:-1]


def _end_of_records(descriptor: int) -> int:
    """The offset just after the last record; just after the opening line when there is none."""
    return end_of_data(descriptor, BLANK + b"]")
