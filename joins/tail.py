"""What the end of a log file tells: the last record, and where a torn write begins.

Only the last write of a log can be torn: everything before it was made durable first. So a window at the end, larger
than any write, is read line by line; each record must follow from the one before. The first line that cannot be read
at all begins the torn part, which is no longer than a write. A line that can be read but does not follow, or is not
written byte for byte as this program writes it, is no tear, unless it has a hole of a block's size: somebody changed
the file.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from dataclasses import dataclass

from joins import event_id
from joins.chain import Record, check_commitments, genesis, link
from joins.errors import ChainBroken, LogDamaged, NewerVersion, PermanentError
from joins.event_id import ZERO
from joins.records import JOINS

MAX_WRITE_BYTES = 1 << 20  # no sink writes more at once
WINDOW_BYTES = 3 * MAX_WRITE_BYTES
_STEP = 1 << 20  # bytes read at once over blank space, or while lines are counted
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
    descriptor: int

    def place(self, position: int) -> str:
        """Where in the file a position of the window is."""
        return place(self.descriptor, self.offset + position)


def place(descriptor: int, offset: int) -> str:
    """A place in an open file, for a sentence: the byte, and the line as an editor counts (all before it is read)."""
    return f"byte {offset} (line {line_of(descriptor, offset)})"


def line_of(descriptor: int, offset: int) -> int:
    """The line, counted from 1, in which a byte of an open file lies."""
    line = 1
    for start in range(0, offset, _STEP):
        line += os.pread(descriptor, min(_STEP, offset - start), start).count(b"\n")
    return line


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
        return Window(data, start, True, descriptor)
    line = data.find(b"\n") + 1
    return Window(data[line:], start + line, False, descriptor)


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
    before: Head | None = None,
) -> Tail:
    """Follows the records in the window; `separator` is what stands between a record and its newline, if another comes.

    `before` is the head from which the file's first record follows; by default that of a log's beginning.
    `parse` raises ValueError for a line that cannot be read at all, PermanentError for one that this program does not
    write; `salvage` gives the whole record with which an unreadable line begins, where a write may tear just there.
    Raises LogDamaged, naming file, byte and line, where a record does not follow from its predecessor, where more is
    unreadable than a crash can tear, or where nothing can be read; NewerVersion for a record of a later format.
    """
    head: Head | None = (before or empty_head(log)) if window.whole else None
    end = position = 0
    separated = True
    while position < len(window.data):
        newline = window.data.find(b"\n", position)
        stop = len(window.data) if newline < 0 else newline
        line = window.data[position:stop]
        try:
            try:
                if newline < 0:
                    raise ValueError("the line has no end")
                line = line.removesuffix(separator)
                record = parse(line)
            except ValueError:
                line, stop = salvage(line), len(window.data)
                if not line:
                    break
                record = parse(line)
            if not separated:
                raise LogDamaged(f"the record before this one does not end in '{separator.decode()}'")
            head = followed(head, record)
        except NewerVersion as error:
            raise NewerVersion(f"{name}, {window.place(position)}: {error}") from error
        except (PermanentError, ValueError) as error:
            if any(hole in line for hole in HOLES):
                break
            raise _changed(f"{name}, {window.place(position)}: {error}") from error
        end = position + len(line)
        separated = window.data[end:stop] == separator
        position = stop + 1
    if len(window.data) - end > MAX_WRITE_BYTES or head is None:
        where = window.place(position if position < len(window.data) else end)
        raise _changed(f"{name}, {where}: what follows here cannot be read, and is more than a crash of ours can tear")
    return Tail(head, window.offset + end)


def followed(head: Head | None, record: Record) -> Head:
    """The head that a record makes. Raises PermanentError when it does not follow from `head`, or its names are wrong.

    A name that a torn write left out is told by its commitment alone: names are outside the chain.
    """
    try:
        if "event_id" not in record or "hash" not in record:
            raise LogDamaged("a record without event id or hash, not written by this program")
        if head is not None and record["hash"] != link(head[1], record):
            raise ChainBroken("the record's hash does not follow from the record before it")
        check_commitments(record)
        event_id.parse(record["event_id"])
        for text in (record["hash"], *(record.get("salts") or {}).values()):
            if bytes.fromhex(text).hex() != text:
                raise LogDamaged("a hash or a salt is written otherwise than this program writes it")
        if len(record["hash"]) != len(genesis(JOINS)):
            raise LogDamaged("its hash has not the length of one")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # no crash of ours has made this
        raise LogDamaged(f"no record of this program ({error})") from error
    return record["event_id"], record["hash"]


def foreign_beginning(name: str, begin: bytes, expected: bytes) -> LogDamaged:
    """What to say of a file that begins with `begin` and not, as every file of this program, with `expected`."""
    same = next((n for n, (one, two) in enumerate(zip(begin, expected, strict=False)) if one != two), len(begin))
    if not begin:
        what = "it is empty"
    elif begin.startswith(codecs.BOM_UTF8):
        what = "it begins with a byte order mark, as a spreadsheet or an editor saves it"
    elif begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        what = "it is UTF-16 text, as a spreadsheet or an editor saves it"
    elif begin[same : same + 1] == b"\r":
        what = "its lines end as on Windows"
    elif begin[same : same + 1] == b"\0":
        what = "there are zeros where it begins"
    else:
        what = "it does not begin as a log of this program"
    line = 1 + begin.count(b"\n", 0, same)
    return _changed(f"{name}, byte {same} (line {line}): {what}")


def _changed(what: str) -> LogDamaged:
    return LogDamaged(
        f"{what}: the file was changed by something else, and is left as it is. Move it aside to have it made anew."
    )
