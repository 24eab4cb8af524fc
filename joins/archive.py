"""A closed month of a log in `archive/`: `invite_joins.2026-08.json.gz`, a whole JSON array or CSV file, compressed.

Any gunzip reads it. To this program it is a row of gzip members, so that a record is found without unpacking all:

    beginning of the document | block of lines | block | … | end of the document | index | footer

The last two unpack to nothing. The index is the comment in a member's header, under that header's checksum: the head
before the month's first record and the one after its last, the SHA-256 of all that stands before the index, and of each
block where it begins, how many records it has and the last one's event id. The footer, of FOOTER_BYTES, tells where
the index begins. So the file proves and explains itself, and putting it in its place is one rename. Format:
https://www.rfc-editor.org/rfc/rfc1952 (FCOMMENT, FHCRC, FEXTRA).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from joins import durable, event_id
from joins.chain import Record
from joins.errors import InvalidRecord, LogDamaged
from joins.form import Form
from joins.tail import Head

BLOCK_BYTES = 256 * 1024  # of lines in a block, at which it is closed
MOST_BLOCK_BYTES = 4 << 20  # to which a block may unpack: one line, of at most 1 MiB, may go beyond BLOCK_BYTES
MOST_INDEX_BYTES = 64 << 20
FOOTER_BYTES = 34
_VERSION = 1
_HEADER = b"\x1f\x8b\x08"
_FHCRC, _FEXTRA, _FCOMMENT = 2, 4, 16
_OS = b"\x00\xff"  # no speed hint, no file system named
_EXTRA = b"IL"  # the footer's subfield


@dataclass(frozen=True, slots=True)
class Block:
    """Some hundred lines."""

    offset: int  # in the file, bytes
    records: int
    last: str  # event id


@dataclass(frozen=True)
class Index:
    """What an archive tells of itself."""

    month: str  # YYYY-MM, UTC
    before: Head  # of the record before its first one
    head: Head  # of its last
    obeyed: str  # event id of the last erasure whose names were taken out of it
    blocks: tuple[Block, ...]
    end: int  # where the end of the document begins, bytes
    packed: str  # SHA-256 of all bytes before the index, hexadecimal; empty in the first archives that were written

    @property
    def records(self) -> int:
        """How many records it holds."""
        return sum(block.records for block in self.blocks)


class Archive:
    """One archive, opened: it can be read on when another file takes its place. Use `close`.

    Everything raises LogDamaged, naming the file, where it is not as this program wrote it, and OSError.
    """

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self._form = path, form
        self._descriptor = durable.open_file(path, os.O_RDONLY)
        try:
            self.size = os.fstat(self._descriptor).st_size
            self.index_at, self.index = self._read_index()
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)

    def after(self, wanted: str) -> Iterator[Record]:
        """The records above the event id `wanted`, oldest first."""
        for record in (self.record(line) for block in self._blocks_from(wanted) for line in self.lines_of(block)):
            if event_id.is_above(record["event_id"], wanted):
                yield record

    def backward(self) -> Iterator[Record]:
        """Every record, newest first."""
        for block in reversed(self.index.blocks):
            yield from map(self.record, reversed(self.lines_of(block)))

    def containing(self, needle: bytes) -> Iterator[Record]:
        """The records in whose line these bytes stand, newest first."""
        for block in reversed(self.index.blocks):
            if needle in (data := self.payload(block)):
                yield from (self.record(line) for line in reversed(self._split(data)) if needle in line)

    def mentions(self, needles: Iterable[bytes]) -> bool:
        """Whether any of these bytes stands in a record's line."""
        wanted = list(needles)
        return any(needle in data for data in map(self.payload, self.index.blocks) for needle in wanted)

    def lines(self) -> Iterator[bytes]:
        """Every line, oldest first."""
        return (line for block in self.index.blocks for line in self.lines_of(block))

    def record(self, line: bytes) -> Record:
        """The record in a line."""
        try:
            record = self._form.parse(line)
            event_id.parse(record["event_id"])
        except (InvalidRecord, ValueError, KeyError, AttributeError) as error:
            raise LogDamaged(f"{self.path}: no record of this program ({error})") from error
        return record

    def lines_of(self, block: Block) -> list[bytes]:
        """The lines of a block."""
        return self._split(self.payload(block))

    def payload(self, block: Block) -> bytes:
        """What a block unpacks to."""
        following = bisect_left(self.index.blocks, block.offset, key=lambda one: one.offset) + 1
        blocks = self.index.blocks
        stop = blocks[following].offset if following < len(blocks) else self.index.end
        return self.unpacked(block.offset, stop)

    def unpacked(self, start: int, stop: int) -> bytes:
        """What the one gzip member between two places unpacks to."""
        if not 0 <= start < stop <= self.size:
            raise LogDamaged(f"{self.path}: its index does not fit it")
        return self._inflate(os.pread(self._descriptor, stop - start, start), start)

    def is_as_packed(self) -> bool:
        """Whether every byte before the index is the one that was written, those that mean nothing included."""
        digest = sha256()
        for start in range(0, self.index_at, BLOCK_BYTES):
            digest.update(os.pread(self._descriptor, min(BLOCK_BYTES, self.index_at - start), start))
        return self.index.packed in ("", digest.hexdigest())

    def header_of(self, start: int) -> bytes:
        """The first ten bytes of a member, which hold flags, a time, and who made it."""
        return os.pread(self._descriptor, 10, start)

    def _split(self, data: bytes) -> list[bytes]:
        return [self._form.bare(line) for line in data.removeprefix(self._form.between).split(b"\n")]

    def _blocks_from(self, wanted: str) -> tuple[Block, ...]:
        """The blocks in which records above `wanted` may be."""
        blocks = self.index.blocks
        return blocks[bisect_left(blocks, event_id.parse(wanted), key=lambda block: event_id.parse(block.last)) :]

    def _inflate(self, data: bytes, start: int) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found = unpacker.decompress(data, MOST_BLOCK_BYTES)
        except zlib.error as error:
            raise LogDamaged(f"{self.path}, byte {start}: it cannot be unpacked ({error})") from error
        if not unpacker.eof or unpacker.unused_data:
            raise LogDamaged(f"{self.path}, byte {start}: a block does not end where it should")
        return found

    def _read_index(self) -> tuple[int, Index]:
        footer_at = max(self.size - FOOTER_BYTES, 0)
        footer = os.pread(self._descriptor, FOOTER_BYTES, footer_at)
        place = footer[12:24]
        if len(footer) < FOOTER_BYTES or footer != footer_of(start := struct.unpack("<Q", place[4:])[0]):
            raise LogDamaged(f"{self.path} does not end as an archive of this program: it was cut or changed")
        if not 0 < footer_at - start <= MOST_INDEX_BYTES:
            raise LogDamaged(f"{self.path}: its end does not tell where its index is")
        data = os.pread(self._descriptor, footer_at - start, start)
        try:
            comment = data[10 : data.index(b"\0", 10)]
            if data != member(b"", comment):
                raise ValueError("its checksum or its form is wrong")
            index = json.loads(comment)
            if index["v"] != _VERSION or index["log"] != self._form.log or index["form"] != self._form.sink:
                raise LogDamaged(f"{self.path} is no archive of the {self._form.log} log as this program writes it")
            blocks = tuple(Block(int(offset), int(records), str(last)) for offset, records, last in index["blocks"])
            before, head = ((str(one[0]), str(one[1])) for one in (index["before"], index["head"]))
            for name in (index["obeyed"], before[0], head[0], *(block.last for block in blocks)):
                event_id.parse(name)
            places = [0, *(block.offset for block in blocks), int(index["end"]), start]
            if not blocks or blocks[-1].last != head[0] or any(one >= two for one, two in pairwise(places)):
                raise ValueError("its blocks do not fit it")
            packed, end = str(index.get("packed", "")), int(index["end"])
            found = Index(str(index["month"]), before, head, str(index["obeyed"]), blocks, end, packed)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
            raise LogDamaged(f"{self.path}: its index cannot be read ({error})") from error
        return start, found


def write(
    file: BinaryIO, form: Form, month: str, before: Head, obeyed: str, lines: Iterable[tuple[bytes, Head]]
) -> None:
    """Writes an archive of these lines, of which there is at least one; each comes with the head that it makes."""
    packed = sha256()

    def put(data: bytes) -> int:
        packed.update(whole := member(data))
        return file.write(whole)

    offset = put(form.begin)
    blocks: list[Block] = []
    waiting: list[bytes] = []
    size, head = 0, before

    def close_block() -> None:
        nonlocal offset, size
        data = (form.between if blocks else b"") + form.between.join(waiting)
        blocks.append(Block(offset, len(waiting), head[0]))
        offset += put(data)
        waiting.clear()
        size = 0

    for line, reached in lines:
        waiting.append(line)
        size, head = size + len(line), reached
        if size >= BLOCK_BYTES:
            close_block()
    if waiting:
        close_block()
    end = offset
    offset += put(form.end)
    index = {
        "v": _VERSION, "log": form.log, "form": form.sink, "month": month, "before": before, "head": head,
        "records": sum(block.records for block in blocks), "obeyed": obeyed, "end": end,
        "packed": packed.hexdigest(),
        "blocks": [[block.offset, block.records, block.last] for block in blocks],
    }  # fmt: skip
    file.write(member(b"", json.dumps(index, ensure_ascii=True).encode()))
    file.write(footer_of(offset))


def member(data: bytes, comment: bytes = b"") -> bytes:
    """A gzip member, the same for the same data; a comment stands under the header's checksum."""
    flags = _FCOMMENT | _FHCRC if comment else 0
    head = _HEADER + bytes([flags]) + bytes(4) + _OS
    if comment:
        head += comment + b"\0"
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return head + packer.compress(data) + packer.flush() + struct.pack("<II", zlib.crc32(data), len(data))


def footer_of(index_at: int) -> bytes:
    """The last member: empty, with the place of the index in its header."""
    extra = _EXTRA + struct.pack("<HQ", 8, index_at)
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    head = _HEADER + bytes([_FEXTRA]) + bytes(4) + _OS + struct.pack("<H", len(extra)) + extra
    return head + packer.flush() + bytes(8)


def month_of(event: str) -> str:
    """The month, UTC, in which the record with that event id got its place."""
    return datetime.fromtimestamp(event_id.milliseconds(event) / 1000, UTC).strftime("%Y-%m")
