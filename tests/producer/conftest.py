"""The real client against a sandbox Discord, with a recorder in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import discord
import pytest
from community import PACE, Community, TestGateway
from confirming_process import Confirming
from discord.gateway import DiscordWebSocket
from producer_fakes import FakeRecorder

from ops.sandbox import Sandbox
from producer.bot_adders import BotAdders
from producer.gateway import use_api
from producer.guild_workers import GuildWorkers
from producer.known_joins import KnownJoins
from producer.leaves import Leaves
from producer.registrar import Registrar
from producer.rest import RestInvites


@pytest.fixture
async def community(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Community]:
    """A community whose invites `maria` (5 uses), `travis` (0) and vanity `pipvault` (12) the client knows."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with Sandbox() as sandbox:
        use_api(sandbox.api_url)
        guild = sandbox.add_guild("PipVault", vanity="pipvault")
        sandbox.set_vanity(guild.id, "pipvault", 12)
        maria = sandbox.add_member(guild.id, "maria")
        recorder, client = FakeRecorder(), TestGateway()
        client._connection.guild_ready_timeout = 0.1
        known = KnownJoins()
        leaves = Leaves(recorder, known)
        client.leaves, client.adders = leaves, BotAdders(client, wait=0.5)
        registrar = Registrar(recorder, known, lambda record: scene.tell(record))
        workers = client.workers = GuildWorkers(RestInvites(client), registrar, PACE, adders=client.adders)
        running, leaving = asyncio.create_task(client.start(sandbox.token)), asyncio.create_task(leaves.run())
        scene = Community(sandbox, guild.id, maria.id, recorder, client, workers, running, known)
        scene.invite("maria", uses=5)
        scene.invite("travis")
        await scene.snapshot()
        yield scene
        await workers.stop(1.0)
        leaving.cancel()
        await client.close()
        await asyncio.gather(running, leaving, return_exceptions=True)


@pytest.fixture
async def confirming(community: Community) -> AsyncIterator[Confirming]:
    made = Confirming(community)
    made.start()
    yield made
    await made.crash()
    await made.now.stop()
