"""What is learnt about joins once they are recorded: confirmed by member search, and ended by a leave."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from joins.chain import Record
from joins.records import CHANGES, JOINS
from joins.redis_url import Client
from producer.confirmation import Confirmation
from producer.known_joins import REMEMBERED, KnownJoins
from producer.leaves import Leaves
from producer.member_search import MemberSearch
from producer.recorder import Recorder
from producer.unconfirmed import UnconfirmedStore

STOP_SECONDS = 0.4  # for the leaves that are yet to be recorded; a part of the 10 s after SIGTERM


class Following:
    """One for all guilds. Without member search there is no `confirmation`."""

    def __init__(self, redis: Client, recorder: Recorder, known: KnownJoins, search: MemberSearch | None) -> None:
        self._recorder, self._known = recorder, known
        self.confirmation = Confirmation(search, recorder, UnconfirmedStore(redis)) if search else None
        self.leaves = Leaves(recorder, known, self.confirmation.left if self.confirmation else None)
        self._tasks: list[asyncio.Task[None]] = []

    async def recorded(self, record: Record) -> None:
        """A join was recorded."""
        if self.confirmation:
            await self.confirmation.recorded(record)

    def deciding(self, change: Record) -> contextlib.AbstractAsyncContextManager[None]:
        """Within this a person's change is recorded."""
        if self.confirmation and change["change"].startswith("attribution_"):
            return self.confirmation.deciding(change["join_id"])
        return contextlib.nullcontext()

    def start(self) -> None:
        """Takes over what the last start left, and begins."""
        # The newest, as many as are remembered: after a long outage the outbox holds more than memory should.
        joins = deque((record for _, record in self._recorder.recent(JOINS)), REMEMBERED)
        changes = deque((record for _, record in self._recorder.recent(CHANGES)), REMEMBERED)
        for join in (*joins, *self._recorder.unresolved()):
            self._known.learn(join)
        self._tasks = [asyncio.create_task(self.leaves.run(), name="leaves")]
        if self.confirmation:
            working = self.confirmation.run(joins, changes)
            self._tasks.append(asyncio.create_task(working, name="confirmation"))

    async def stop(self) -> None:
        """Records the leaves that wait, within a moment; what waits to be confirmed is kept for the next start."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.leaves.finished(), STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.confirmation:
            await self.confirmation.stop()
