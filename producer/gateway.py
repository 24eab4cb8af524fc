"""The discord.py client: it hands the raw gateway events on as plain data, and serves the slash commands.

Events are taken from the library's own parsers, a private seam that tests/producer/test_gateway_seam.py guards:
discord.py drops GUILD_MEMBER_ADD for members it has cached and for guilds it does not know yet, and a join must not
be dropped. Events: https://docs.discord.com/developers/events/gateway-events
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import discord
import yarl
from discord.gateway import DiscordWebSocket

from producer import payloads
from producer.bot_adders import BotAdders
from producer.guild_worker import GuildWorker
from producer.guild_workers import GuildWorkers
from producer.leaves import Leaves
from producer.presence import Presence
from producer.reconciling import Reconciling

log = logging.getLogger("producer")

Payload = dict[str, Any]
# A fault in the library's handling of READY leaves it without a session, so that one is not swallowed.
UNGUARDED = ("READY",)


def intents() -> discord.Intents:
    """Guilds, members (privileged), invites, and moderation for the audit log."""
    return discord.Intents(guilds=True, members=True, invites=True, moderation=True)


def use_api(url: str | None) -> None:
    """Sends the library to another Discord (`…/api/v10`); None leaves its own addresses untouched.

    A first session of an auto-sharded client learns the gateway's address from REST; only later ones use the default.
    """
    if url is not None:
        base = yarl.URL(url.rstrip("/"))
        discord.http.Route.BASE = str(base)
        scheme = "wss" if base.scheme == "https" else "ws"
        DiscordWebSocket.DEFAULT_GATEWAY = base.with_scheme(scheme).with_path("/gateway/")


class Gateway(discord.AutoShardedClient):
    """Reads the gateway. No member, message or presence is kept in memory."""

    def __init__(self, on_login: Callable[[Gateway], Awaitable[None]] | None = None) -> None:
        # This process has no voice, so it needs no warning that the packages for it are missing.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            intents=intents(),
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.tree: discord.app_commands.CommandTree[Gateway] = discord.app_commands.CommandTree(self)
        self.workers: GuildWorkers | None = None
        self.reconciling: Reconciling | None = None
        self.leaves: Leaves | None = None
        self.adders: BotAdders | None = None
        self._on_login = on_login
        self._guard()
        self._tap("READY", self._take_ready)
        self._tap("RESUMED", self._take_resumed)
        self._tap("GUILD_CREATE", self._take_guild_available)
        self._tap("GUILD_DELETE", self._take_guild_gone)
        self._tap("GUILD_MEMBER_ADD", self._take_member_added)
        self._tap("GUILD_MEMBER_REMOVE", self._take_member_removed)
        self._tap("INVITE_CREATE", self._take_invite_created)
        self._tap("INVITE_DELETE", self._take_invite_deleted)
        self._tap("CHANNEL_DELETE", self._take_channel_deleted)
        self._tap("GUILD_AUDIT_LOG_ENTRY_CREATE", self._take_audited)
        self._tap("GUILD_ROLE_UPDATE", self._take_role_updated)
        self._tap("GUILD_ROLE_DELETE", self._take_role_updated)
        self._tap("GUILD_MEMBER_UPDATE", self._take_member_updated)
        self._tap("CHANNEL_UPDATE", self._take_channel_updated)

    async def setup_hook(self) -> None:
        """Called by the library once it is logged in, before the gateway."""
        if self._on_login:
            await self._on_login(self)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """The library lost a shard's connection and will come back by itself."""
        log.warning("the connection to Discord is lost (shard %s); coming back", shard_id)
        for worker in self._workers_of(shard_id):
            worker.offline()
            if self.reconciling:
                self.reconciling.away(worker.guild_id)

    def _guard(self) -> None:
        """A fault in one of the library's parsers is logged; unguarded it would end the connection."""
        parsers = self._connection.parsers
        for event, parse in list(parsers.items()):
            if event not in UNGUARDED:
                parsers[event] = _guarded(event, parse)

    def _tap(self, event: str, handle: Callable[[Payload], None]) -> None:
        """Runs `handle` after the library's own parser of `event`, whatever that one does with it."""
        parse = self._connection.parsers[event]
        ours = _guarded(event, handle)

        def both(data: Payload) -> None:
            try:
                parse(data)
            finally:
                ours(data)

        self._connection.parsers[event] = both

    def _worker(self, data: Payload, key: str = "guild_id") -> GuildWorker:
        assert self.workers is not None
        return self.workers.of(str(data[key]))

    def _workers_of(self, shard_id: int) -> list[GuildWorker]:
        count = self.shard_count or 1
        workers = self.workers.known() if self.workers else ()
        return [worker for worker in workers if (int(worker.guild_id) >> 22) % count == shard_id]

    def _take_ready(self, data: Payload) -> None:
        shard_id = (data.get("shard") or [0])[0]
        name, guilds = data["user"]["username"], len(data["guilds"])
        log.info("connected to Discord as %s, in %d guilds (shard %s)", name, guilds, shard_id)
        if self.reconciling:
            self.reconciling.new_session()
        for worker in self._workers_of(shard_id):
            worker.resync(missed=True)
            if self.reconciling:
                worker.offline()  # until its own event comes, and everybody is known
                self.reconciling.gone(worker.guild_id)
            else:
                worker.online()

    def _take_resumed(self, data: Payload) -> None:
        shard_id = int(data.get("__shard_id__") or 0)
        log.info("connected to Discord again, nothing missed (shard %s)", shard_id)
        for worker in self._workers_of(shard_id):
            worker.resync(missed=False)
            if self.reconciling:
                self.reconciling.back(worker.guild_id)
            else:
                worker.online()

    def _take_guild_available(self, data: Payload) -> None:
        if data.get("unavailable"):
            return
        worker = self._worker(data, "id")
        if self.reconciling is None:
            worker.resync(missed=True)
            worker.online()
        elif self.reconciling.available(Presence.of(data, str(self.user.id if self.user else ""))):
            worker.offline()
            worker.resync(missed=True)

    def _take_guild_gone(self, data: Payload) -> None:
        assert self.workers is not None
        if self.reconciling:
            self.reconciling.gone(str(data["id"]))
        if data.get("unavailable"):
            self._worker(data, "id").offline()
        else:
            self.workers.forget(str(data["id"]))

    def _take_member_added(self, data: Payload) -> None:
        guild = self.get_guild(int(data["guild_id"]))
        if self.leaves:
            self.leaves.came(str(data["guild_id"]), str(data["user"]["id"]))
        self._worker(data).join(payloads.arrival(data, guild.name if guild else None, datetime.now(UTC)))

    def _take_member_removed(self, data: Payload) -> None:
        user_id = str(data["user"]["id"])
        ourselves = self.user is not None and user_id == str(self.user.id)
        if self.leaves and self.get_guild(int(data["guild_id"])) and not ourselves:
            self.leaves.left(str(data["guild_id"]), user_id, datetime.now(UTC))

    def _take_invite_created(self, data: Payload) -> None:
        self._worker(data).invite_created(payloads.invite(data))

    def _take_invite_deleted(self, data: Payload) -> None:
        self._worker(data).invite_deleted(data["code"])

    def _take_channel_deleted(self, data: Payload) -> None:
        self._worker(data).channel_deleted(str(data["id"]))

    def _take_audited(self, data: Payload) -> None:
        for code in payloads.deleted_codes(data):
            self._worker(data).invite_deleted(code, by_hand=True)
        if self.adders:
            self.adders.audited(data)

    def _take_role_updated(self, data: Payload) -> None:
        """The library has the new permissions by now; what the bot may do can have changed."""
        guild = self.get_guild(int(data["guild_id"]))
        if guild and guild.me and guild.me.guild_permissions.manage_guild:
            self._worker(data).permitted()
        if guild and guild.me and not guild.me.guild_permissions.manage_channels:
            self._worker(data).unwatched()

    def _take_channel_updated(self, data: Payload) -> None:
        """The channel may withhold now what the server grants; granted again, it does not undo what went unheard."""
        guild = self.get_guild(int(data["guild_id"]))
        channel = guild.get_channel(int(data["id"])) if guild else None
        if guild and guild.me and channel and not channel.permissions_for(guild.me).manage_channels:
            self._worker(data).unwatched()

    def _take_member_updated(self, data: Payload) -> None:
        if self.user and data["user"]["id"] == str(self.user.id):
            self._take_role_updated(data)


def _guarded(event: str, handle: Callable[[Payload], None]) -> Callable[[Payload], None]:
    def guarded(data: Payload) -> None:
        try:
            handle(data)
        except Exception:
            log.exception("a fault in handling %s", event)

    return guarded
