"""Brings judged joins to the recorder: finds the staff member of each code, builds the record, and does not give up.

An arrival is durable before this begins, so a process that is killed here finds it again at its next start.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from joins.chain import Record
from joins.errors import PermanentError
from joins.records import JOINS
from producer import attribution as attributions
from producer import referral
from producer.attribution import Attribution
from producer.join_record import build
from producer.known_joins import KnownJoins
from producer.payloads import Arrival, waiting
from producer.ports import Recorder
from producer.referral import Credited

log = logging.getLogger("producer")

BACKOFF_CAP = 10.0  # seconds
EARLIER_SECONDS = 2.0  # that the search for an earlier join may take
REJOINED = "did_rejoin"


class Registrar:
    """Shared by all guilds."""

    def __init__(
        self,
        recorder: Recorder,
        known: KnownJoins | None = None,
        recorded: Callable[[Record], Awaitable[None]] | None = None,
    ) -> None:
        """`known` is told of every arrival, `recorded` is called with every record of a join once it is durable."""
        self._recorder, self._known, self._recorded = recorder, known, recorded
        self._complaints: set[str] = set()

    def heard(self, arrival: Arrival) -> None:
        """Takes note of an arrival at once: the member may leave with the next event."""
        if self._known:
            self._known.learn(arrival)

    async def arrived(self, arrival: Arrival) -> None:
        """Makes the raw arrival durable. A fault is said once; the join is recorded all the same."""
        try:
            await self._recorder.arrived(arrival)
            self._complaints.discard("arrived")
        except Exception as error:
            self._complain("arrived", f"an arrival could not be made durable ahead of its record: {error}")

    async def record(self, joins: Sequence[tuple[Arrival, Attribution]]) -> None:
        """Records the joins in their order; returns when every one is durable."""
        joins = [(arrival, await self._with_earlier(arrival, attribution)) for arrival, attribution in joins]
        # The tasks start in this order, so the sequencer takes them in it, and may make many durable with one fsync.
        await asyncio.gather(*(self._record(*join) for join in joins))

    async def _record(self, arrival: Arrival, attribution: Attribution) -> None:
        credited = referral.of_arrival(self._recorder.registry, arrival, attribution)
        delay = 0.25
        while True:
            record = build(arrival, attribution, credited.staff, datetime.now(UTC), credited.flags)
            try:
                await self._recorder.record(JOINS, record)
            except PermanentError as error:
                if attribution.method == attributions.ERROR:
                    log.error("join %s is no valid record and stays in the outbox: %s", arrival["join_id"], error)
                    return
                log.error("join %s: its attribution makes no valid record (%s)", arrival["join_id"], error)
                attribution, credited = attributions.unknown(waiting(arrival), attributions.ERROR), Credited(None)
            except Exception as error:
                self._complain("record", f"joins cannot be recorded just now, and wait: {error}")
                delay = min(delay * 2, BACKOFF_CAP)
                await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            else:
                self._complaints.discard("record")
                await self._tell(record)
                return

    async def _with_earlier(self, arrival: Arrival, attribution: Attribution) -> Attribution:
        """For somebody who was here before, the earlier join is named where it is known."""
        if self._known is None or REJOINED not in arrival["flags"]:
            return attribution
        try:
            async with asyncio.timeout(EARLIER_SECONDS):
                earlier = await self._known.latest(arrival["guild_id"], arrival["user_id"], arrival["timestamp"])
        except TimeoutError:
            return attribution
        if earlier is None:
            return attribution
        return replace(attribution, evidence={**attribution.evidence, "earlier_join_id": earlier.join_id})

    async def _tell(self, record: Record) -> None:
        if self._recorded is None:
            return
        try:
            await self._recorded(record)
        except Exception:
            log.exception("join %s is recorded, but a fault followed", record["join_id"])

    def _complain(self, about: str, sentence: str) -> None:
        if about not in self._complaints:
            log.error(sentence)
        self._complaints.add(about)
