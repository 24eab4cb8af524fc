"""The producer's own durable memory: arrivals that have no record yet, and records that Redis may not have for good.

A file of lines, each `crc32 json`, appended and synced; rewritten, smaller, when most of it is no longer needed. A
record stays for a while after it was published, because a server that syncs once a second may forget its last one.
Memory holds so many records and no more: further ones wait in a second file (`overflow`) until the first are published.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from joins import durable, event_id
from joins.erasure import Erasure, Erasures
from joins.errors import SinkUnavailable
from joins.publish import Sequenced
from joins.records import LOGS, identity
from joins.scrubbing import scrubbed
from producer.checked_lines import Item, lines, of_record, read, to_record
from producer.overflow import Overflow, Place

IN_MEMORY = 5_000  # records that wait in memory, of about 5 kB each; further ones wait on disk alone
KEEP_SECONDS = 60.0  # how long a published record stays, and
KEEP_RECORDS = 1000  # how many of the newest stay at least; but
KEEP_MOST = 10_000  # no more than so many stay, once the older ones were published
LEAST_SECONDS = 5.0  # so long ago: more than twice what a server that syncs once a second may forget
READ_BACK = 1000  # records taken up from disk at once
COMPACT_BYTES = 4 << 20  # the file is rewritten when it has grown by this much, and to twice its size
_log = logging.getLogger("producer.outbox")
Arrival = dict[str, Any]


class Outbox:
    """One file, and its overflow. Threads that share it hold `lock`.

    Methods that write raise SinkUnavailable when the disk says no, and change nothing then.
    """

    def __init__(self, path: Path) -> None:
        """Reads the files back, as far as they are whole; what a crash tore at an end had been promised to nobody."""
        self._path = path
        self.lock = threading.RLock()
        self.arrivals: dict[str, Arrival] = {}  # join_id -> raw arrival without a record
        self.waiting: dict[str, Sequenced] = {}  # identity -> the first records not yet published, in order
        self.kept: dict[str, tuple[float, Sequenced]] = {}  # identity -> when published, record
        self.last = dict.fromkeys(LOGS, event_id.ZERO)  # highest id given, by log
        self.published = dict.fromkeys(LOGS, event_id.ZERO)  # highest id known to be published, by log
        self.floor = dict.fromkeys(LOGS, event_id.ZERO)  # highest id of those let go of, by log
        self.epoch: str | None = None
        self._overflow = Overflow(path.parent)
        self._safe: Place = 0, 0  # before it nothing in the overflow is needed, when the file was written
        self._at: dict[str, int] = {}  # identity -> where in the overflow a record of `waiting` or `kept` stands
        self._void: set[tuple[str, str]] = set()  # (log, event id) of records in the overflow that hold no more
        with durable.disk_errors(path):
            durable.make_folder(path.parent)
            good = self._load()
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, good)
            durable.sync_folder(path.parent)
            self._size, self._compact_at = good, 0
            self._overflow.open(self._safe, self._waits)
            # What the server may have forgotten first of all: healing must find it in memory.
            while self._overflow.remembers:
                self._read_back()
                self._let_go(at_most=KEEP_MOST)
            self.take_up()
            with contextlib.suppress(SinkUnavailable):  # a full disk: the file can become smaller later
                self.compact()

    @property
    def size(self) -> int:
        """Records that wait to be published, on disk alone or in memory too."""
        return len(self.waiting) + self._overflow.count

    @property
    def bytes(self) -> int:
        """What its files take on disk."""
        return self._size + self._overflow.size

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
        # Where there is an overflow, it holds the latest: read back, they would stand before what came after them.
        if self._overflow.exists or len(self.waiting) + len(records) > IN_MEMORY:
            if not self._overflow.exists:
                _log.warning("%d records wait: further ones wait on disk alone", len(self.waiting))
            self._overflow.add(records)
            before = set(self._void)
            for record in records:
                self._supersede(record)
            self._note("dropped", [(log, None, event) for log, event in self._void - before])
            self.take_up()
            return
        self._append(map(of_record, records), sync=True)
        for record in records:
            self._take(record)

    def take_up(self) -> None:
        """Brings what waits on disk alone into memory, as far as there is room for it."""
        while self._overflow.unread and len(self.waiting) <= IN_MEMORY // 2 and len(self.kept) < KEEP_MOST:
            self._read_back()

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
        return self._held(key) or self._overflow.find(key)

    def records(self) -> Iterator[Sequenced]:
        """All records held, published or not, in order; those on disk alone are read one at a time. Hold no lock."""
        with self.lock:
            held = [*(record for _, record in self.kept.values()), *self.waiting.values()]
            return itertools.chain(held, self._overflow.records())

    def erase(self, erasures: Sequence[Erasure]) -> bool:
        """Takes names out of all records held, and out of the file; False while some stand in the overflow.

        What waits there alone is published soon, and can be erased then.
        """
        self.take_up()
        self.compact()
        if self._overflow.exists:
            return False
        rule = Erasures(erasures)
        self.kept = {key: (when, _without(record, rule)) for key, (when, record) in self.kept.items()}
        self.waiting = {key: _without(record, rule) for key, record in self.waiting.items()}
        self.compact(at_once=True)
        return True

    def compact(self, at_once: bool = False) -> None:
        """Lets go of what is old, and rewrites the file with what is still needed when it has grown enough.

        The overflow is removed once all of it was read: what is still needed of it stands in the file then.
        """
        if self._descriptor < 0:
            return  # closed: the file may be another process's by now
        self._let_go()
        read_up = self._overflow.exists and not self._overflow.unread
        if not self._overflow.exists:
            self._void.clear()
        if not (at_once or read_up) and self._size - self._compact_at < max(COMPACT_BYTES, self._compact_at):
            return
        apart = {} if read_up else self._at  # these are safe where they are
        place: Place = self._overflow.place
        items: list[Item] = [{"last": self.last, "high": self.published, "floor": self.floor}]
        items += [{"epoch": self.epoch}] if self.epoch else []
        items += [{"arrival": arrival} for arrival in self.arrivals.values()]
        items += [{**of_record(record), "at": when} for key, (when, record) in self.kept.items() if key not in apart]
        items += [of_record(record) for key, record in self.waiting.items() if key not in apart]
        items += [{"overflow": (place[0], min(apart.values(), default=place[1]))}]
        items += [{"dropped": (log, None, event)} for log, event in self._void]
        data = lines(items)
        with durable.disk_errors(self._path):
            durable.replace(self._path, data)
            os.close(self._descriptor)
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            self._size = self._compact_at = len(data)
        if read_up:
            self._at.clear()
            self._overflow.remove()

    def close(self) -> None:
        """Closes the files; a thread that still writes gets an error, not a file that was opened meanwhile."""
        self._overflow.close()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _held(self, key: str) -> Sequenced | None:
        if key in self.waiting:
            return self.waiting[key]
        return self.kept[key][1] if key in self.kept else None

    def _read_back(self) -> None:
        for offset, record in self._overflow.take(READ_BACK):
            key = identity(record.log, record.record)
            if self._stands(key, record):
                self._take(record, offset)
                if not event_id.is_above(record.event_id, self.published[record.log]):
                    self._mark(record.log, key)  # published before the last start

    def _let_go(self, at_most: int | None = None) -> None:
        """Forgets published records that are old, or the oldest of more than `at_most`."""
        now, surplus = time.time(), len(self.kept) - (KEEP_RECORDS if at_most is None else at_most)
        old = []
        for number, (key, (when, _)) in enumerate(itertools.islice(self.kept.items(), max(0, surplus))):
            too_many = len(self.kept) - number > KEEP_MOST and when < now - LEAST_SECONDS
            if at_most is None and when >= now - KEEP_SECONDS and not too_many:
                break
            old.append(key)
        for key in old:
            record = self.kept.pop(key)[1]
            if key not in self.waiting:
                self._at.pop(key, None)
            self.floor[record.log] = event_id.latest(self.floor[record.log], record.event_id)

    def _settle(self, verb: str, records: Iterable[Sequenced]) -> None:
        settled = [(record.log, identity(record.log, record.record), record.event_id) for record in records]
        for item in settled:
            self._replay({verb: item})
        self._note(verb, settled)

    def _note(self, verb: str, what: Iterable[tuple[str, str | None, str]]) -> None:
        """Not synced, and no harm when the disk is full: publishing them again adds nothing."""
        with contextlib.suppress(SinkUnavailable):
            self._append([{verb: item} for item in what])

    def _append(self, items: Iterable[Item], sync: bool = False) -> None:
        data = lines(items)
        with durable.disk_errors(self._path):
            # Always at the known end: what a failed write left behind is overwritten.
            durable.write_all(self._descriptor, data, self._size)
            if sync:
                os.fdatasync(self._descriptor)
            self._size += len(data)

    def _load(self) -> int:
        """Takes in the file's items; gives the length of its good part."""
        if not durable.is_there(self._path):
            return 0
        position = 0
        with os.fdopen(durable.open_file(self._path, os.O_RDONLY), "rb") as file:
            for line, item in read(file):
                if item is None or not self._understood(item):
                    break
                position += len(line)
            file.seek(position)
            rest = file.read()
        if b"\n" in rest:  # more than a torn last line: never thrown away
            aside = durable.set_aside(self._path, rest, "damaged")
            _log.error("%s is damaged from byte %d on; that part is kept in %s", self._path, position, aside)
        return position

    def _understood(self, item: Item) -> bool:
        """Takes an item in; False where its sum is right, by chance or by hand, and yet it is none."""
        try:
            self._replay(item)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return False
        return True

    def _replay(self, item: Item) -> None:
        if "arrival" in item:
            if self._held(item["arrival"]["join_id"]) is None:
                self.arrivals[item["arrival"]["join_id"]] = item["arrival"]
        elif "record" in item:
            record = to_record(item)
            self._take(record)
            if "at" in item:
                self._mark(record.log, identity(record.log, record.record), item["at"])
        elif "published" in item:
            log, key, event = item["published"]
            self._mark(log, key)
            self.published[log] = event_id.latest(self.published[log], event)
        elif "dropped" in item:
            self._drop(*item["dropped"])
        elif "epoch" in item:
            self.epoch = item["epoch"]
        elif "overflow" in item:
            number, offset = item["overflow"]
            self._safe = number, offset
        elif "last" in item:
            self.last, self.published, self.floor = item["last"], item["high"], item["floor"]

    def _take(self, record: Sequenced, offset: int | None = None) -> None:
        key = identity(record.log, record.record)
        self._forget(key)
        self.waiting[key] = record  # at the end, where a new id belongs
        if offset is not None:
            self._at[key] = offset
        self.last[record.log] = event_id.latest(self.last[record.log], record.event_id)

    def _waits(self, record: Sequenced) -> bool:
        """Takes note of a record that the last start left in the overflow; whether it is yet to be published."""
        self._supersede(record)
        key = identity(record.log, record.record)
        return self._stands(key, record) and event_id.is_above(record.event_id, self.published[record.log])

    def _stands(self, key: str, record: Sequenced) -> bool:
        """Whether a record in the overflow was neither given up nor given a new place."""
        held = self._held(key)
        later = held is not None and event_id.is_above(held.event_id, record.event_id)
        return not later and (record.log, record.event_id) not in self._void

    def _supersede(self, record: Sequenced) -> None:
        """A record stands in the overflow: what is in memory of the same identity and older holds no more."""
        key = identity(record.log, record.record)
        held = self._held(key)
        if held is None or event_id.is_above(record.event_id, held.event_id):
            self._forget(key)
        self.last[record.log] = event_id.latest(self.last[record.log], record.event_id)

    def _forget(self, key: str) -> None:
        """Takes what waits under an identity out of memory; what was published stays, until its time is over."""
        held = self._held(key)
        self.arrivals.pop(key, None)
        self.waiting.pop(key, None)
        if self._at.pop(key, None) is not None and held is not None:
            self._void.add((held.log, held.event_id))

    def _mark(self, log: str, key: str, when: float | None = None) -> None:
        record = self.waiting.pop(key, None)
        if record is not None:
            self.kept.pop(key, None)  # an entry that was condemned: this one stands for it
            self.kept[key] = (time.time() if when is None else when, record)
            self.published[log] = event_id.latest(self.published[log], record.event_id)

    def _drop(self, log: str, key: str | None, event: str) -> None:
        held = self.waiting.get(key) if key is not None else None
        if key is not None and held is not None and held.event_id == event:
            del self.waiting[key]
            if self._at.pop(key, None) is None:
                return
        self._void.add((log, event))


def _without(item: Sequenced, rule: Erasures) -> Sequenced:
    """The record without the names that are to be gone."""
    new = scrubbed({**item.record, "event_id": item.event_id}, rule)
    if new is None:
        return item
    return Sequenced(item.log, item.event_id, {key: value for key, value in new.items() if key != "event_id"})
