"""The objects of a log in the cloud: each one delivered batch, immutable, named by its position in the log.

    joins/000000000000.jsonl.gz    records 0 to 41
    joins/000000000042.jsonl.gz    records 42 to …

The first line of an object is its header: what it holds, and the hash it continues. The rest is one record a line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from joins.chain import Record, canonical
from joins.cloud.bucket import Bucket
from joins.errors import LogDamaged
from joins.json_format import to_line
from joins.tail import Head

SUFFIX = ".jsonl.gz"
_UNREADABLE = (OSError, EOFError, zlib.error)  # what gzip raises


@dataclass(frozen=True)
class Segment:
    """An object as read back. Its lines are not looked into yet."""

    name: str  # as a person is told of it
    position: int  # of its first record, counted from 0
    records: int
    first: str  # event ids
    last: str
    previous: str | None  # the object before it
    previous_hash: str
    hash: str  # of the last record
    lines: tuple[bytes, ...]

    @property
    def head(self) -> Head:
        """Event id and hash of the last record."""
        return self.last, self.hash

    @property
    def end(self) -> int:
        """The position of the record after it."""
        return self.position + self.records


def object_name(log: str, position: int, prefix: str = "") -> str:
    """The name of the object whose first record has that position in the log."""
    return f"{prefix}{log}/{position:012d}{SUFFIX}"


def encode(log: str, position: int, previous: str | None, previous_hash: str, batch: Sequence[Record]) -> bytes:
    """The object's bytes: the same for the same batch at the same place, so that a repeated upload is recognised."""
    header = {
        "log": log,
        "position": position,
        "records": len(batch),
        "first": batch[0]["event_id"],
        "last": batch[-1]["event_id"],
        "previous": previous,
        "previous_hash": previous_hash,
        "hash": batch[-1]["hash"],
    }
    lines = [canonical(header), *(to_line(record) for record in batch)]
    return gzip.compress(b"\n".join(lines) + b"\n", mtime=0)


def rewritten(data: bytes, change: Callable[[bytes], bytes]) -> bytes | None:
    """An object's bytes with each record's line as `change` gives it; None when that changes nothing."""
    header, *lines = gzip.decompress(data).removesuffix(b"\n").split(b"\n")
    new = [change(line) for line in lines]
    return None if new == lines else gzip.compress(b"\n".join([header, *new]) + b"\n", mtime=0)


def same(one: bytes, other: bytes) -> bool:
    """Whether two objects hold the same records; of one of them names may have been erased, which no hash covers."""
    try:
        return gzip.decompress(one).partition(b"\n")[0] == gzip.decompress(other).partition(b"\n")[0]
    except _UNREADABLE:
        return False


def decode(name: str, data: bytes) -> Segment:
    """An object read back; `name` is for the sentence. Raises LogDamaged."""
    try:
        first, *lines = gzip.decompress(data).removesuffix(b"\n").split(b"\n")
        header: dict[str, Any] = json.loads(first)
        segment = Segment(
            name=name,
            position=int(header["position"]),
            records=int(header["records"]),
            first=str(header["first"]),
            last=str(header["last"]),
            previous=header["previous"],
            previous_hash=str(header["previous_hash"]),
            hash=str(header["hash"]),
            lines=tuple(lines),
        )
    except (*_UNREADABLE, ValueError, KeyError, TypeError) as error:
        raise LogDamaged(f"{name} is no object of this program ({error}); it is left as it is") from error
    if segment.records != len(lines) or not lines:
        raise LogDamaged(f"{name} holds {len(lines)} records where its header says {segment.records}")
    return segment


def read(bucket: Bucket, name: str) -> Segment:
    """An object that was listed. Raises SinkUnavailable, LogDamaged."""
    data = bucket.read(name)
    if data is None:
        raise LogDamaged(
            f"{bucket.shown}/{name} is gone, so this backup lacks records: put the object back, or set "
            "CLOUD_BACKUP_URL to a new place to have a new backup made"
        )
    return decode(f"{bucket.shown}/{name}", data)
