"""Guild routes: guild, channels, roles, members, invites, vanity, audit log.

Sources: https://discord.com/developers/docs/resources/guild, .../resources/invite, .../resources/audit-log
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import payloads, permissions
from .gateway import AppSettings
from .models import Guild
from .rest import ApiError, invalid_form, missing_access, missing_permissions, reply
from .world import World


def find_guild(world: World, request: web.Request, needs: int = 0) -> Guild:
    """The guild in the path; 403 when the bot is not in it or lacks one of the permissions `needs`."""
    text = request.match_info["guild_id"]
    guild = world.guilds.get(int(text)) if text.isdigit() else None
    if guild is None:
        raise ApiError(404, 10004, "Unknown Guild")
    if world.bot.id not in guild.members or guild.unavailable:
        raise missing_access()
    if needs and guild.permissions_of(world.bot.id) & needs != needs:
        raise missing_permissions()
    return guild


def number(request: web.Request, name: str, default: int, low: int, high: int) -> int:
    """A whole number from the query, within limits."""
    text = request.query.get(name, str(default))
    if not text.isdigit() or not low <= int(text) <= high:
        raise invalid_form(**{name: f"int value should be between {low} and {high}."})
    return int(text)


class GuildRoutes:
    """`/guilds/{guild_id}/...`"""

    def __init__(self, world: World, settings: AppSettings) -> None:
        self._world = world
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """The routes, paths relative to the API prefix."""
        base = "/guilds/{guild_id}"
        return [
            web.get(base, self.guild),
            web.get(f"{base}/channels", self.channels),
            web.get(f"{base}/roles", self.roles),
            web.get(f"{base}/members", self.members),
            web.get(f"{base}/members/{{user_id}}", self.member),
            web.get(f"{base}/invites", self.invites),
            web.get(f"{base}/vanity-url", self.vanity),
            web.get(f"{base}/audit-logs", self.audit_logs),
        ]

    async def guild(self, request: web.Request) -> web.Response:
        """Get Guild."""
        guild = find_guild(self._world, request)
        data = payloads.guild(guild)
        if request.query.get("with_counts", "").lower() in ("true", "1"):
            data |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
        return reply(data)

    async def channels(self, request: web.Request) -> web.Response:
        """Get Guild Channels."""
        guild = find_guild(self._world, request)
        return reply([payloads.channel(c, guild.id) for c in guild.channels.values()])

    async def roles(self, request: web.Request) -> web.Response:
        """Get Guild Roles."""
        guild = find_guild(self._world, request)
        return reply([payloads.role(r) for r in guild.roles.values()])

    async def members(self, request: web.Request) -> web.Response:
        """List Guild Members, by rising user id. Needs the members intent in the application's settings."""
        guild = find_guild(self._world, request)
        if not self._settings.members_intent:
            raise missing_access()
        limit = number(request, "limit", 1, 1, 1000)
        after = number(request, "after", 0, 0, 1 << 63)
        ids = sorted(user_id for user_id in guild.members if user_id > after)[:limit]
        return reply([payloads.member(guild.members[user_id]) for user_id in ids])

    async def member(self, request: web.Request) -> web.Response:
        """Get Guild Member."""
        guild = find_guild(self._world, request)
        text = request.match_info["user_id"]
        member = guild.members.get(int(text)) if text.isdigit() else None
        if member is None:
            known = text.isdigit() and int(text) in self._world.users
            raise ApiError(404, 10007, "Unknown Member") if known else ApiError(404, 10013, "Unknown User")
        return reply(payloads.member(member))

    async def invites(self, request: web.Request) -> web.Response:
        """Get Guild Invites: with metadata for MANAGE_GUILD, without for VIEW_AUDIT_LOG, else 403.

        What the list without metadata looks like: https://github.com/discord/discord-api-docs/issues/7784
        """
        guild = find_guild(self._world, request)
        bits = guild.permissions_of(self._world.bot.id)
        metadata = bool(bits & permissions.MANAGE_GUILD)
        if not metadata and not bits & permissions.VIEW_AUDIT_LOG:
            raise missing_permissions()
        self._world.purge_invites(guild)
        now = self._world.now()
        shown = [i for i in guild.invites.values() if i.listed(now)]
        return reply([payloads.invite(self._world, guild, i, metadata=metadata) for i in shown])

    async def vanity(self, request: web.Request) -> web.Response:
        """Get Guild Vanity URL (MANAGE_GUILD)."""
        guild = find_guild(self._world, request, permissions.MANAGE_GUILD)
        return reply({"code": guild.vanity.code, "uses": guild.vanity.shown_uses(self._world.now())})

    async def audit_logs(self, request: web.Request) -> web.Response:
        """Get Guild Audit Log (VIEW_AUDIT_LOG); newest first, oldest first with `after`."""
        guild = find_guild(self._world, request, permissions.VIEW_AUDIT_LOG)
        limit = number(request, "limit", 50, 1, 1000)
        query = request.query
        before, after = int(query.get("before", 1 << 63)), int(query.get("after", 0))
        entries = [e for e in guild.audit_log if after < e.id < before]
        if "action_type" in query:
            entries = [e for e in entries if e.action_type == int(query["action_type"])]
        if "user_id" in query:
            entries = [e for e in entries if e.user_id == int(query["user_id"])]
        if "after" not in query:
            entries.reverse()
        entries = entries[:limit]
        ids = {i for e in entries for i in (e.user_id, e.target_id) if i in self._world.users}
        empty: dict[str, list[Any]] = {
            name: []
            for name in (
                "webhooks",
                "integrations",
                "threads",
                "application_commands",
                "auto_moderation_rules",
                "guild_scheduled_events",
            )
        }
        users = [payloads.user(self._world.users[i]) for i in sorted(ids) if i is not None]
        return reply(empty | {"audit_log_entries": [payloads.audit_entry(e) for e in entries], "users": users})
