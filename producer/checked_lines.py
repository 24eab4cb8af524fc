"""Lines that can be told from what a crash or a bad disk left: `crc32 json`, each ended by a newline."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from joins.publish import Sequenced

Item = dict[str, Any]


def lines(items: Iterable[Item]) -> bytes:
    """The items as lines, in order."""
    return b"".join(map(_line, items))


def read(file: BinaryIO) -> Iterator[tuple[bytes, Item | None]]:
    """Each whole line from where the file stands, and its item: None when it is damaged. A torn last line is left."""
    for line in file:
        if not line.endswith(b"\n"):
            return
        checksum, _, text = line[:-1].partition(b" ")
        yield line, _item(text) if checksum == b"%08x" % zlib.crc32(text) else None


def _item(text: bytes) -> Item | None:
    """None where the sum is right, by chance or by hand, and yet it is none."""
    try:
        item = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return item if isinstance(item, dict) else None


def of_record(record: Sequenced) -> Item:
    """A record with its place, as an item."""
    return {"log": record.log, "event_id": record.event_id, "record": record.record}


def to_record(item: Item) -> Sequenced:
    """The record of an item."""
    return Sequenced(item["log"], item["event_id"], item["record"])


def _line(item: Item) -> bytes:
    text = json.dumps(item, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)
