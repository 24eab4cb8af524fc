"""What the end of a log file tells: the last record, and where a torn write begins.

Only the last write of a log can be torn: everything before it was made durable first. So a window at the end, larger
than any write, is read line by line; each record must follow from the one before. The first line that cannot be read
at all begins the torn part. A line that can be read but does not follow is no tear, unless it has a hole of a block's
size: somebody changed the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from joins.chain import Record, check_link, genesis
from joins.errors import LogDamaged, PermanentError
from joins.event_id import ZERO

MAX_WRITE_BYTES = 1 << 20  # no sink writes more at once
WINDOW_BYTES = 3 * MAX_WRITE_BYTES
_STEP = 1 << 20  # bytes read at once on the way back over blank space
# A disk's least block, as it looks where it did not reach the disk: with luck, what is left of the line can be read.
HOLES = (b" " * 512, b"\0" * 512)
Head = tuple[str, str]  # event id and hash of the last record


def empty_head(log: str) -> Head:
    """The head of a log without records."""
    return ZERO, genesis(log)


@dataclass(frozen=True)
class Window:
    """The end of a file from the start of a line on; `whole` when that is the first record's line."""

    data: bytes
    offset: int
    whole: bool


def end_of_data(descriptor: int, blank: bytes) -> int:
    """The offset just after the last byte of an open file that is none of `blank`; 0 when there is none."""
    position = os.fstat(descriptor).st_size
    while position > 0:
        step = min(_STEP, position)
        position -= step
        if data := os.pread(descriptor, step, position).rstrip(blank):
            return position + len(data)
    return 0


def read_window(descriptor: int, begin: int, blank: bytes = b"") -> Window:
    """The last WINDOW_BYTES before `blank` space in an open file whose first record begins at byte `begin`."""
    size = end_of_data(descriptor, blank) if blank else os.fstat(descriptor).st_size
    start = max(begin, size - WINDOW_BYTES)
    data = os.pread(descriptor, max(0, size - start), start)
    if start == begin:
        return Window(data, start, whole=True)
    line = data.find(b"\n") + 1
    return Window(data[line:], start + line, whole=False)


@dataclass(frozen=True)
class Tail:
    """The good part of a file's end: its head, and the offset just after the last good record."""

    head: Head
    end: int


def read_tail(
    name: str,
    log: str,
    window: Window,
    parse: Callable[[bytes], Record],
    separator: bytes = b"",
    salvage: Callable[[bytes], bytes] = lambda line: b"",
) -> Tail:
    """Follows the records in the window; `separator` is what may stand between a record and its newline.

    `parse` raises ValueError for a line that cannot be read at all; `salvage` gives the whole record with which such a
    line begins, where a write may tear just there. Raises LogDamaged, naming file and byte, where a record does not
    follow from its predecessor, or where nothing can be read.
    """
    head: Head | None = empty_head(log) if window.whole else None
    end = position = 0
    while position < len(window.data):
        newline = window.data.find(b"\n", position)
        stop = len(window.data) if newline < 0 else newline
        line = window.data[position:stop]
        where = f"{name}, byte {window.offset + position}"
        try:
            if newline < 0:
                raise ValueError("the line has no end")
            line = line.removesuffix(separator)
            record = parse(line)
        except ValueError:
            line = salvage(line)
            if not line:
                break
            record, stop = parse(line), len(window.data)
        except PermanentError as error:
            raise _changed(error) from error
        try:
            if "event_id" not in record or "hash" not in record:
                raise LogDamaged(f"{where}: a record without event id or hash, not written by this program")
            if head is not None:
                check_link(head[1], record, where)
        except PermanentError as error:
            if any(hole in line for hole in HOLES):
                break
            raise _changed(error) from error
        except (ValueError, TypeError) as error:  # what can be read, but not even hashed, no crash has made
            raise _changed(LogDamaged(f"{where}: no record of this program ({error})")) from error
        head = (record["event_id"], record["hash"])
        end = position + len(line)
        position = stop + 1
    if head is None:
        raise LogDamaged(
            f"{name}: no record can be read in its last {len(window.data)} bytes; it is left as it is. "
            "Move it aside to have it made anew."
        )
    return Tail(head, window.offset + end)


def _changed(error: Exception) -> LogDamaged:
    return LogDamaged(
        f"{error}: the file was changed by something else, and is left as it is. Move it aside to have it made anew."
    )
