"""The real client against a sandbox Discord, with a recorder in memory."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass

with warnings.catch_warnings():
    # discord.py imports audioop, which warns on Python 3.11 and 3.12; warnings are errors in tests.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
import pytest
from discord.gateway import DiscordWebSocket
from fakes import FakeRecorder

from ops.sandbox import Sandbox
from producer.gateway import Gateway, use_api
from producer.guild_worker import Pace
from producer.guild_workers import GuildWorkers
from producer.registrar import Registrar
from producer.rest import RestInvites

PACE = Pace(recheck=0.4, settle=3.0, retry=5.0, backoff=0.1, quiet=(0.4,), refused=0.5)


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

    async def snapshot(self) -> None:
        """Until the guild's first snapshot is there."""
        async with asyncio.timeout(10):
            while not self.workers.of(str(self.guild_id)).evidence.baseline:
                assert not self.running.done(), self.running
                await asyncio.sleep(0.01)

    def invite(self, code: str, max_uses: int = 0, uses: int = 0) -> None:
        self.sandbox.add_invite(self.guild_id, inviter=self.maria, code=code, max_uses=max_uses, uses=uses)


@pytest.fixture
async def community(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Community]:
    """A community whose invites `maria` (5 uses) and `travis` (0) and vanity `pipvault` (12) are known to the client."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with Sandbox() as sandbox:
        use_api(sandbox.api_url)
        guild = sandbox.add_guild("PipVault", vanity="pipvault")
        sandbox.set_vanity(guild.id, "pipvault", 12)
        maria = sandbox.add_member(guild.id, "maria")
        recorder, client = FakeRecorder(), TestGateway()
        client._connection.guild_ready_timeout = 0.1
        workers = client.workers = GuildWorkers(RestInvites(client), Registrar(recorder), PACE)
        running = asyncio.create_task(client.start(sandbox.token))
        scene = Community(sandbox, guild.id, maria.id, recorder, client, workers, running)
        scene.invite("maria", uses=5)
        scene.invite("travis")
        await scene.snapshot()
        yield scene
        await workers.stop(1.0)
        await client.close()
        await asyncio.gather(running, return_exceptions=True)
