"""Many guilds are reconciled side by side: so many at once and no more, each by itself, none twice at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import fakeredis
import pytest
from producer_fakes import QUICK, FakeInvites, FakeRecorder, NoSearch, failed

from producer import reconciling
from producer.guild_workers import GuildWorkers
from producer.known_joins import KnownJoins
from producer.listened import Listened
from producer.presence import Presence
from producer.reconciling import AT_ONCE, Reconciling
from producer.registrar import Registrar

GUILDS = 5 * AT_ONCE + 3


class SlowLists:
    """Each guild has one member, who joined meanwhile; a list is given when the test lets it."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.under_way: Counter[str] = Counter()
        self.most = 0
        self.open = asyncio.Event()
        self.faults: dict[str, list[Exception]] = {}

    async def everybody(self, guild_id: str) -> AsyncIterator[Mapping[str, Any]]:
        self.asked[guild_id] += 1
        self.under_way[guild_id] += 1
        self.most = max(self.most, self.under_way.total())
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            if self.faults.get(guild_id):
                raise self.faults[guild_id].pop()
            joined_at = datetime.now(UTC).isoformat()
            yield {"user": {"id": f"9{guild_id}", "username": f"m{guild_id}"}, "joined_at": joined_at, "roles": []}
        finally:
            self.under_way[guild_id] -= 1

    async def one(self, guild_id: str, user_id: str) -> Mapping[str, Any] | None:
        raise AssertionError("nobody is asked for alone without member search")


class Guilds:
    """A producer's reconciling over slow lists; `seen` is what became of each guild."""

    def __init__(self) -> None:
        self.lists, self.recorder, known = SlowLists(), FakeRecorder(), KnownJoins()
        listened = Listened(fakeredis.FakeRedis())
        listened.load()
        self.workers = GuildWorkers(FakeInvites(a=5), Registrar(self.recorder, known), QUICK)
        self.workers.born_offline = True
        self.reconciling = Reconciling(self.workers, self.lists, NoSearch(), known, listened)
        self.seen: dict[str, Presence] = {}
        self.task = asyncio.create_task(self.reconciling.run())

    def available(self, guild_id: str) -> Presence:
        self.seen[guild_id] = Presence(guild_id, f"guild {guild_id}", "1", None, 1, False)
        assert self.reconciling.available(self.seen[guild_id])
        return self.seen[guild_id]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.005)

    async def all_reconciled(self) -> None:
        await self.until(lambda: all(presence.reconciled for presence in self.seen.values()))

    async def settled(self) -> None:
        """Whatever can go on without the lists has gone on."""
        await asyncio.sleep(0.1)


@pytest.fixture
async def guilds() -> AsyncIterator[Guilds]:
    made = Guilds()
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)
    await made.workers.stop(1.0)


async def test_so_many_guilds_are_under_way_at_once_and_never_more_and_all_are_reconciled(guilds: Guilds) -> None:
    for number in range(GUILDS):
        guilds.available(str(1000 + number))
    await guilds.settled()
    assert guilds.lists.under_way.total() == AT_ONCE
    guilds.lists.open.set()
    await guilds.all_reconciled()
    assert guilds.lists.most == AT_ONCE
    assert set(guilds.lists.asked.values()) == {1}, "each once"
    records = await guilds.recorder.wait_for(GUILDS)
    assert {record["guild_id"] for record in records} == guilds.seen.keys()


async def test_a_guild_that_is_there_anew_waits_for_its_own_and_holds_up_no_other(guilds: Guilds) -> None:
    old = guilds.available("1000")
    await guilds.until(lambda: guilds.lists.under_way["1000"])
    for _ in range(2):  # twice, so that the one between is neither here nor reconciled
        guilds.reconciling.gone("1000")
        new = guilds.available("1000")
    guilds.available("1001")
    await guilds.until(lambda: guilds.lists.under_way["1001"])
    await guilds.settled()
    assert guilds.lists.asked["1000"] == 1
    guilds.lists.open.set()
    await guilds.all_reconciled()
    assert (old.reconciled, new.reconciled, guilds.lists.asked["1000"]) == (False, True, 2)
    assert len(await guilds.recorder.wait_for(2)) == 2


@pytest.mark.parametrize("fault", [failed(), RuntimeError("a fault of this program")], ids=["discord", "ours"])
async def test_a_fault_in_some_stops_none_of_the_others_and_they_are_tried_again(
    guilds: Guilds, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(reconciling, "RETRY", 0.02)
    guilds.lists.open.set()
    for number in range(GUILDS):
        guild_id = str(1000 + number)
        if number < AT_ONCE + 1:  # more than there are at work
            guilds.lists.faults[guild_id] = [fault, fault]
        guilds.available(guild_id)
    await guilds.all_reconciled()
    assert [guilds.lists.asked[str(1000 + number)] for number in (0, AT_ONCE, AT_ONCE + 1, GUILDS - 1)] == [3, 3, 1, 1]
    assert len(await guilds.recorder.wait_for(GUILDS)) == GUILDS


async def test_a_guild_that_is_gone_when_its_turn_comes_is_not_asked_for(guilds: Guilds) -> None:
    for number in range(AT_ONCE):
        guilds.available(str(1000 + number))
    gone = guilds.available("2000")
    guilds.reconciling.gone("2000")
    del guilds.seen["2000"]
    guilds.lists.open.set()
    await guilds.all_reconciled()
    await guilds.settled()
    assert (gone.reconciled, guilds.lists.asked["2000"]) == (False, 0)


async def test_cancelling_ends_every_guild_that_is_under_way(guilds: Guilds) -> None:
    for number in range(GUILDS):
        guilds.available(str(1000 + number))
    await guilds.until(lambda: guilds.lists.under_way.total() == AT_ONCE)
    guilds.task.cancel()
    await asyncio.wait([guilds.task], timeout=5)
    assert guilds.task.cancelled()
    assert guilds.lists.under_way.total() == 0
    guilds.lists.open.set()
    await guilds.settled()
    assert guilds.lists.asked.total() == AT_ONCE
