"""A guild in the sandbox Discord, with the producer's client in it and a recorder in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from producer_fakes import FakeRecorder

from joins.chain import Record
from ops.sandbox import Sandbox
from producer.gateway import Gateway
from producer.guild_workers import GuildWorkers
from producer.known_joins import KnownJoins
from producer.looking import Pace

PACE = Pace(audit=0.2, recheck=0.4, settle=3.0, retry=5.0, backoff=0.1, quiet=(0.4,), refused=0.5)


class TestGateway(Gateway):
    """Without discord.py's pauses of 5 s between identifies and 2 s before it calls itself ready."""

    __test__ = False

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """No pause."""


@dataclass
class Community:
    """A guild in the sandbox, the producer's client in it, and what was recorded."""

    sandbox: Sandbox
    guild_id: int
    maria: int
    recorder: FakeRecorder
    client: Gateway
    workers: GuildWorkers
    running: asyncio.Task[None]
    known: KnownJoins
    recorded: list[Callable[[Record], Awaitable[None]]] = field(default_factory=list)

    async def tell(self, record: Record) -> None:
        """Calls what `recorded` holds, as the registrar does with each record."""
        for told in self.recorded:
            await told(record)

    async def snapshot(self) -> None:
        """Until the guild's first snapshot is there."""
        async with asyncio.timeout(10):
            while not self.workers.of(str(self.guild_id)).evidence.baseline:
                assert not self.running.done(), self.running
                await asyncio.sleep(0.01)

    async def until(self, holds: Callable[[], object], seconds: float = 10.0) -> None:
        """Until something holds."""
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.01)

    def invite(self, code: str, max_uses: int = 0, uses: int = 0) -> None:
        self.sandbox.add_invite(self.guild_id, inviter=self.maria, code=code, max_uses=max_uses, uses=uses)
