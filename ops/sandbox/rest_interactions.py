"""Routes that answer interactions: callback, followups, edits, deletes.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding#endpoints
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import messages
from .interactions import DEFER_REPLY, DEFER_UPDATE, REPLY, UPDATE, Interaction, InteractionDesk
from .rest import Address, ApiError, invalid_form, reply
from .uploads import FileStore, read_body
from .world import World


class InteractionRoutes:
    """`/interactions/...` and `/webhooks/{application}/{token}/...`"""

    def __init__(self, world: World, desk: InteractionDesk, address: Address, files: FileStore) -> None:
        self._world = world
        self._desk = desk
        self._address = address
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """The routes, paths relative to the API prefix."""
        hook = "/webhooks/{webhook_id}/{token}"
        return [
            web.post("/interactions/{webhook_id}/{token}/callback", self.callback),
            web.post(hook, self.follow_up),
            web.get(f"{hook}/messages/{{message_id}}", self.get),
            web.patch(f"{hook}/messages/{{message_id}}", self.edit),
            web.delete(f"{hook}/messages/{{message_id}}", self.delete),
        ]

    async def callback(self, request: web.Request) -> web.Response:
        """Create Interaction Response; `with_response` answers with the resource instead of 204."""
        body, uploads = await read_body(request, self._files)
        info = request.match_info
        if not isinstance(body.get("data") or {}, dict):
            raise invalid_form(data="Only dictionaries may be used in a DictType")
        interaction = self._desk.answer(info["webhook_id"], info["token"], body, uploads)
        if request.query.get("with_response", "").lower() not in ("1", "true"):
            return web.Response(status=204)
        return reply(self._resource(interaction))

    async def follow_up(self, request: web.Request) -> web.Response:
        """Create Followup Message."""
        interaction = self._interaction(request)
        body, uploads = await read_body(request, self._files)
        return self._message(self._desk.follow_up(interaction, body, uploads))

    async def get(self, request: web.Request) -> web.Response:
        """Get Original Interaction Response, Get Followup Message."""
        return self._message(self._desk.message(self._interaction(request), request.match_info["message_id"]))

    async def edit(self, request: web.Request) -> web.Response:
        """Edit Original Interaction Response, Edit Followup Message."""
        interaction = self._interaction(request)
        body, uploads = await read_body(request, self._files)
        return self._message(self._desk.edit(interaction, request.match_info["message_id"], body, uploads))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete Original Interaction Response, Delete Followup Message."""
        self._desk.delete(self._interaction(request), request.match_info["message_id"])
        return web.Response(status=204)

    def _interaction(self, request: web.Request) -> Interaction:
        if request.match_info["webhook_id"] != str(self._world.bot.id):
            raise ApiError(404, 10015, "Unknown Webhook")
        return self._desk.find(request.match_info["token"])

    def _message(self, message: messages.Message) -> web.Response:
        return reply(messages.payload(message, self._address.http))

    def _resource(self, i: Interaction) -> dict[str, Any]:
        interaction: dict[str, Any] = {"id": str(i.id), "type": i.type}
        data: dict[str, Any] = {"interaction": interaction}
        if i.original is not None:
            interaction |= {
                "response_message_id": str(i.original.id),
                "response_message_loading": bool(i.original.flags & messages.LOADING),
                "response_message_ephemeral": i.original.ephemeral,
            }
        if i.callback in (REPLY, DEFER_REPLY, UPDATE, DEFER_UPDATE) and i.original is not None:
            message = messages.payload(i.original, self._address.http)
            data["resource"] = {"type": i.callback, "message": message}
        return data
