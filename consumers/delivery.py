"""The delivery loop of one sink: read, drop what the sink has, chain, write, acknowledge.

The sink's own head, not Redis, says what it has. So whatever happens between two steps, a crash or a server that lost
its memory, the next run begins at the head and no record is missing or doubled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from consumers.obeying import without_erased, write
from consumers.sink import Sink
from joins import event_id
from joins.chain import chained
from joins.errors import InvalidRecord, NewerVersion, StreamTrimmed
from joins.groups import Entry, Group
from joins.records import LOGS
from joins.redis_url import Client
from joins.tail import Head
from joins.tokens import write_jobs

BATCH = 500  # entries of each log read at once; a sink's disk is synced once a batch
RUN_SECONDS = 5.0  # how long one RQ job goes on while there is backlog
MAX_EMPTY_READS = 3  # in a run; one or two may fall between a read and a record that is published just then
Fill = Callable[[Sink, str], bool]
_log = logging.getLogger("consumers.delivery")


class Delivery:
    """Delivers to one sink. Methods raise RetryableError, PermanentError or redis errors; each may be tried again."""

    def __init__(
        self,
        client: Client,
        name: str,
        open_sink: Callable[[], Sink],
        check: Callable[[], None],
        fill: Fill | None = None,
    ) -> None:
        """`check` is called before each write and raises LeaseLost when this process may not write.

        `fill` brings a sink that ends below the stream up to another copy; False when that is to go on later.
        """
        self._client, self._name = client, name
        self._open_sink, self._check, self._fill = open_sink, check, fill
        self._group = Group(client, name)
        self._sink: Sink | None = None
        self._epoch: str | None = None
        self.delivered = 0  # records written by this object
        self.heads: dict[str, Head] = {}  # where each log ended when last looked at; safe to read from another thread

    def backlog(self) -> int:
        """Entries not yet in the sink; makes the RQ queue as long. Raises HeadMoved when the sink's data is gone."""
        sink = self._ready()
        if sink is None:
            return max(1, self._group.settle())
        self.heads = {log: sink.head(log) for log in LOGS}
        return self._group.settle()

    def rest(self, go_on: Callable[[], bool]) -> None:
        """Lets the sink put its house in order, while there is nothing to deliver."""
        rest = getattr(self._sink, "rest", None)
        if rest is not None:
            self._check()
            rest(go_on)

    def give_back(self) -> None:
        """Makes the RQ queue as long as the backlog, whether or not the sink can be opened."""
        self._group.settle()

    def run(self, go_on: Callable[[], bool]) -> None:
        """Delivers until there is no backlog, `go_on` says no, or RUN_SECONDS have passed."""
        until, empty_reads = time.monotonic() + RUN_SECONDS, 0
        try:
            ready = self._ready() is not None
            while ready and go_on() and time.monotonic() < until:
                entries = self._group.read(BATCH)
                if not entries:
                    empty_reads += 1
                    if self._group.settle(in_hand=1) == 0:
                        break
                    if empty_reads > MAX_EMPTY_READS:
                        self.close()  # the server counts wrong: the next run puts the group right
                        break
                self._deliver_both(entries)
            self._group.settle()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the sink; the next call opens it anew and continues at its head."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _ready(self) -> Sink | None:
        """The sink, opened, and its groups put where it ends, when that is due; None while it is being filled again."""
        epoch = self._group.epoch()
        if self._sink is None or epoch != self._epoch:
            self.close()
            self._group.make()  # first, so that a sink that cannot be opened has its backlog counted all the same
            sink = self._sink = self._open_sink()
            self.heads = {log: sink.head(log) for log in LOGS}
            before = dict(self.heads)
            if not all(self._aligned(sink, log) for log in LOGS):
                self.close()
                return None
            if erasures := self._group.all_erasures():
                # Files that somebody put back from an earlier time may hold names that were erased since, and so may
                # records that came from a copy which had not obeyed yet.
                self._check()
                sink.erase(erasures, again=self.heads == before)
            write_jobs(self._client)
            self._epoch = epoch
        return self._sink

    def _aligned(self, sink: Sink, log: str) -> bool:
        """Puts a log's group where the sink ends; what the stream lacks comes from another copy first."""
        try:
            self._group.align(log, self.heads[log][0])
            return True
        except StreamTrimmed:
            if self._fill is None:
                raise
        filled = self._fill(sink, log)
        self.heads = {**self.heads, log: sink.head(log)}
        if filled:
            self._group.align(log, self.heads[log][0])
        return filled

    def _deliver_both(self, entries: list[Entry]) -> None:
        """Delivers to each log; one that waits for a newer program does not hold up the other."""
        waits = None
        for log in LOGS:
            try:
                self._deliver(log, [entry for entry in entries if entry.log == log])
            except NewerVersion as error:
                waits = error
        if waits is not None:
            raise waits

    def _deliver(self, log: str, entries: list[Entry]) -> None:
        assert self._sink is not None
        if not entries:
            return
        head, previous = self._sink.head(log)
        fresh = [entry for entry in entries if event_id.is_above(entry.event_id, head)]
        condemned = self._group.condemned(fresh)
        records, waits = [], None
        done = [entry for entry in entries if not event_id.is_above(entry.event_id, head)]
        for entry in fresh:
            if (entry.log, entry.event_id) not in condemned:
                try:
                    records.append(entry.record())
                except NewerVersion as error:
                    waits = error
                    break
                except InvalidRecord as error:
                    self._group.condemn(entry, str(error))
                    _log.error("entry %s of the %s log went to the dead letters: %s", entry.event_id, log, error)
            done.append(entry)
        if records:
            self._check()
            records = without_erased(chained(previous, records), self._group.erasures(records))
            for erasure, remnants in write(self._sink, log, records).items():
                self._group.obeyed(erasure, remnants)
            self.delivered += len(records)
            self.heads = {**self.heads, log: self._sink.head(log)}
        self._group.settle(done, in_hand=1)
        if waits is not None:
            raise waits
