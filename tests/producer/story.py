"""A guild in the sandbox Discord with the whole producer in it but for its logs: what is recorded stays in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import fakeredis
from community import TestGateway
from producer_fakes import FakeRecorder

from joins.chain import Record
from joins.records import EXACT, timestamp
from ops.sandbox import Sandbox
from ops.sandbox.models import Join
from producer.bot_adders import BotAdders
from producer.confirmation import Confirmation, ConfirmingPace
from producer.evidence import Evidence
from producer.gateway import use_api
from producer.guild_workers import GuildWorkers
from producer.known_joins import KnownJoins
from producer.leaves import Leaves
from producer.listened import Listened
from producer.looking import Pace
from producer.member_list import MemberList
from producer.member_search import MemberSearch
from producer.reconciling import Reconciling
from producer.registrar import Registrar
from producer.rest import RestInvites
from producer.unconfirmed import UnconfirmedStore

PACE = Pace(hold=0.04, audit=0.1, recheck=0.15, settle=1.5, retry=0.8, backoff=0.1, quiet=(0.2,), refused=0.2)
CONFIRMING = ConfirmingPace(ages=(0.15, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0), gather=0.03, closed=0.1, retry=0.1)
ON, INDEXING, OFF, REFUSED = "on", "indexing", "off", "refused"
INDEX_DELAY_MS = 200


class Story:
    """`search`: on, indexing (until the joins are recorded), off (by our setting), or refused by Discord."""

    def __init__(self, sandbox: Sandbox, search: str, pace: Pace = PACE) -> None:
        self.sandbox, self.mode, self._pace = sandbox, search, pace
        use_api(sandbox.api_url)
        sandbox.faults.index_delay_ms = INDEX_DELAY_MS
        sandbox.faults.indexing_retry_after = 0.1
        if search in (INDEXING, REFUSED):
            sandbox.faults.set(member_search=search)
        guild = sandbox.add_guild("PipVault", vanity="pipvault")
        self.guild = guild.id
        sandbox.set_vanity(self.guild, "pipvault", 12)
        self.maria = sandbox.add_member(self.guild, "maria").id
        self.invite("maria", uses=5)
        self.invite("travis")
        self.recorder, self.known, self._redis = FakeRecorder(), KnownJoins(), fakeredis.FakeRedis()
        self._kept: dict[str, Evidence] = {}
        self._tasks: list[asyncio.Task[Any]] = []

    def invite(self, code: str, **more: Any) -> None:
        self.sandbox.add_invite(self.guild, inviter=more.pop("inviter", self.maria), code=code, **more)

    async def join(self, who: str | int, code: str | None = None, **how: Any) -> Join:
        """By a code, or in another way; without any, through Discovery."""
        if code is None and not how:
            how = {"source": "discovery"}
        return await self.sandbox.join(self.guild, who, code=code, **how)

    async def start(self) -> None:
        """Until the guild is reconciled and its invites are known."""
        client = self.client = TestGateway()
        client._connection.guild_ready_timeout = 0.1
        self.search = MemberSearch(client, self.mode != OFF)
        self.confirmation = Confirmation(self.search, self.recorder, UnconfirmedStore(self._redis), CONFIRMING)
        leaves = Leaves(self.recorder, self.known, self.confirmation.left)
        client.leaves, client.adders = leaves, BotAdders(client, wait=0.3)
        listened = Listened(self._redis)
        listened.load()
        now = datetime.now(UTC)
        self.workers = client.workers = GuildWorkers(
            RestInvites(client),
            Registrar(self.recorder, self.known, self.confirmation.recorded if self.mode != OFF else None),
            self._pace,
            evidence={guild: evidence.restarted(now, []) for guild, evidence in self._kept.items()},
            keep=self._kept.__setitem__,
            adders=client.adders,
        )
        self.workers.born_offline = True
        reconciling = Reconciling(self.workers, MemberList(client), self.search, self.known, listened)
        client.reconciling = reconciling
        running = asyncio.create_task(client.start(self.sandbox.token))
        self._tasks = [running, *map(asyncio.create_task, (leaves.run(), self.confirmation.run(), reconciling.run()))]
        await self.until(lambda: self._is_ready(reconciling))

    async def stop(self) -> None:
        """As SIGTERM does."""
        await self.workers.stop(1.0)
        await self.client.close()
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.confirmation.stop()
        await self.sandbox.wait_disconnected()

    async def until(self, holds: Any, seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.01)

    async def recorded(self) -> None:
        """Until every join has its record."""
        await self.until(lambda: len(self.recorder.records) >= len(self.sandbox.ledger))

    async def judged(self, **expected: str | None) -> None:
        """Every join is recorded; by the counts alone each of these members came by that code, or it is not known."""
        await self.recorded()
        for name, code in expected.items():
            record = await self.recorder.of(name)
            found = record["invite_code"]
            if RECONCILED_BY_SEARCH not in record["method"]:
                assert found == code, (name, record)

    async def end(self) -> None:
        """Nothing is dropped, no named code is wrong, and with member search each join has its true code."""
        await self.recorded()
        assert len(self.recorder.records) == len(self.sandbox.ledger), "once each"
        if self.mode == INDEXING:
            self.sandbox.faults.member_search = "on"
        if self.mode in (ON, INDEXING):
            await self.until(lambda: all(self._is_true(join) for join in self.sandbox.ledger))
        else:
            assert not [c for c in self.recorder.changes.values() if c["change"].startswith("attribution_")]
        for join in self.sandbox.ledger:
            record = self._effective(join)
            if record["confidence"] == EXACT:
                assert self._is_true(join), (join, record)
            else:
                assert record["invite_code"] is None

    def _is_true(self, join: Join) -> bool:
        record = self._effective(join)
        code = None if join.bot else join.code
        return (record["confidence"], record["invite_code"], record["source"]) == (EXACT, code, join.source)

    def _effective(self, join: Join) -> Record:
        """The record of a join, overridden by the latest change about it."""
        at, user_id = timestamp(join.joined_at), str(join.user_id)
        records = self.recorder.records.values()
        (record,) = (one for one in records if (one["user_id"], one["timestamp"]) == (user_id, at))
        changes = [c for c in self.recorder.changes.values() if c["join_id"] == record["join_id"]]
        attributions = [c for c in changes if c["change"].startswith("attribution_")]
        return attributions[-1] if attributions else record

    def _is_ready(self, reconciling: Reconciling) -> bool:
        assert not self._tasks[0].done(), self._tasks[0]
        presence = reconciling._present.get(str(self.guild))
        baseline = self.workers.of(str(self.guild)).evidence.baseline
        return presence is not None and presence.reconciled and baseline is not None


RECONCILED_BY_SEARCH = "member_search"
