"""Filling a sink again from another copy, where the stream no longer reaches back to its head.

A file that was removed, a database that was set aside, yesterday's file put back, a disk that vanished: the sink's
head says what it lacks, and every record taken from the other copy is seen to follow from it.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence

from consumers.obeying import write
from consumers.sink import Sink
from joins import event_id
from joins.copies import finding
from joins.copies.copy import Copy
from joins.errors import NewerVersion, PermanentError, SinkUnavailable, StreamTrimmed
from joins.settings import Settings

BATCH = 500  # records written at once
TURN_SECONDS = 10.0  # a turn's length: below what RQ grants a job, and what a worker may be silent for
_log = logging.getLogger("consumers.filling")


class Filling:
    """Fills one sink, turn by turn."""

    def __init__(self, sink: str, settings: Settings, check: Callable[[], None], go_on: Callable[[], bool]) -> None:
        """`check` raises LeaseLost when this process may not write; `go_on` says no when it is to end."""
        self._sink, self._settings, self._check, self._go_on = sink, settings, check, go_on
        self._counts: dict[str, int] = {}
        self.under_way: str | None = None  # what is being done, as a sentence; safe to read from another thread

    def fill(self, sink: Sink, log: str) -> bool:
        """Adds what the copy that reaches furthest has above the sink's head; False when a turn was not enough.

        Raises StreamTrimmed when no other copy has more, and what the sink raises.
        """
        faults: list[str] = []
        for copy in self._sources(log, sink.head(log)[0]):
            try:
                done = self._from(copy, sink, log)
            except (PermanentError, SinkUnavailable, NewerVersion) as error:
                if sink.head(log)[0] == copy.head[0]:
                    raise
                faults.append(str(error))
                _log.error("%s", error)
                continue
            if done:
                _log.warning("the %s log of %s was filled again: %d records", log, self._sink, self._counts.pop(log, 0))
                self.under_way = None
            return done
        self.under_way = None
        why = f" ({'; '.join(faults)})" if faults else ""
        raise StreamTrimmed(
            f"the {self._sink} sink ends at {sink.head(log)[0]} of the {log} log, the stream no longer reaches back "
            f"there, and no other copy that can be read from here has what lies between{why}: put one of them back "
            "from a backup"
        )

    def _sources(self, log: str, head: str) -> Iterator[Copy]:
        """The other copies that have more, the furthest first; the cloud, which is slow, only after those on disk."""
        others = [sink for sink in finding.ON_DISK if sink != self._sink]
        for sinks in (others, ["cloud"] if self._sink != "cloud" else []):
            yield from self._longer(finding.readable(log, self._settings, sinks), head)

    @staticmethod
    def _longer(copies: Sequence[Copy], head: str) -> list[Copy]:
        more = [copy for copy in copies if event_id.is_above(copy.head[0], head)]
        return sorted(more, key=lambda copy: event_id.parse(copy.head[0]), reverse=True)

    def _from(self, copy: Copy, sink: Sink, log: str) -> bool:
        until = time.monotonic() + TURN_SECONDS
        records = finding.checked(copy, log, sink.head(log))
        while batch := list(itertools.islice(records, BATCH)):
            self._check()
            write(sink, log, batch)
            self._counts[log] = self._counts.get(log, 0) + len(batch)
            self.under_way = (
                f"being filled again from the {copy.sink} copy: {self._counts[log]} records of the {log} log so far"
            )
            if time.monotonic() > until or not self._go_on():
                return False
        return True
