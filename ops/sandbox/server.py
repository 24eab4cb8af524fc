"""The sandbox itself: one server on loopback for REST, gateway and control, and the verbs to drive it."""

# ruff: noqa: ASYNC109  (callers say `timeout=` as everywhere else; a context manager around each verb reads worse)
from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from .actions import Actions
from .commands import CommandBook
from .control_api import ControlRoutes
from .faults import Faults
from .gateway import AppSettings, Gateway
from .interactions import InteractionDesk
from .member_search import MemberSearchRoutes
from .messages import Message
from .models import Join
from .people import People
from .rest import API_PREFIX, Address, RateLimits, Request, middleware
from .rest_app import AppRoutes
from .rest_channels import ChannelRoutes
from .rest_commands import CommandRoutes
from .rest_guild import GuildRoutes
from .rest_interactions import InteractionRoutes
from .uploads import FileStore
from .world import World

MAX_BODY = 64 * 1024 * 1024
"""Largest request body in bytes: above Discord's file limit, so that the limit itself can be tested."""


KEPT_REQUESTS = 10_000
"""REST requests that `Sandbox.requests` remembers."""


class Sandbox(Actions):
    """A local Discord. Use as `async with Sandbox() as sandbox:`; port 0 takes a free one.

    The verbs that change the world are in `Actions`, those of people using the bot in `People`.
    """

    def __init__(
        self,
        port: int = 0,
        token: str = "sandbox-token",
        *,
        host: str = "127.0.0.1",
        bot_name: str = "Sandbox Bot",
        members_intent: bool = True,
        presences_intent: bool = True,
        message_content_intent: bool = True,
        shards: int = 1,
        heartbeat_interval_ms: int = 41_250,
        rate_limit: tuple[int, float] = (50, 1.0),
        rate_limits: dict[str, tuple[int, float]] | None = None,
    ) -> None:
        """`rate_limit` is (requests, seconds) for each route; `rate_limits` the exceptions by `"METHOD /template"`."""
        self.settings = AppSettings(
            token, members_intent, presences_intent, message_content_intent, shards, heartbeat_interval_ms
        )
        world, faults = World(bot_name), Faults()
        super().__init__(world, Gateway(world, self.settings, faults), faults)
        self._port, self._host = port, host
        self._address = Address()
        self._messages: dict[int, list[Message]] = {}
        self._runner: web.AppRunner | None = None
        files = FileStore(world.snowflakes)
        self.commands = CommandBook(world.bot.id, world.snowflakes)
        self.desk = InteractionDesk(world, self._messages)
        self.people = People(self, self.commands, self.desk, self._address, files)
        self.invoke = self.people.invoke
        self.invoke_on_user = self.people.invoke_on_user
        self.autocomplete = self.people.autocomplete
        self.click = self.people.click
        self.select = self.people.select
        self.submit = self.people.submit
        self.wait_commands = self.people.wait_commands
        self.requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        limits = RateLimits(rate_limit, rate_limits or {})
        self._app = web.Application(
            middlewares=[middleware(self.settings, faults, limits, self.requests)], client_max_size=MAX_BODY
        )
        channels = ChannelRoutes(world, self, self._messages, self._address, files)
        for routes in (
            AppRoutes(world, self.settings, self.gateway),
            GuildRoutes(world, self.settings),
            MemberSearchRoutes(world, self.settings, faults),
            channels,
            CommandRoutes(world, self.commands),
            InteractionRoutes(world, self.desk, self._address, files),
        ):
            for route in routes.routes():
                self._app.router.add_route(route.method, API_PREFIX + route.path, route.handler)
        self._app.router.add_get("/gateway/", self.gateway.handle)
        self._app.router.add_get("/attachments/{channel_id}/{file_id}/{name}", channels.attachment)
        self._app.router.add_routes(ControlRoutes(self).routes())

    @property
    def url(self) -> str:
        """The server's address, for `SandboxClient`."""
        return self._address.http

    @property
    def api_url(self) -> str:
        """The REST base, for `DISCORD_API_URL` and `Route.BASE`."""
        return self._address.http + API_PREFIX

    @property
    def gateway_url(self) -> str:
        """The websocket address, for `DiscordWebSocket.DEFAULT_GATEWAY`."""
        return self.gateway.url

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.settings.token

    @property
    def ledger(self) -> list[Join]:
        """The truth of every join, oldest first."""
        return self.world.ledger

    def messages(self, channel_id: int) -> list[Message]:
        """What the bot wrote in a channel, oldest first; ephemeral answers are not among it."""
        return self._messages.get(channel_id, [])

    def drop_gateway(self, code: int | None = None, *, resumable: bool = True, shard_id: int | None = None) -> int:
        """Drops gateway connections: see `Gateway.drop`."""
        return self.gateway.drop(code, resumable=resumable, shard_id=shard_id)

    async def wait_connected(self, sessions: int = 1, timeout: float = 10.0) -> None:
        """Waits until that many sessions have had READY and are connected. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while len(self.gateway.connected) < sessions:
                await self.gateway.changed.wait()

    async def wait_disconnected(self, timeout: float = 10.0) -> None:
        """Waits until no client is connected. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while self.gateway.connected:
                await self.gateway.changed.wait()

    async def start(self) -> None:
        """Listens. OSError when the port is taken."""
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port: Any = self._runner.addresses[0][1]
        self._address.http = f"http://{self._host}:{port}"
        self.gateway.url = f"ws://{self._host}:{port}/gateway/"

    async def stop(self) -> None:
        """Closes every connection and the port."""
        self.gateway.drop(1001)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
