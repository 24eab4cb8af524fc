"""The real discord.py client, noting the events it gets."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from typing import Any

with warnings.catch_warnings():
    # discord.py imports audioop, which warns on Python 3.11 and 3.12; warnings are errors in tests.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket

from ops.sandbox import Sandbox


class Bot(discord.AutoShardedClient):
    """The real client, noting the events it gets."""

    def __init__(self, intents: discord.Intents | None = None, **options: Any) -> None:
        if intents is None:
            intents = discord.Intents.default()
            intents.members = True
        super().__init__(intents=intents, allowed_mentions=discord.AllowedMentions.none(), **options)
        # How long discord.py waits for one more GUILD_CREATE before it is ready.
        self._connection.guild_ready_timeout = 0.1
        self.tree = app_commands.CommandTree(self)
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.running: asyncio.Task[None] | None = None
        self.is_up = asyncio.Event()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Without discord.py's pause of 5 s between two identifies."""

    async def next_event(self, name: str) -> Any:
        """The next event of this name; others before it are dropped."""
        async with asyncio.timeout(10):
            while True:
                found, data = await self.events.get()
                if found == name:
                    return data

    def seen(self) -> list[str]:
        """The names of the events that wait to be taken."""
        waiting = [self.events.get_nowait() for _ in range(self.events.qsize())]
        for event in waiting:
            self.events.put_nowait(event)
        return [name for name, _ in waiting]

    def _note(self, name: str, data: Any) -> None:
        self.events.put_nowait((name, data))

    async def on_ready(self) -> None:
        self.is_up.set()

    async def on_member_join(self, member: discord.Member) -> None:
        self._note("join", member)

    async def on_raw_member_remove(self, event: discord.RawMemberRemoveEvent) -> None:
        self._note("leave", event)

    async def on_invite_create(self, invite: discord.Invite) -> None:
        self._note("invite_create", invite)

    async def on_invite_delete(self, invite: discord.Invite) -> None:
        self._note("invite_delete", invite)

    async def on_audit_log_entry_create(self, entry: discord.AuditLogEntry) -> None:
        self._note("audit", entry)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        self._note("channel_delete", channel)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        self._note("guild_join", guild)

    async def on_guild_available(self, guild: discord.Guild) -> None:
        self._note("guild_available", guild)

    async def on_guild_unavailable(self, guild: discord.Guild) -> None:
        self._note("guild_unavailable", guild)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self._note("guild_remove", guild)

    async def on_member_update(self, before: discord.Member, after: discord.Member) -> None:
        self._note("member_update", after)

    async def on_shard_resumed(self, shard_id: int) -> None:
        self._note("resumed", shard_id)

    async def on_shard_ready(self, shard_id: int) -> None:
        self._note("shard_ready", shard_id)


Connect = Callable[..., Any]


def point_at(sandbox: Sandbox, patch: pytest.MonkeyPatch) -> None:
    """Makes discord.py talk to the sandbox, as DISCORD_API_URL does in the producer."""
    patch.setattr(discord.http.Route, "BASE", sandbox.api_url)
    patch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway_url))
