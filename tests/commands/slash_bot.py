"""The real discord.py client with the commands installed, against the sandbox Discord."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import discord
from command_logs import GUILD, Logs
from discord import app_commands

import commands
from commands import GuildState, InviteCount, InviteCounts, Services, SinkState, VanityCount
from joins.chain import Record
from joins.redis_url import Client
from ops.sandbox import Reply, Sandbox
from producer.kept_proposals import KeptProposals


@dataclass
class Scene:
    """A guild with an owner and a member of staff, and the bot in it."""

    sandbox: Sandbox
    logs: Logs
    tree: app_commands.CommandTree[Any]
    boss: int
    helper: int
    counts: InviteCounts | Exception = field(default_factory=lambda: InviteCounts({}))
    changes: list[Record] = field(default_factory=list)
    delay_s: float = 0.0
    state: GuildState = field(default_factory=GuildState)
    sinks: list[SinkState] | None = None
    lagging: bool = False  # whether the sinks write nothing
    late: list[tuple[str, Record]] = field(default_factory=list)  # what the producer has and the sinks have not

    async def ask(self, name: str, *, by: int | None = None, **options: Any) -> Reply:
        """A command by the owner, or by somebody else."""
        return await self.sandbox.invoke(int(GUILD), by or self.boss, name, options)

    async def record_change(self, change: Record) -> str:
        """Keeps the change, and writes it as the producer and the sinks would."""
        self.changes.append(change)
        if self.lagging:
            return f"{2**41 + len(self.changes)}-0"
        return await self.logs.record_change(change)

    async def invite_counts(self, guild_id: str) -> InviteCounts:
        """What the test says that Discord counts."""
        assert guild_id == GUILD
        await asyncio.sleep(self.delay_s)
        if isinstance(self.counts, Exception):
            raise self.counts
        return self.counts

    async def sink_states(self) -> list[SinkState] | None:
        """What the test says of the sinks."""
        return self.sinks


@contextlib.asynccontextmanager
async def scene(logs: Logs, sandbox: Sandbox, redis: Client) -> AsyncIterator[Scene]:
    """The bot, connected and with its commands registered."""
    guild = sandbox.add_guild("PipVault", owner="boss", guild_id=int(GUILD))
    helper = sandbox.add_member(guild.id, "helper", permissions="MANAGE_GUILD")
    client = discord.Client(intents=discord.Intents.default(), allowed_mentions=discord.AllowedMentions.none())
    client._connection.guild_ready_timeout = 0.1
    tree: app_commands.CommandTree[Any] = app_commands.CommandTree(client)
    made = Scene(sandbox, logs, tree, guild.owner_id, helper.id)
    services = Services(
        logs.folder,
        made.record_change,
        made.invite_counts,
        guild_state=lambda guild_id: made.state,
        sink_states=made.sink_states,
        recent_changes=lambda: made.late,
        proposals=KeptProposals(redis),
    )
    commands.install(tree, services)
    running = asyncio.create_task(client.start(sandbox.token))
    try:
        await sandbox.wait_connected()
        await client.wait_until_ready()
        await tree.sync()
        yield made
    finally:
        await client.close()
        await asyncio.gather(running, return_exceptions=True)


def counts(vanity: tuple[str, int] | None = None, **uses: int) -> InviteCounts:
    """Discord's counts by code."""
    invites = {code: InviteCount(number, "1", "inviter") for code, number in uses.items()}
    return InviteCounts(invites, VanityCount(*vanity) if vanity else None)
