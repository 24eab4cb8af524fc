"""The control API: `POST /sandbox/<verb>` with a JSON object of arguments, for other processes.

Answers `{"result": ...}`, or 400 with `{"error": kind, "message": text}`. Ids are JSON integers, files base64.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .command_options import CommandRefused
from .messages import File, Message
from .replies import NoReply, Reply
from .world import WorldError

if TYPE_CHECKING:
    from .server import Sandbox

Verb = Callable[..., Any]


class ControlRoutes:
    """The verbs by name."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.verbs: dict[str, Verb] = {
            name: getattr(sandbox, name)
            for name in (
                "add_guild",
                "add_channel",
                "delete_channel",
                "add_role",
                "add_member",
                "add_members",
                "update_member",
                "set_member_permissions",
                "set_bot_permissions",
                "add_invite",
                "delete_invite",
                "expire_invite",
                "set_vanity",
                "join",
                "join_many",
                "leave",
                "set_guild_available",
                "kick_bot",
                "readd_bot",
                "drop_gateway",
                "wait_connected",
                "wait_disconnected",
                "wait_commands",
                "invoke",
                "invoke_on_user",
                "autocomplete",
                "messages",
            )
        }
        self.verbs |= {
            "click": self._on_reply(sandbox.click),
            "select": self._on_reply(sandbox.select),
            "submit": self._on_reply(sandbox.submit),
            "reply": self._reply,
            "wait_reply": self._on_reply(Reply.wait_parts),
            "requests": lambda: [r._asdict() for r in sandbox.requests],
            "ledger": lambda: sandbox.ledger,
            "guilds": lambda: list(sandbox.world.guilds.values()),
            "commands": sandbox.commands.of,
            "set_fault": sandbox.faults.set,
            "reset_faults": sandbox.faults.reset,
            "fail": sandbox.faults.fail,
            "slow": sandbox.faults.slow,
            "limit": sandbox.faults.limit,
            "cut": sandbox.faults.cut,
            "reconnect": sandbox.gateway.reconnect,
            "status": self._status,
        }

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [web.post("/sandbox/{verb}", self.call), web.get("/sandbox/{verb}", self.call)]

    async def call(self, request: web.Request) -> web.Response:
        """Calls one verb."""
        verb = self.verbs.get(request.match_info["verb"])
        if verb is None:
            return _answer({"error": "UnknownVerb", "message": f"known: {', '.join(sorted(self.verbs))}"}, 404)
        try:
            arguments = json.loads(await request.text() or "{}") | dict(request.query)
            positional = arguments.pop("args", [])
            result = verb(*positional, **arguments)
            if inspect.isawaitable(result):
                result = await result
        except (WorldError, CommandRefused, NoReply, ValueError, TypeError, KeyError, TimeoutError) as error:
            return _answer({"error": type(error).__name__, "message": str(error)}, 400)
        return _answer({"result": encode(result)})

    def _on_reply(self, verb: Verb) -> Verb:
        def by_id(reply: int, *args: Any, **kwargs: Any) -> Any:
            return verb(self._reply(reply), *args, **kwargs)

        return by_id

    def _reply(self, reply: int) -> Reply:
        try:
            return self._sandbox.people.replies[int(reply)]
        except KeyError:
            raise WorldError(f"no reply {reply}") from None

    def _status(self) -> dict[str, Any]:
        sandbox = self._sandbox
        return {
            "api_url": sandbox.api_url,
            "gateway_url": sandbox.gateway_url,
            "connected": len(sandbox.gateway.connected),
            "identifies": sandbox.gateway.identifies,
            "resumes": sandbox.gateway.resumes,
            "bot_id": sandbox.world.bot.id,
            "joins": len(sandbox.ledger),
            "pid": os.getpid(),
            "faults": sandbox.faults,
        }


def encode(value: Any) -> Any:
    """A verb's result as JSON."""
    if isinstance(value, Reply):
        return _reply(value)
    if isinstance(value, File):
        return {"id": value.id, "name": value.name, "data": base64.b64encode(value.data).decode()}
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        data = {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Message):
            data |= {"ephemeral": value.ephemeral, "pings": value.pings}
        elif "user" in data:
            data |= {"id": data["user"]["id"], "username": data["user"]["username"]}
        return data
    if isinstance(value, dict):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [encode(v) for v in value]
    return value


def _reply(reply: Reply) -> dict[str, Any]:
    names = ("id", "ephemeral", "deferred", "updated", "content", "text", "embeds", "components", "pings")
    data = {name: getattr(reply, name) for name in names}
    lists = ("files", "edits", "followups", "modal", "choices", "errors")
    return data | {name: encode(getattr(reply, name)) for name in lists}


def _answer(data: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(data).encode(), status=status, content_type="application/json")
