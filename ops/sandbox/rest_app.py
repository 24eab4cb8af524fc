"""Routes about the bot itself: gateway address, own user, application.

Sources: https://discord.com/developers/docs/resources/application, .../resources/user, .../events/gateway
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import payloads
from .gateway import AppSettings, Gateway
from .rest import ApiError, reply
from .world import World


class AppRoutes:
    """`/gateway`, `/users`, `/applications/@me`."""

    def __init__(self, world: World, settings: AppSettings, gateway: Gateway) -> None:
        self._world = world
        self._settings = settings
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        """The routes, paths relative to the API prefix."""
        return [
            web.get("/gateway", self.gateway),
            web.get("/gateway/bot", self.gateway_bot),
            web.get("/users/@me", self.me),
            web.get("/users/@me/guilds", self.my_guilds),
            web.get("/users/{user_id}", self.user),
            web.get("/applications/@me", self.application),
            web.get("/oauth2/applications/@me", self.application),
        ]

    async def gateway(self, _: web.Request) -> web.Response:
        """Get Gateway."""
        return reply({"url": self._gateway.url})

    async def gateway_bot(self, _: web.Request) -> web.Response:
        """Get Gateway Bot."""
        limit = {"total": 1000, "remaining": 999, "reset_after": 86_400_000, "max_concurrency": 1}
        return reply({"url": self._gateway.url, "shards": self._settings.shards, "session_start_limit": limit})

    async def me(self, _: web.Request) -> web.Response:
        """Get Current User."""
        own = {"verified": True, "mfa_enabled": False, "email": None, "locale": "en-US", "flags": 0}
        return reply(payloads.user(self._world.bot) | own)

    async def my_guilds(self, _: web.Request) -> web.Response:
        """Get Current User Guilds."""
        bot = self._world.bot.id
        keys = ("id", "name", "icon", "banner", "features")
        return reply(
            [
                {k: v for k, v in payloads.guild(g).items() if k in keys}
                | {"owner": False, "permissions": str(g.permissions_of(bot))}
                for g in self._world.guilds.values()
                if bot in g.members
            ]
        )

    async def user(self, request: web.Request) -> web.Response:
        """Get User."""
        text = request.match_info["user_id"]
        user = self._world.users.get(int(text)) if text.isdigit() else None
        if user is None:
            raise ApiError(404, 10013, "Unknown User")
        return reply(payloads.user(user))

    async def application(self, _: web.Request) -> web.Response:
        """Get Current Application."""
        bot = self._world.bot
        owner = {"id": "1", "username": "developer", "discriminator": "0", "avatar": None, "global_name": None}
        data: dict[str, Any] = {
            "id": str(bot.id),
            "name": bot.username,
            "icon": None,
            "description": "",
            "summary": "",
            "type": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "0" * 64,
            "flags": self._settings.flags,
            "hook": True,
            "rpc_origins": [],
            "owner": owner,
            "team": None,
            "bot": payloads.user(bot),
            "redirect_uris": [],
            "interactions_endpoint_url": None,
            "role_connections_verification_url": None,
            "approximate_guild_count": len(self._world.guilds),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "integration_types_config": {"0": {}},
        }
        return reply(data)
