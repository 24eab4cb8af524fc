"""The producer's own durable memory: arrivals that have no record yet, and records that Redis may not have for good.

A file of lines, each `crc32 json`, appended and synced; rewritten, smaller, when most of it is no longer needed. A
record stays for a while after it was published, because a server that syncs once a second may forget its last one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from joins import durable, event_id
from joins.chain import Record
from joins.errors import SinkUnavailable
from joins.publish import Sequenced
from joins.records import LOGS, identity

KEEP_SECONDS = 60.0  # how long a published record stays, and
KEEP_RECORDS = 1000  # how many of the newest stay at least
COMPACT_BYTES = 4 << 20  # the file is rewritten when it has grown by this much
_log = logging.getLogger("producer.outbox")
Arrival = dict[str, Any]


class Outbox:
    """One file. Threads that share it hold `lock`.

    Methods that write raise SinkUnavailable when the disk says no, and change nothing then.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file back, as far as it is whole; what a crash tore at its end had not been promised to anybody."""
        self._path = path
        self.lock = threading.RLock()
        self.arrivals: dict[str, Arrival] = {}  # join_id -> raw arrival without a record
        self.waiting: dict[str, Sequenced] = {}  # identity -> record not yet published, in order
        self.kept: dict[str, tuple[float, Sequenced]] = {}  # identity -> when published, record
        self.last = dict.fromkeys(LOGS, event_id.ZERO)  # highest id given, by log
        self.published = dict.fromkeys(LOGS, event_id.ZERO)  # highest id known to be published, by log
        self.floor = dict.fromkeys(LOGS, event_id.ZERO)  # highest id of those let go of, by log
        self.epoch: str | None = None
        with durable.disk_errors(path):
            durable.make_folder(path.parent)
            good = self._load()
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, good)
            durable.sync_folder(path.parent)
            self._size, self._compact_at = good, 0
            self.compact()

    def add_arrivals(self, arrivals: Iterable[Arrival]) -> None:
        """Keeps raw arrivals until they have a record; durable on return. One after its record is dropped."""
        arrivals = [
            arrival
            for arrival in arrivals
            if arrival["join_id"] not in self.arrivals and self.holds(arrival["join_id"]) is None
        ]
        if not arrivals:
            return
        self._append([{"arrival": arrival} for arrival in arrivals], sync=True)
        self.arrivals |= {arrival["join_id"]: arrival for arrival in arrivals}

    def add_records(self, records: Iterable[Sequenced]) -> None:
        """Keeps records until they are published, and a while longer; durable on return."""
        records = list(records)
        if not records:
            return
        self._append([_item(record) for record in records], sync=True)
        for record in records:
            self._take(record)

    def mark_published(self, records: Iterable[Sequenced]) -> None:
        """Notes that records are in the stream, under their own ids."""
        self._settle("published", records)

    def drop(self, records: Iterable[Sequenced]) -> None:
        """Lets go of records that are another sequencer's to publish, or that the stream holds under an older id."""
        self._settle("dropped", records)

    def set_epoch(self, epoch: str) -> None:
        """Keeps the epoch under which this producer publishes; durable on return."""
        self._append([{"epoch": epoch}], sync=True)
        self.epoch = epoch

    def holds(self, key: str) -> Sequenced | None:
        """The record of that identity, when it waits or was published not long ago."""
        if key in self.waiting:
            return self.waiting[key]
        return self.kept[key][1] if key in self.kept else None

    def compact(self) -> None:
        """Rewrites the file with what is still needed, when it has grown enough."""
        limit = time.time() - KEEP_SECONDS
        surplus = len(self.kept) - KEEP_RECORDS
        for key in [key for key, (when, _) in list(self.kept.items())[: max(0, surplus)] if when < limit]:
            record = self.kept.pop(key)[1]
            self.floor[record.log] = event_id.latest(self.floor[record.log], record.event_id)
        if self._size - self._compact_at < COMPACT_BYTES:
            return
        items: list[dict[str, Any]] = [{"last": self.last, "high": self.published, "floor": self.floor}]
        items += [{"epoch": self.epoch}] if self.epoch else []
        items += [{"arrival": arrival} for arrival in self.arrivals.values()]
        items += [{**_item(record), "at": when} for when, record in self.kept.values()]
        items += [_item(record) for record in self.waiting.values()]
        data = b"".join(map(_line, items))
        with durable.disk_errors(self._path):
            durable.replace(self._path, data)
            os.close(self._descriptor)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            self._size = self._compact_at = len(data)

    def close(self) -> None:
        """Closes the file; a thread that still writes gets an error, not a file that was opened meanwhile."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _settle(self, verb: str, records: Iterable[Sequenced]) -> None:
        settled = [[record.log, identity(record.log, record.record)] for record in records]
        for item in settled:
            self._replay({verb: item})
        # Not synced, and no harm when the disk is full: publishing them again adds nothing.
        with contextlib.suppress(SinkUnavailable):
            self._append([{verb: item} for item in settled])

    def _append(self, items: list[dict[str, Any]], sync: bool = False) -> None:
        data = b"".join(map(_line, items))
        with durable.disk_errors(self._path):
            # Always at the known end: what a failed write left behind is overwritten.
            durable.write_all(self._descriptor, data, self._size)
            if sync:
                os.fdatasync(self._descriptor)
            self._size += len(data)

    def _load(self) -> int:
        """Takes in the file's items; gives the length of its good part."""
        data = b""
        if durable.is_there(self._path):
            with os.fdopen(durable.open_file(self._path, os.O_RDONLY), "rb") as file:
                data = file.read()
        position = 0
        while (newline := data.find(b"\n", position)) >= 0:
            checksum, _, text = data[position:newline].partition(b" ")
            if checksum != b"%08x" % zlib.crc32(text):
                break
            try:
                self._replay(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
                break  # the sum is right, by chance or by hand, and yet it is no item
            position = newline + 1
        rest = data[position:]
        if b"\n" in rest:  # more than a torn last line: never thrown away
            aside = durable.set_aside(self._path, rest, "damaged")
            _log.error("%s is damaged from byte %d on; that part is kept in %s", self._path, position, aside)
        return position

    def _replay(self, item: dict[str, Any]) -> None:
        if "arrival" in item:
            if self.holds(item["arrival"]["join_id"]) is None:
                self.arrivals[item["arrival"]["join_id"]] = item["arrival"]
        elif "record" in item:
            record = Sequenced(item["log"], item["event_id"], item["record"])
            self._take(record)
            if "at" in item:
                self._mark(record.log, identity(record.log, record.record), item["at"])
        elif "published" in item:
            self._mark(*item["published"])
        elif "dropped" in item:
            self.waiting.pop(item["dropped"][1], None)
        elif "epoch" in item:
            self.epoch = item["epoch"]
        elif "last" in item:
            self.last, self.published, self.floor = item["last"], item["high"], item["floor"]

    def _take(self, record: Sequenced) -> None:
        key = identity(record.log, record.record)
        self.arrivals.pop(key, None)
        self.waiting.pop(key, None)  # a new id moves it to the end
        self.waiting[key] = record
        self.last[record.log] = event_id.latest(self.last[record.log], record.event_id)

    def _mark(self, log: str, key: str, when: float | None = None) -> None:
        record = self.waiting.pop(key, None)
        if record is not None:
            self.kept[key] = (time.time() if when is None else when, record)
            self.published[log] = event_id.latest(self.published[log], record.event_id)


def _item(record: Sequenced) -> dict[str, Any]:
    return {"log": record.log, "event_id": record.event_id, "record": record.record}


def _line(item: dict[str, Any] | Record) -> bytes:
    text = json.dumps(item, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)
