"""The Lua scripts, loaded from `joins/lua`. Each is atomic and safe to send twice."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from redis.commands.core import Script

from joins.redis_url import Client

_COMPARING = {"publish", "settle", "align", "make", "trim", "condemn"}
# Small, or they free memory: a full server (maxmemory, noeviction) runs them too, or it could never be emptied again.
_WITHOUT_ROOM = {"lease", "renew", "settle", "align", "make", "trim", "report"}


def script(client: Client, name: str) -> Script:
    """The script `joins/lua/<name>.lua`, bound to a client."""
    folder = files("joins") / "lua"
    text = (folder / f"{name}.lua").read_text()
    if name in _COMPARING:
        text = (folder / "ids.lua").read_text() + text
    if name in _WITHOUT_ROOM:
        text = "#!lua flags=allow-oom\n" + text
    return client.register_script(text)


def text(value: Any) -> str:
    """A reply of the server as text."""
    return value.decode() if isinstance(value, bytes) else str(value)
