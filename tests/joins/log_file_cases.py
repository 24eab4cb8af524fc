"""What the tests of both log files share: a file of each kind, and ways in which a crash may leave its last write."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factories import batch

from joins.array_file import ArrayWriter
from joins.chain import Record
from joins.csv_file import CsvWriter
from joins.csv_format import from_row, to_row
from joins.json_format import to_line
from joins.records import CHANGES

LOG = CHANGES  # its records are the shorter ones, and a test tries every byte
BLOCK = 512  # bytes: the least that a disk writes


@dataclass(frozen=True)
class Kind:
    """One kind of log file."""

    name: str
    open: Callable[[Path], Any]
    encode: Callable[[Record], bytes]
    read: Callable[[Path], list[Record]]

    def append(self, writer: Any, records: list[Record]) -> None:
        writer.append([self.encode(record) for record in records], (records[-1]["event_id"], records[-1]["hash"]))

    def write(self, path: Path, records: list[Record]) -> None:
        """A whole file with these records."""
        writer = self.open(path)
        if records:
            self.append(writer, records)
        writer.close()


def _read_array(path: Path) -> list[Record]:
    records: list[Record] = json.loads(path.read_text())
    return records


def _read_rows(path: Path) -> list[Record]:
    with path.open(newline="") as file:
        assert len(list(csv.reader(file, strict=True))) == path.read_bytes().count(b"\n")
    return [from_row(LOG, line) for line in path.read_bytes().splitlines(keepends=True)[1:]]


KINDS = [
    Kind("json", lambda path: ArrayWriter(path, LOG), to_line, _read_array),
    Kind("csv", lambda path: CsvWriter(path, LOG), lambda record: to_row(LOG, record), _read_rows),
]


def chain(count: int, reason: str = "é\n" * 3) -> list[Record]:
    """A short chain of short records."""
    return batch(LOG, 0, count, reason=reason, user_id=None, actor_id=None)


def torn(before: bytes, after: bytes) -> Iterator[bytes]:
    """The states in which a crash may leave a file on the way from `before` to `after`: at every byte."""
    old = before.ljust(len(after), b"\0")
    for place in range(*changed(before, after)):
        yield (after[:place] + old[place:])[: max(place, len(before))]


def holed(before: bytes, after: bytes) -> Iterator[bytes]:
    """The states in which a power cut may leave it besides.

    Any block never reached the disk, and holds what it held or, beyond the old end of the file, zeros; what follows
    it did or did not.
    """
    old = before.ljust(len(after), b"\0")
    start, end = changed(before, after)
    for low in range(start - start % BLOCK, end, BLOCK):
        high = min(low + BLOCK, len(after))
        for missing in (old[low:high], bytes(high - max(low, start))):
            hole = after[: high - len(missing)] + missing
            yield hole + after[high:]
            yield hole + old[high:]


def changed(before: bytes, after: bytes) -> tuple[int, int]:
    """The bytes in which two states differ, up to just after the last that is no space: from, to."""
    same = (place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    return next(same, min(len(before), len(after))), len(after.rstrip(b" ")) + 1
