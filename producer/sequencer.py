"""The writer of the outbox: it gives each record its place in the log's order, and makes it durable.

A thread of its own, so that nothing slow stands before durability; all that came meanwhile is synced at once.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from joins import event_id
from joins.chain import Record
from joins.errors import SinkUnavailable
from joins.publish import Sequenced
from joins.records import CHANGES, identity
from producer.outbox import Arrival, Outbox
from producer.staff_registry import StaffRegistry

DISK_RETRY = 1.0  # seconds between tries of a full disk
_log = logging.getLogger("producer.sequencer")


@dataclass
class Request:
    """Something to be made durable: an arrival (no log), or a record of a log in normal form, sealed."""

    log: str | None
    content: dict[str, Any]
    instead_of: str | None = None  # event id of the entry that was condemned and that it stands for
    done: Future[str] = field(default_factory=Future)

    def answer(self, result: str | Exception) -> None:
        """Tells whoever waits, unless he has given up."""
        if not self.done.set_running_or_notify_cancel():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class Sequencer:
    """`submit…` may be called from any thread; `wake` is called when there is something to publish."""

    def __init__(self, outbox: Outbox, registry: StaffRegistry, wake: Callable[[], None]) -> None:
        self._outbox, self._registry, self._wake = outbox, registry, wake
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._stopping = threading.Event()
        self.trouble: str | None = None  # why the disk takes nothing, while it does not
        self.unsaved: dict[str, Arrival] = {}  # join_id -> arrival that only memory holds, under the outbox's lock

    def start(self) -> None:
        """Begins to take requests."""
        self._thread.start()

    def stop(self) -> None:
        """Makes durable what was submitted, then ends. What a full disk refuses once more fails: SinkUnavailable."""
        self._stopping.set()
        self._requests.put(None)
        self._thread.join()

    def submit_arrival(self, arrival: Arrival) -> Future[str]:
        """Keeps a raw arrival; the future is done when it is durable."""
        return self._submit(Request(None, arrival))

    def submit(self, log: str, record: Record) -> Future[str]:
        """Gives a record its place; the future has its event id once it is durable."""
        return self._submit(Request(log, record))

    def keep(self, requests: Sequence[Request]) -> bool:
        """Makes requests durable and answers them; False when the disk says no, so that they are tried again."""
        with self._outbox.lock:
            placed = self._placed(requests)
            try:
                self._outbox.add_arrivals(request.content for request in requests if request.log is None)
                self._outbox.add_records(record for record, new in placed if new)
            except SinkUnavailable as error:
                if self.trouble is None:
                    _log.error("%s; joins are kept in memory, and arrivals in Redis, until it works", error)
                self.trouble = str(error)
                self.unsaved |= {r.content["join_id"]: r.content for r in requests if r.log is None}
                self._wake()
                return False
            with contextlib.suppress(SinkUnavailable):  # what is needed is durable; smaller it can become later
                self._outbox.compact()
            for request in requests:
                if request.log is None:
                    self.unsaved.pop(request.content["join_id"], None)
        if self.trouble is not None:
            _log.info("the disk takes joins again")
        self.trouble = None
        ids = iter(placed)
        for request in requests:
            if request.log is None:
                request.answer("")
                continue
            record, new = next(ids)
            if new and request.log == CHANGES:
                self._registry.learn(record.record)
            request.answer(record.event_id)
        return True

    def _submit(self, request: Request) -> Future[str]:
        self._requests.put(request)
        return request.done

    def _run(self) -> None:
        ending = False
        while not ending:
            batch = [self._requests.get()]
            while not self._requests.empty():
                batch.append(self._requests.get())
            ending = None in batch
            requests = [request for request in batch if request is not None]
            try:
                while requests and not self.keep(requests):
                    if self._stopping.is_set():
                        _log.error("%d joins or changes were not made durable on disk before the end", len(requests))
                        raise SinkUnavailable("the disk takes nothing, and this process ends")
                    self._stopping.wait(DISK_RETRY)
            except Exception as error:
                # A fault must not end the thread, or every later join would wait for ever.
                if not isinstance(error, SinkUnavailable):
                    _log.exception("a fault in the sequencer")
                for request in requests:
                    request.answer(error)
            self._wake()

    def _placed(self, requests: Sequence[Request]) -> list[tuple[Sequenced, bool]]:
        """Each record with its place, and whether it is new; one that the outbox holds keeps the place it has."""
        last = dict(self._outbox.last)
        given: dict[str, Sequenced] = {}
        placed = []
        for request in requests:
            if request.log is None:
                continue
            key = identity(request.log, request.content)
            held = given.get(key) or self._outbox.holds(key)
            if held is not None and held.event_id == request.instead_of:
                held = None
            if held is None:
                last[request.log] = event_id.following(last[request.log])
                given[key] = Sequenced(request.log, last[request.log], request.content)
            placed.append((held or given[key], held is None))
        return placed
