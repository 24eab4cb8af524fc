"""Brings judged joins to the recorder: finds the staff member of each code, builds the record, and does not give up.

An arrival is durable before this begins, so a process that is killed here finds it again at its next start.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from joins.errors import PermanentError
from joins.records import JOINS
from producer import attribution as attributions
from producer.attribution import Attribution
from producer.join_record import build
from producer.payloads import Arrival, waiting
from producer.ports import Recorder
from producer.staff_registry import Staff

log = logging.getLogger("producer")

BACKOFF_CAP = 10.0  # seconds


class Registrar:
    """Shared by all guilds."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._complaints: set[str] = set()

    async def arrived(self, arrival: Arrival) -> None:
        """Makes the raw arrival durable. A fault is said once; the join is recorded all the same."""
        try:
            await self._recorder.arrived(arrival)
            self._complaints.discard("arrived")
        except Exception as error:
            self._complain("arrived", f"an arrival could not be made durable ahead of its record: {error}")

    async def record(self, joins: Sequence[tuple[Arrival, Attribution]]) -> None:
        """Records the joins in their order; returns when every one is durable."""
        staff = [await self._staff(arrival["guild_id"], attribution) for arrival, attribution in joins]
        # The tasks start in this order, so the sequencer takes them in it, and may make many durable with one fsync.
        await asyncio.gather(*(self._record(*join, who) for join, who in zip(joins, staff, strict=True)))

    async def _record(self, arrival: Arrival, attribution: Attribution, staff: Staff | None) -> None:
        delay = 0.25
        while True:
            record = build(arrival, attribution, staff, datetime.now(UTC))
            try:
                await self._recorder.record(JOINS, record)
            except PermanentError as error:
                if attribution.method == attributions.ERROR:
                    log.error("join %s is no valid record and stays in the outbox: %s", arrival["join_id"], error)
                    return
                log.error("join %s: its attribution makes no valid record (%s)", arrival["join_id"], error)
                attribution, staff = attributions.unknown(waiting(arrival), attributions.ERROR), None
            except Exception as error:
                self._complain("record", f"joins cannot be recorded just now, and wait: {error}")
                delay = min(delay * 2, BACKOFF_CAP)
                await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            else:
                self._complaints.discard("record")
                return

    async def _staff(self, guild_id: str, attribution: Attribution) -> Staff | None:
        """Whom the code stands for: the assignment first, the inviter second."""
        if attribution.invite_code is None:
            return None
        staff = await self._recorder.staff_of_code(guild_id, attribution.invite_code)
        if staff or attribution.inviter_id is None:
            return staff
        name = await self._recorder.staff_name(guild_id, attribution.inviter_id)
        return Staff(attribution.inviter_id, name or attribution.inviter_name)

    def _complain(self, about: str, sentence: str) -> None:
        if about not in self._complaints:
            log.error(sentence)
        self._complaints.add(about)
