"""A synchronous client of the control API, standard library only, for the demo and tests in other processes."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any


class SandboxError(Exception):
    """The sandbox refused a verb; `kind` is the error's name there (CommandRefused, NoReply, WorldError, ...)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class Record(dict[str, Any]):
    """A JSON object whose keys are attributes too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class SandboxClient:
    """The verbs of `Sandbox` over HTTP. `url` is like http://127.0.0.1:8765 (the API's URL does too).

    Results are `Record`s; a file's `data` is bytes. Raises SandboxError when the sandbox refuses, URLError
    when it is not there.
    """

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        self.url = url.split("/api/")[0].rstrip("/")
        self._timeout = timeout

    def call(self, verb: str, *args: Any, **arguments: Any) -> Any:
        """Calls any verb; None arguments are left out."""
        body = {k: v for k, v in arguments.items() if v is not None}
        if args:
            body["args"] = args
        request = urllib.request.Request(
            f"{self.url}/sandbox/{verb}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                data = json.load(response, object_hook=_record)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            try:
                answer = json.loads(text)
                kind, message = answer["error"], answer["message"]
            except (ValueError, KeyError):
                kind, message = f"HTTP {error.code}", text
            raise SandboxError(kind, message) from None
        return data["result"]

    def status(self) -> Record:
        """Addresses, connected sessions, counts and faults."""
        return self._record("status")

    def add_guild(self, name: str, **options: Any) -> Record:
        """See `Actions.add_guild`."""
        return self._record("add_guild", name, **options)

    def add_channel(self, guild_id: int, name: str) -> Record:
        """See `Actions.add_channel`."""
        return self._record("add_channel", guild_id, name)

    def delete_channel(self, guild_id: int, channel_id: int) -> None:
        """See `Actions.delete_channel`."""
        self.call("delete_channel", guild_id, channel_id)

    def add_member(self, guild_id: int, who: str | int, **options: Any) -> Record:
        """See `Actions.add_member`."""
        return self._record("add_member", guild_id, who, **options)

    def add_invite(self, guild_id: int, **options: Any) -> Record:
        """See `Actions.add_invite`."""
        return self._record("add_invite", guild_id, **options)

    def delete_invite(self, guild_id: int, code: str) -> None:
        """See `Actions.delete_invite`."""
        self.call("delete_invite", guild_id, code)

    def expire_invite(self, guild_id: int, code: str) -> None:
        """See `Actions.expire_invite`."""
        self.call("expire_invite", guild_id, code)

    def set_vanity(self, guild_id: int, code: str | None, uses: int = 0) -> None:
        """See `Actions.set_vanity`."""
        self.call("set_vanity", guild_id, code, uses)

    def update_member(self, guild_id: int, user_id: int, **names: str) -> Record:
        """See `Actions.update_member`."""
        return self._record("update_member", guild_id, user_id, **names)

    def set_member_permissions(self, guild_id: int, user_id: int, permissions: int | str | list[str]) -> None:
        """See `Actions.set_member_permissions`."""
        self.call("set_member_permissions", guild_id, user_id, permissions)

    def set_guild_available(self, guild_id: int, available: bool) -> None:
        """See `Actions.set_guild_available`."""
        self.call("set_guild_available", guild_id, available)

    def set_bot_permissions(self, guild_id: int, permissions: int | str | list[str]) -> None:
        """See `Actions.set_bot_permissions`."""
        self.call("set_bot_permissions", guild_id, permissions)

    def join(self, guild_id: int, who: str | int, **options: Any) -> Record:
        """See `Actions.join`."""
        return self._record("join", guild_id, who, **options)

    def join_many(self, guild_id: int, count: int, prefix: str, **options: Any) -> list[Record]:
        """See `Actions.join_many`."""
        return list(self.call("join_many", guild_id, count, prefix, **options))

    def leave(self, guild_id: int, user_id: int) -> None:
        """See `Actions.leave`."""
        self.call("leave", guild_id, user_id)

    def invoke(
        self, guild_id: int | None, user_id: int, name: str, values: dict[str, Any] | None = None, **options: Any
    ) -> Record:
        """See `People.invoke`."""
        return self._record("invoke", guild_id, user_id, name, values or {}, **options)

    def click(self, reply: Record, button: str, **options: Any) -> Record:
        """See `People.click`."""
        return self._record("click", reply["id"], button, **options)

    def select(self, reply: Record, menu: str, values: list[str], **options: Any) -> Record:
        """See `People.select`."""
        return self._record("select", reply["id"], menu, values, **options)

    def submit(self, reply: Record, values: dict[str, Any], **options: Any) -> Record:
        """See `People.submit`."""
        return self._record("submit", reply["id"], values, **options)

    def autocomplete(
        self, guild_id: int | None, user_id: int, name: str, option: str, typed: str, **options: Any
    ) -> list[Record]:
        """See `People.autocomplete`."""
        return list(self.call("autocomplete", guild_id, user_id, name, option, typed, **options))

    def refresh(self, reply: Record) -> Record:
        """A reply as it is now, with later edits and followups."""
        return self._record("reply", reply["id"])

    def wait_reply(self, reply: Record, *, edits: int = 0, followups: int = 0, files: int = 0) -> Record:
        """The reply when it has so many edits, followups and files: see `Reply.wait_parts`."""
        return self._record("wait_reply", reply["id"], edits=edits, followups=followups, files=files)

    def kick_bot(self, guild_id: int) -> None:
        """See `Actions.kick_bot`."""
        self.call("kick_bot", guild_id)

    def ledger(self) -> list[Record]:
        """The truth of every join."""
        return list(self.call("ledger"))

    def guilds(self) -> list[Record]:
        """Every guild with all that it holds."""
        return list(self.call("guilds"))

    def messages(self, channel_id: int) -> list[Record]:
        """See `Sandbox.messages`."""
        return list(self.call("messages", channel_id))

    def set_fault(self, **faults: Any) -> None:
        """Sets fields of `Faults` by name."""
        self.call("set_fault", **faults)

    def reset_faults(self) -> None:
        """Everything works again."""
        self.call("reset_faults")

    def fail(self, route: str, status: int, code: int = 0, *, count: int | None = None) -> None:
        """See `Faults.fail`."""
        self.call("fail", route, status, code, count=count)

    def slow(self, route: str, delay_ms: int, *, count: int | None = None) -> None:
        """See `Faults.slow`."""
        self.call("slow", route, delay_ms, count=count)

    def limit(self, route: str, retry_after: float, *, count: int = 1, is_global: bool = False) -> None:
        """See `Faults.limit`."""
        self.call("limit", route, retry_after, count=count, is_global=is_global)

    def requests(self) -> list[Record]:
        """The bot's REST requests so far: method, path, status."""
        return list(self.call("requests"))

    def drop_gateway(self, code: int | None = None, *, resumable: bool = True) -> int:
        """See `Gateway.drop`."""
        return int(self.call("drop_gateway", code, resumable=resumable))

    def wait_connected(self, sessions: int = 1, timeout: float = 10.0) -> None:
        """See `Sandbox.wait_connected`."""
        self.call("wait_connected", sessions, timeout)

    def wait_disconnected(self, timeout: float = 10.0) -> None:
        """See `Sandbox.wait_disconnected`."""
        self.call("wait_disconnected", timeout)

    def wait_commands(self, *names: str, timeout: float = 10.0) -> None:
        """See `People.wait_commands`."""
        self.call("wait_commands", *names, timeout=timeout)

    def _record(self, verb: str, *args: Any, **arguments: Any) -> Record:
        result: Record = self.call(verb, *args, **arguments)
        return result


def _record(data: dict[str, Any]) -> Record:
    if set(data) == {"id", "name", "data"}:
        data["data"] = base64.b64decode(data["data"])
    return Record(data)
