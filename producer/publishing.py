"""The publisher thread: everything the producer says to Redis, which it may wait for as long as it must.

It holds the lease that makes this process the one sequencer; without it, records are handed over to whoever has it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from redis.exceptions import OutOfMemoryError, RedisError

from joins import event_id, inbox, keys, process_report
from joins.chain import Record, canonical
from joins.copies import finding
from joins.errors import (
    InvalidRecord,
    InviteLogError,
    LeaseLost,
    NewerVersion,
    PermanentError,
    SinkUnavailable,
    StreamForgot,
)
from joins.lease import RENEW_EVERY, Lease
from joins.process_report import Report
from joins.publish import MAX_BATCH, Publisher, Sequenced
from joins.records import CHANGES, JOINS, LOGS
from joins.redis_url import Client
from joins.scripts import script, text
from joins.settings import Settings
from producer import healing
from producer.forgetting import Forgetting
from producer.outbox import Arrival, Outbox
from producer.outbox_alarm import REDIS_FULL, Backlog
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
        self._level, self._redis_full = 0, False
        self._publisher, self._take = Publisher(client), script(client, "take")
        self.registry = StaffRegistry()
        self.sequencer = Sequencer(outbox, self.registry, self._wake_up)
        self.details: Callable[[], dict[str, Any]] = dict
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._forgetting = Forgetting(client, self._publisher, outbox)
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
            if self._outbox.size:
                _log.warning("%d records wait in the outbox for the next start", self._outbox.size)
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
            if self._outbox.size:
                return None
            known = dict(self._outbox.published)
        return {log: event_id.latest(known[log], self._publisher.last_id(log)) for log in LOGS}

    def recent(self, log: str) -> Iterator[tuple[str, Record]]:
        """The records of a log that the outbox still holds, published or not, with their event ids, in order."""
        return ((item.event_id, item.record) for item in self._outbox.records() if item.log == log)

    def backlog(self) -> Backlog:
        """How much waits to be published."""
        # Without the lock: the gateway's loop asks, and must not wait for a disk.
        return Backlog(self._outbox.size, self._settings.outbox_limit, self._outbox.bytes, self._redis_full)

    def _wake_up(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        delay = 0.0
        while not self._stopping.is_set() or (self._outbox.size and not delay):
            self._wake.wait(delay or TICK)
            self._wake.clear()
            self._watch()
            try:
                self._tick()
                self._recovered()
                delay = 0.0
            except LeaseLost:
                self._lease.value = None  # taken again at once, or by another producer
            except StreamForgot as error:
                delay = self._try_to_heal(error)
            except OutOfMemoryError:
                self._redis_full = True
                self._complain(REDIS_FULL)
                delay = min(LONGEST_DELAY, 2 * delay or TICK)
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
            self._check_streams()
        if self._redis_full or time.monotonic() - self._cleaned > HOUSEKEEPING:
            self._clean()
        self._announce()
        self._publish()
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
        self._learn_staff()
        for join_id, arrival in self._client.hgetall(keys.ARRIVALS).items():
            if text(join_id) not in self._outbox.arrivals:
                with self._outbox.lock:
                    self._outbox.add_arrivals([json.loads(arrival)])

    def _learn_staff(self) -> None:
        """Takes over whom the codes stand for: what was published, then what an earlier start left to publish.

        In the order of the log, and under the lock that the sequencer needs to make a later change durable, so that
        no older name replaces a later one. What the outbox keeps of what was published is left out for the same
        reason: it is in the server's hashes, and another producer may have published a later name since.
        """
        self.registry.load(self._client)
        with self._outbox.lock:
            waiting = [item for item in self._outbox.waiting.values() if item.log == CHANGES]
            for item in sorted(waiting, key=lambda item: event_id.parse(item.event_id)):
                self.registry.learn(item.record)

    def _heal(self) -> None:
        healing.heal(self._client, self._publisher, self._outbox, self._settings, self._lease)
        self._announced.clear()
        self._forgetting.healed()

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

    def _clean(self) -> None:
        """Makes room, on the server and in memory; a full server first of all."""
        self._cleaned = time.monotonic()
        for log in LOGS:
            while self._publisher.trim(log, self._settings.stream_window) and self._redis_full:
                self._lease.renew()
        with self._outbox.lock, contextlib.suppress(SinkUnavailable):  # the file can become smaller later
            self._outbox.compact()
        with contextlib.suppress(SinkUnavailable):
            self._forgetting.look()

    def _publish(self) -> None:
        until = time.monotonic() + RENEW_EVERY
        while waiting := self._waiting():
            if time.monotonic() > until:
                self._wake.set()  # to be gone on with at once, when the lease is renewed
                return
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

    def _check_streams(self) -> None:
        """Notices a server that forgot, also while nobody joins. Raises StreamForgot, LeaseLost."""
        for log in LOGS:
            with self._outbox.lock:
                epoch, last = self._outbox.epoch or "", self._outbox.published[log]
            self._publisher.publish(log, [], epoch, self._lease.value or "", last)

    def _waiting(self) -> list[Sequenced]:
        """The next records to publish, all of one log."""
        with self._outbox.lock:
            if self._outbox.size > len(self._outbox.waiting):
                with contextlib.suppress(SinkUnavailable):
                    self._outbox.compact()
                self._outbox.take_up()
            first = list(itertools.islice(self._outbox.waiting.values(), MAX_BATCH))
        return [item for item in first if item.log == first[0].log]

    def _place_again(self, log: str, late: list[Sequenced]) -> None:
        """Gives a new place to records that another sequencer went past before they were published.

        One that a copy on this disk has was published long ago, and its entry trimmed, though a crash kept that from
        being noted.
        """
        last, there = self._publisher.last_id(log), list[Sequenced]()
        copy = finding.longest(finding.readable(log, self._settings, finding.ON_DISK))
        with contextlib.suppress(SinkUnavailable, PermanentError, NewerVersion):  # else their identities tell
            there = [item for item in late if copy is not None and copy.at(item.event_id) is not None]
        with self._outbox.lock:
            self._outbox.mark_published(there)
            above = event_id.latest(self._outbox.last[log], last)
            for item in late:
                if item in there:
                    continue
                above = event_id.following(above)
                self._outbox.add_records([Sequenced(log, above, item.record)])

    def _hand_over(self) -> None:
        """Gives what waits to the sequencer of another process."""
        while waiting := self._waiting():
            self._client.rpush(keys.INBOX, *(inbox.item(item.log, item.record) for item in waiting))
            with self._outbox.lock:
                self._outbox.drop(waiting)

    def _empty_inbox(self) -> None:
        """Takes in what other processes handed over; removed from the list only when it is durable here."""
        items: Any = self._client.lrange(keys.INBOX, 0, MAX_BATCH - 1)
        requests, verdicts = [], []
        for item in items:
            verdicts += [item, ""]
            try:
                handed = inbox.read(item)
                requests.append(Request(handed.log, handed.record, handed.instead_of))
            except InvalidRecord as error:
                _log.error("a record that another process handed over went to the dead letters: %s", error)
                verdicts[-1] = str(error) or "no record"
        if items and self.sequencer.keep(requests):
            self._take(keys=[keys.INBOX, keys.DEAD_LETTERS], args=verdicts)
            self._wake.set()

    def _report(self) -> None:
        with self._outbox.lock:
            details: dict[str, Any] = {"arrivals": len(self._outbox.arrivals)}
        backlog = self.backlog()
        details |= {"outbox": backlog.records, "outbox_bytes": backlog.bytes, "outbox_limit": backlog.limit}
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

    def _watch(self) -> None:
        """Says so when the outbox has grown to a further level, and when it is small again."""
        backlog = self.backlog()
        if backlog.level > self._level:
            _log.error("%s", backlog.sentence)
        elif self._level and not backlog.level:
            _log.info("the outbox is below half of its limit again: %d records wait", backlog.records)
        self._level = backlog.level

    def _recovered(self) -> None:
        self._redis_full = False
        if self._trouble is not None and self._lease.value is not None and self.sequencer.trouble is None:
            _log.info("publishing works again after %.0f s", time.time() - self._trouble[1])
            self._trouble = None
