"""The publisher thread: everything the producer says to Redis, which it may wait for as long as it must.

It holds the lease that makes this process the one sequencer; without it, records are handed over to whoever has it.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

from joins import event_id, keys, process_report
from joins.chain import Record, canonical, check_commitments, seal
from joins.errors import InvalidRecord, InviteLogError, LeaseLost, SinkUnavailable, StreamForgot
from joins.json_format import from_line
from joins.lease import RENEW_EVERY, Lease
from joins.process_report import Report
from joins.publish import MAX_BATCH, Publisher, Sequenced
from joins.records import JOINS, LOGS
from joins.redis_url import Client
from joins.scripts import text
from joins.settings import Settings
from producer import healing
from producer.outbox import Arrival, Outbox
from producer.sequencer import Request, Sequencer
from producer.staff_registry import StaffRegistry

TICK = 0.5  # seconds between looks when nothing wakes the thread
LONGEST_DELAY = 5.0  # seconds between tries while Redis is away
HOUSEKEEPING = 10.0  # seconds between trims
_log = logging.getLogger("producer.publishing")


class Publishing:
    """Publishes what the outbox holds. `details` says what the report shall tell besides."""

    def __init__(self, client: Client, outbox: Outbox, settings: Settings, lease: Lease) -> None:
        self._client, self._outbox, self._settings, self._lease = client, outbox, settings, lease
        self._publisher = Publisher(client)
        self.registry = StaffRegistry()
        self.sequencer = Sequencer(outbox, self.registry, self._wake_up)
        self.details: Callable[[], dict[str, Any]] = dict
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._announced: set[str] = set()  # arrivals that Redis has
        self._renewed = self._cleaned = 0.0
        self._trouble: tuple[str, float] | None = None
        self._started = time.time()
        self._thread = threading.Thread(target=self._run, name="publishing", daemon=True)

    def start(self) -> bool:
        """Takes the lease and makes the streams whole; False when another producer has it. Raises redis errors."""
        if not self._lease.acquire():
            return False
        try:
            self._lead()
        except LeaseLost:
            return False
        except (StreamForgot, SinkUnavailable) as error:
            # Joins must not be judged before it is known who the staff is; they are found when this is over.
            self._complain(str(error))
            self._report()
            return False
        self.sequencer.start()
        self._thread.start()
        return True

    def stop(self, seconds: float) -> None:
        """Makes durable what was submitted, publishes what it can within `seconds`, and gives the lease up."""
        self.sequencer.stop()
        self._stopping.set()
        self._wake.set()
        self._thread.join(seconds)
        if self._thread.is_alive() or self.trouble is not None:
            _log.info("the lease runs out by itself: the server did not answer at the end")
        else:
            self._give_up()
        with self._outbox.lock:
            if self._outbox.waiting:
                _log.warning("%d records wait in the outbox for the next start", len(self._outbox.waiting))
            self._outbox.close()

    def _give_up(self) -> None:
        try:
            self._lease.release()
            process_report.withdraw(self._client, "producer")
        except RedisError as error:
            _log.info("the lease runs out by itself: %s", error)

    @property
    def trouble(self) -> str | None:
        """What keeps records from being published, or arrivals from the disk; None while all is well."""
        return self._trouble[0] if self._trouble else None

    def arrivals(self) -> list[Arrival]:
        """Arrivals that have no record yet."""
        with self._outbox.lock:
            return list(self._outbox.arrivals.values())

    def position(self) -> str:
        """The highest event id that any join has been given."""
        return self._outbox.last[JOINS]  # without the lock: the gateway's loop asks, and must not wait for a disk

    def published(self) -> dict[str, str] | None:
        """The last event id of each stream; None while a record waits to be published. Raises redis errors."""
        with self._outbox.lock:
            if self._outbox.waiting:
                return None
            known = dict(self._outbox.published)
        return {log: event_id.latest(known[log], self._publisher.last_id(log)) for log in LOGS}

    def recent(self, log: str) -> list[tuple[str, Record]]:
        """The records of a log that the outbox still holds, published or not, with their event ids."""
        with self._outbox.lock:
            held = [*self._outbox.waiting.values(), *(record for _, record in self._outbox.kept.values())]
        return [(item.event_id, item.record) for item in held if item.log == log]

    def _wake_up(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        delay = 0.0
        while not self._stopping.is_set() or (self._outbox.waiting and not delay):
            self._wake.wait(delay or TICK)
            self._wake.clear()
            try:
                self._tick()
                self._recovered()
                delay = 0.0
            except LeaseLost:
                self._lease.value = None  # taken again at once, or by another producer
            except StreamForgot as error:
                delay = self._try_to_heal(error)
            except (RedisError, InviteLogError) as error:
                self._complain(f"the Redis server takes nothing ({error}); the outbox keeps all of it")
                delay = min(LONGEST_DELAY, 2 * delay or TICK)
            except Exception as error:
                # A fault must not end the thread: it would end publishing, unseen.
                if self._trouble is None:
                    _log.exception("a fault in publishing; the outbox keeps all of it")
                self._complain(f"a fault in publishing ({type(error).__name__}: {error}); the outbox keeps all of it")
                delay = LONGEST_DELAY

    def _tick(self) -> None:
        if self._lease.value is None:
            if not self._lease.acquire():
                self._complain("another producer publishes now; records are handed over to it")
                self._hand_over()
                return
            try:
                self._lead()
            except BaseException:
                self._lease.value = None  # to begin again, whole, at the next try
                raise
        elif time.monotonic() - self._renewed > RENEW_EVERY:
            self._lease.renew()
            self._renewed = time.monotonic()
            self._report()
            if self._publisher.epoch() != self._outbox.epoch:
                raise StreamForgot("the Redis server has forgotten its epoch, or was healed by somebody else")
        self._announce()
        self._publish()
        if time.monotonic() - self._cleaned > HOUSEKEEPING:
            self._cleaned = time.monotonic()
            for log in LOGS:
                self._publisher.trim(log, self._settings.stream_window)
        self._empty_inbox()

    def _lead(self) -> None:
        """Begins as the sequencer: above every id there is, on streams that are whole."""
        self._renewed = time.monotonic()
        epoch = self._publisher.epoch()
        forgotten = epoch is None
        lasts = {log: self._publisher.last_id(log) for log in LOGS}
        copies: healing.Copies = healing.on_disk(self._settings)
        if epoch is not None and healing.knows_nothing(self._outbox, copies):
            # A disk that vanished cannot tell whether this is the server it knew, or a backup of it.
            copies = healing.with_cloud(self._settings, self._outbox, copies, self._lease, must=False)
        with self._outbox.lock:
            for log, last in lasts.items():
                known = healing.last_known(self._outbox, copies, log)
                forgotten = forgotten or event_id.is_above(known, last)
                self._outbox.last[log] = event_id.latest(self._outbox.last[log], last, known)
            if epoch is not None and epoch != self._outbox.epoch:
                self._outbox.set_epoch(epoch)
        if forgotten:
            self._heal()
        self.registry.load(self._client)
        for join_id, arrival in self._client.hgetall(keys.ARRIVALS).items():
            if text(join_id) not in self._outbox.arrivals:
                with self._outbox.lock:
                    self._outbox.add_arrivals([json.loads(arrival)])

    def _heal(self) -> None:
        healing.heal(self._client, self._publisher, self._outbox, self._settings, self._lease)
        self._announced.clear()

    def _try_to_heal(self, found: StreamForgot) -> float:
        """Seconds to wait before the next try."""
        if self._lease.value is None:  # found while taking the lead, which did try, and will again
            self._complain(str(found))
            return LONGEST_DELAY
        try:
            self._heal()
            return 0.0
        except LeaseLost:
            self._lease.value = None
            return TICK
        except (RedisError, InviteLogError) as error:
            self._complain(str(error))
            return LONGEST_DELAY

    def _announce(self) -> None:
        """Puts arrivals where they outlive this disk too."""
        with self._outbox.lock:
            arrivals = {**self._outbox.arrivals, **self.sequencer.unsaved}
            self._announced &= arrivals.keys()
            new = {join_id: arrival for join_id, arrival in arrivals.items() if join_id not in self._announced}
        if new:
            self._client.hset(keys.ARRIVALS, mapping={join_id: canonical(arrival) for join_id, arrival in new.items()})
            self._announced |= new.keys()

    def _publish(self) -> None:
        while waiting := self._waiting():
            log = waiting[0].log
            with self._outbox.lock:
                epoch, last = self._outbox.epoch or "", self._outbox.published[log]
            standing = self._publisher.publish(log, waiting, epoch, self._lease.value or "", last)
            places = list(zip(waiting, standing, strict=True))
            with self._outbox.lock:
                self._outbox.mark_published(item for item, place in places if place == item.event_id)
                self._outbox.drop(item for item, place in places if place not in (None, item.event_id))
            if late := [item for item, place in places if place is None]:
                self._place_again(log, late)

    def _waiting(self) -> list[Sequenced]:
        """The next records to publish, all of one log."""
        with self._outbox.lock:
            first = list(itertools.islice(self._outbox.waiting.values(), MAX_BATCH))
        return [item for item in first if item.log == first[0].log]

    def _place_again(self, log: str, late: list[Sequenced]) -> None:
        """Gives a new place to records that another sequencer went past before they were published."""
        last = self._publisher.last_id(log)
        with self._outbox.lock:
            above = event_id.latest(self._outbox.last[log], last)
            for item in late:
                above = event_id.following(above)
                self._outbox.add_records([Sequenced(log, above, item.record)])

    def _hand_over(self) -> None:
        """Gives what waits to the sequencer of another process."""
        with self._outbox.lock:
            waiting = list(self._outbox.waiting.values())
        if waiting:
            self._client.rpush(keys.INBOX, *(canonical({"log": item.log, "record": item.record}) for item in waiting))
            with self._outbox.lock:
                self._outbox.drop(waiting)

    def _empty_inbox(self) -> None:
        """Takes in what other processes handed over; removed from the list only when it is durable here."""
        items: Any = self._client.lrange(keys.INBOX, 0, MAX_BATCH - 1)
        requests, refused = [], []
        for item in items:
            try:
                requests.append(_handed_over(item))
            except (ValueError, KeyError, TypeError, RecursionError, InvalidRecord) as error:
                refused.append((item, str(error)))
        if items and self.sequencer.keep(requests):
            for item, fault in refused:
                _log.error("a record that another process handed over is refused and kept aside: %s", fault)
                self._client.rpush(keys.INBOX_REFUSED, item)
            self._client.ltrim(keys.INBOX, len(items), -1)
            self._wake.set()

    def _report(self) -> None:
        with self._outbox.lock:
            details = {"outbox": len(self._outbox.waiting), "arrivals": len(self._outbox.arrivals)}
        if self.sequencer.trouble is not None:
            self._complain(self.sequencer.trouble)
        reason, since = self._trouble or (None, None)
        state = "failing" if self._trouble else "working"
        report = Report("producer", state, reason, since, started=self._started, details=details | self.details())
        process_report.send(self._client, report)

    def _complain(self, reason: str) -> None:
        if self.trouble != reason:
            _log.error("%s", reason)
            self._trouble = (reason, self._trouble[1] if self._trouble else time.time())

    def _recovered(self) -> None:
        if self._trouble is not None and self._lease.value is not None and self.sequencer.trouble is None:
            _log.info("publishing works again after %.0f s", time.time() - self._trouble[1])
            self._trouble = None


def _handed_over(item: bytes) -> Request:
    """What another process put into the inbox. It is checked as every sink will: none may condemn what was recorded."""
    content = json.loads(item)
    record = from_line(content["log"], canonical(content["record"]))
    if "event_id" in record or "hash" in record:
        raise InvalidRecord("event id and hash are the sequencer's and the sinks' to give")
    if not record.get("commitments"):
        record = seal(record)
    check_commitments(record)
    return Request(content["log"], record)
