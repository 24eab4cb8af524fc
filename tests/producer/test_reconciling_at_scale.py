"""A guild of 100,000 is read for the few who joined meanwhile, in flat memory and without holding up the loop."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from producer_fakes import GUILD, QUICK, FakeInvites, FakeRecorder, NoSearch

from joins.redis_url import Client
from producer.guild_workers import GuildWorkers
from producer.known_joins import KnownJoins
from producer.listened import Listened
from producer.presence import Presence
from producer.reconciling import Reconciling
from producer.registrar import Registrar

MEMBERS = 100_000
MEMORY = 4 << 20  # bytes at the peak, above what there was before
BLOCKED = 0.25  # seconds that the loop may be held up


class Crowd:
    """Everybody joined long ago, but every 20,000th member joined meanwhile."""

    async def everybody(self, guild_id: str) -> AsyncIterator[Mapping[str, Any]]:
        now = datetime.now(UTC)
        long_ago = (now - timedelta(days=400)).isoformat()
        for number in range(1, MEMBERS + 1):
            if number % 1000 == 0:
                await asyncio.sleep(0)  # a page
            joined_at = now.isoformat() if number % 20_000 == 0 else long_ago
            yield {"user": {"id": str(number), "username": f"m{number}"}, "joined_at": joined_at, "roles": []}

    async def one(self, guild_id: str, user_id: str) -> Mapping[str, Any] | None:
        raise AssertionError("nobody is asked for alone without member search")


async def test_a_large_guild_is_read_in_flat_memory_and_the_few_are_found(redis_client: Client) -> None:
    recorder, known, listened = FakeRecorder(), KnownJoins(), Listened(redis_client)
    listened.load()
    workers = GuildWorkers(FakeInvites(a=5), Registrar(recorder, known), QUICK)
    workers.born_offline = True
    reconciling = Reconciling(workers, Crowd(), NoSearch(), known, listened)
    task = asyncio.create_task(reconciling.run())
    longest = 0.0
    tracemalloc.start()
    try:
        reconciling.available(Presence(GUILD, "PipVault", "1", None, MEMBERS, False))
        before = tracemalloc.get_traced_memory()[0]
        async with asyncio.timeout(60):
            while len(recorder.records) < 5:
                began = time.perf_counter()
                await asyncio.sleep(0)
                longest = max(longest, time.perf_counter() - began)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
        task.cancel()
        await workers.stop(1.0)
    assert {record["user_id"] for record in recorder.records.values()} == {
        str(n) for n in range(20_000, 100_001, 20_000)
    }
    assert peak < MEMORY
    assert longest < BLOCKED
