"""A log as a CSV file: the header, then one record a line, appended."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from joins import durable
from joins.chain import Record
from joins.csv_format import cells_of, header, of_cells, to_row
from joins.errors import HeadMoved, LogDamaged
from joins.records import normal
from joins.tail import MAX_WRITE_BYTES, Head, Tail, empty_head, foreign_beginning, read_tail, read_window

BLANK = b" \t\r\n\0"  # what is not worth keeping of what is cut from the end
_log = logging.getLogger("joins.csv_file")


class CsvWriter:
    """The one writer of a CSV log. Every method raises SinkUnavailable when the disk says no."""

    def __init__(self, path: Path, log: str, before: Head | None = None) -> None:
        """Opens the file, made with its header where there is none, cuts a torn tail, and reads the head.

        `before` is the head of the record before the file's first one, where that is in an archive.
        Raises LogDamaged when something else wrote to it.
        """
        self._path = path
        with durable.disk_errors(path):
            if not durable.is_there(path):
                durable.replace(path, header(log))
            self._descriptor = durable.open_file(path, os.O_RDWR)
        try:
            with durable.disk_errors(path):
                self._tail = self._repaired(log, before)
                self._identity = durable.identity(path)
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        """Event id and hash of the last record."""
        return self._tail.head

    def check_identity(self) -> None:
        """Raises HeadMoved when the file at the path is no longer the one this writer left there."""
        if durable.identity(self._path) != self._identity:
            raise HeadMoved(f"{self._path} is not the file that was opened: it was replaced, cut or removed")

    def append(self, lines: list[bytes], head: Head) -> None:
        """Adds lines, of which `head` is the last; durable on return. Raises HeadMoved when the file was replaced."""
        self.check_identity()
        data = b"".join(lines)
        if len(data) > MAX_WRITE_BYTES:
            raise ValueError("a write must stay below MAX_WRITE_BYTES, or a torn one could not be told")
        with durable.disk_errors(self._path):
            try:
                with durable.file_lock(self._descriptor, exclusive=True):
                    durable.write_all(self._descriptor, data, self._tail.end)
                os.fdatasync(self._descriptor)
            except OSError:
                # A full disk may have taken a part; the file must not keep half a row.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._tail.end)
                raise
            self._tail = Tail(head, self._tail.end + len(data))
            self._identity = durable.identity(self._path)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def _repaired(self, log: str, before: Head | None) -> Tail:
        tail, rest = read_end(self._descriptor, self._path, log, before)
        if rest:
            aside = durable.set_aside(self._path, rest, "torn") if rest.strip(BLANK) else None
            os.ftruncate(self._descriptor, tail.end)
            os.fsync(self._descriptor)
            kept = f" and kept in {aside}" if aside else ""
            _log.warning("%s: a torn write was cut from its end%s", self._path, kept)
        return tail


def read_end(descriptor: int, path: Path, log: str, before: Head | None = None) -> tuple[Tail, bytes]:
    """The good part of an open file, and what a crash left after it; `before` is the head before its first record.

    Raises LogDamaged when something else wrote to it, NewerVersion.
    """
    expected = header(log)
    if (begin := os.pread(descriptor, len(expected), 0)) != expected:
        raise foreign_beginning(str(path), begin, expected)
    window = read_window(descriptor, len(expected))
    tail = read_tail(str(path), log, window, lambda line: own_line(log, line), before=before)
    if tail.head != (before or empty_head(log)):
        tail = Tail(tail.head, tail.end + 1)  # past the newline
    return tail, window.data[tail.end - window.offset :]


def write_whole(path: Path, log: str, lines: Iterator[bytes]) -> None:
    """Puts the header and these rows at `path`, whole or not at all. Raises SinkUnavailable."""
    with durable.disk_errors(path), durable.replacing(path) as file:
        file.write(header(log))
        file.writelines(line + b"\n" for line in lines)


def parse_line(log: str, line: bytes) -> Record:
    """The record in a line of the file. Raises ValueError when it has not the header's cells, else InvalidRecord."""
    return normal(log, parse_cells(log, line))


def parse_cells(log: str, line: bytes) -> Record:
    """As `parse_line`, but all as it stands there, whatever its version."""
    if b"\0" in line:
        raise ValueError("a NUL, which is never written: a block that did not reach the disk")
    return of_cells(log, cells_of(log, line))


def own_line(log: str, line: bytes) -> Record:
    """As `parse_line`; raises LogDamaged where the record stands in other bytes than this program writes for it."""
    record = parse_line(log, line)
    if to_row(log, record) != line + b"\n":
        raise LogDamaged("the record is written otherwise than this program writes it, perhaps by a spreadsheet")
    return record
