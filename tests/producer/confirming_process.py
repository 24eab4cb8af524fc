"""Confirmation as the producer runs it, for tests: stopped and started at will."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import fakeredis
from community import Community

from joins import keys
from joins.chain import Record
from producer.confirmation import Confirmation, ConfirmingPace
from producer.member_search import MemberSearch
from producer.unconfirmed import UnconfirmedStore

PACE = ConfirmingPace(ages=(0.3, 0.6, 0.9, 1.5, 3.0, 6.0), gather=0.05, closed=0.2, retry=0.1)


class Confirming:
    """Confirmation as the producer runs it, to be stopped and started again."""

    def __init__(self, community: Community) -> None:
        self.server = fakeredis.FakeServer()
        self.community, self.redis = community, fakeredis.FakeRedis(server=self.server)
        self.search = MemberSearch(community.client)
        self._tasks: list[asyncio.Task[None]] = []

    def start(
        self, pace: ConfirmingPace = PACE, joins: Iterable[Record] = (), changes: Iterable[Record] = ()
    ) -> Confirmation:
        self.now = Confirmation(self.search, self.community.recorder, UnconfirmedStore(self.redis), pace)
        self.community.recorded[:] = [self.now.recorded]
        self._tasks.append(asyncio.create_task(self.now.run(joins, changes)))
        return self.now

    async def crash(self) -> None:
        """It ends without a last word."""
        self.community.recorded.clear()
        for task in [*self._tasks, *self.now._working.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kept(self) -> set[str]:
        return {join_id.decode() for join_id in self.redis.hkeys(keys.UNCONFIRMED)}

    async def settled(self) -> None:
        await self.community.until(lambda: not self.now.waiting and not self.kept())


def asked(community: Community) -> int:
    return sum(request.path.endswith("/members-search") for request in community.sandbox.requests)
