"""Reads a guild's invites over REST, raw: discord.py's own models stumble over null channels (`Guild.invites()`).

Only the guild's list and its vanity code are asked for. `GET /invites/{code}` is never called: a loop of it has
earned bots a day's ban from Cloudflare. Rate limits are discord.py's to wait for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import discord

from joins.errors import FetchFailed
from producer import payloads
from producer.snapshot import Snapshot

# RuntimeError: the library's session is closed, or not open yet.
FAILURES = (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError, RuntimeError)


class RestInvites:
    """The invites of the guilds that `client` is in."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def fetch(self, guild_id: str) -> Snapshot:
        """All invites and the vanity code now. Raises FetchFailed."""
        taken_at = datetime.now(UTC)
        guild = self._client.get_guild(int(guild_id))
        permissions = guild.me.guild_permissions if guild and guild.me else discord.Permissions.none()
        http = self._client.http
        try:
            invites: list[Any] = list(await http.invites_from(int(guild_id)))
            vanity = await self._vanity(int(guild_id)) if guild and "VANITY_URL" in guild.features else None
        except discord.Forbidden:
            return Snapshot(taken_at, permitted=False)
        except FAILURES as error:
            raise FetchFailed(f"the invites of guild {guild_id} could not be read: {_said(error)}") from error
        found = payloads.snapshot(
            invites,
            vanity,
            taken_at=taken_at,
            may_manage=permissions.manage_guild,
            watched=permissions.manage_channels
            and all(_hears_of(guild, one) for one in invites if one.get("max_uses")),
        )
        return replace(found, audited=permissions.view_audit_log)

    async def _vanity(self, guild_id: int) -> Mapping[str, Any] | None:
        try:
            answer: Any = await self._client.http.get_vanity_code(guild_id)
        except (discord.Forbidden, discord.NotFound):
            return None
        return answer if isinstance(answer, dict) else None


def _hears_of(guild: discord.Guild | None, invite: Mapping[str, Any]) -> bool:
    """Whether INVITE_DELETE of this invite reaches us: its channel may withhold what the server grants."""
    channel = guild.get_channel(int((invite.get("channel") or {}).get("id") or 0)) if guild else None
    return guild is not None and channel is not None and channel.permissions_for(guild.me).manage_channels


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
