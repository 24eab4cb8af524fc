"""Routes for application commands: list, bulk overwrite, create, delete; global and per guild.

Source: https://discord.com/developers/docs/interactions/application-commands#endpoints
"""

from __future__ import annotations

from aiohttp import web

from .commands import CommandBook
from .rest import ApiError, missing_access, read_json, reply
from .world import World


class CommandRoutes:
    """`/applications/{application_id}/[guilds/{guild_id}/]commands`"""

    def __init__(self, world: World, book: CommandBook) -> None:
        self._world = world
        self._book = book

    def routes(self) -> list[web.RouteDef]:
        """The routes, paths relative to the API prefix."""
        found: list[web.RouteDef] = []
        for base in (
            "/applications/{application_id}/commands",
            "/applications/{application_id}/guilds/{guild_id}/commands",
        ):
            found += [
                web.get(base, self.list),
                web.put(base, self.overwrite),
                web.post(base, self.create),
                web.get(f"{base}/{{command_id}}", self.get),
                web.delete(f"{base}/{{command_id}}", self.delete),
            ]
        return found

    async def list(self, request: web.Request) -> web.Response:
        """Get Application Commands."""
        return reply(self._book.of(self._scope(request)))

    async def overwrite(self, request: web.Request) -> web.Response:
        """Bulk Overwrite Application Commands."""
        scope = self._scope(request)
        return reply(self._book.overwrite(scope, await read_json(request)))

    async def create(self, request: web.Request) -> web.Response:
        """Create Application Command."""
        scope = self._scope(request)
        return reply(self._book.add(scope, await read_json(request)), 201)

    async def get(self, request: web.Request) -> web.Response:
        """Get Application Command."""
        wanted = request.match_info["command_id"]
        for command in self._book.of(self._scope(request)):
            if command["id"] == wanted:
                return reply(command)
        raise ApiError(404, 10063, "Unknown application command")

    async def delete(self, request: web.Request) -> web.Response:
        """Delete Application Command."""
        if not self._book.remove(self._scope(request), request.match_info["command_id"]):
            raise ApiError(404, 10063, "Unknown application command")
        return web.Response(status=204)

    def _scope(self, request: web.Request) -> int | None:
        if request.match_info["application_id"] != str(self._world.bot.id):
            raise ApiError(403, 20012, "You are not authorized to perform this action on this application")
        text = request.match_info.get("guild_id")
        if text is None:
            return None
        guild = self._world.guilds.get(int(text)) if text.isdigit() else None
        if guild is None or self._world.bot.id not in guild.members:
            raise missing_access()
        return guild.id
