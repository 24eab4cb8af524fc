"""From a command's name and plain values to the options a client would send, checked as Discord's client does.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-application-command-interaction-data-option-structure
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from . import payloads
from .commands import GROUP, SUBCOMMAND, Command
from .models import Guild
from .uploads import FileStore
from .world import World

_USER, _CHANNEL, _ROLE, _MENTIONABLE, _NUMBER, _ATTACHMENT = 6, 7, 8, 9, 10, 11


class CommandRefused(Exception):
    """Discord would not let this user send this: unknown command, missing permission, wrong option."""


@dataclass
class Options:
    """What goes into the interaction's data."""

    world: World
    guild: Guild | None
    files: FileStore
    file_base: str
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    focused_kind: int = 3

    def build(
        self, command: Command, path: list[str], values: dict[str, Any], focused: str | None = None
    ) -> list[dict[str, Any]]:
        """The options of `command`, following `path` into subcommands. Raises CommandRefused."""
        options: list[dict[str, Any]] = command.get("options") or []
        nested = bool(options) and options[0]["type"] in (SUBCOMMAND, GROUP)
        if nested:
            if not path:
                raise CommandRefused(f"{command['name']} needs a subcommand")
            for option in options:
                if option["name"] == path[0]:
                    inner = self.build(option, path[1:], values, focused)
                    return [{"name": option["name"], "type": option["type"], "options": inner}]
            raise CommandRefused(f"{command['name']} has no subcommand {path[0]!r}")
        if path:
            raise CommandRefused(f"{command['name']} has no subcommand {path[0]!r}")
        known = {o["name"]: o for o in options}
        for name in values:
            if name not in known:
                raise CommandRefused(f"{command['name']} has no option {name!r}; it has {sorted(known)}")
        built: list[dict[str, Any]] = []
        for option in options:
            name = option["name"]
            if values.get(name) is None:
                if option.get("required") and focused is None:
                    raise CommandRefused(f"option {name!r} of {command['name']} is required")
                continue
            if name == focused:
                self.focused_kind = option["type"]
                # While typing, the value is text whatever the option's type, and limits do not apply yet.
                built.append({"name": name, "type": option["type"], "value": str(values[name]), "focused": True})
                continue
            value = self._value(option, values[name])
            built.append({"name": name, "type": option["type"], "value": value})
        return built

    def add_user(self, user_id: int) -> None:
        """Puts a user, and his membership, among the resolved."""
        user = self.world.users.get(user_id)
        if user is None:
            raise CommandRefused(f"no user {user_id}")
        self._resolve("users", user_id, payloads.user(user))
        member = self.guild.members.get(user_id) if self.guild else None
        if member is not None and self.guild is not None:
            data = payloads.member(member, with_user=False)
            data["permissions"] = str(self.guild.permissions_of(user_id))
            self._resolve("members", user_id, data)

    def _value(self, option: dict[str, Any], value: Any) -> Any:
        kind, name = option["type"], option["name"]
        if kind == 3:
            self._check_text(option, value)
        elif kind in (4, _NUMBER):
            if isinstance(value, bool) or not isinstance(value, int if kind == 4 else (int, float)):
                raise CommandRefused(f"option {name!r} must be a number")
            if value < option.get("min_value", value) or value > option.get("max_value", value):
                raise CommandRefused(f"option {name!r} is outside its limits")
        elif kind == 5 and not isinstance(value, bool):
            raise CommandRefused(f"option {name!r} must be true or false")
        elif kind in (_USER, _CHANNEL, _ROLE, _MENTIONABLE):
            return self._snowflake(kind, int(value))
        elif kind == _ATTACHMENT:
            # From the control API the bytes come as base64.
            data_bytes = base64.b64decode(value[1]) if isinstance(value[1], str) else value[1]
            file = self.files.add(value[0], data_bytes)
            url = f"{self.file_base}/{file.id}/{file.name}"
            data = {"id": str(file.id), "filename": file.name, "size": len(file.data), "url": url, "proxy_url": url}
            self._resolve("attachments", file.id, data)
            return str(file.id)
        choices = option.get("choices") or []
        if choices and value not in [c["value"] for c in choices]:
            raise CommandRefused(f"option {name!r} must be one of {[c['value'] for c in choices]}")
        return value

    def _check_text(self, option: dict[str, Any], value: Any) -> None:
        low, high = option.get("min_length") or 0, option.get("max_length") or 6000
        if not isinstance(value, str) or not low <= len(value) <= high:
            raise CommandRefused(f"option {option['name']!r} must be text of {low} to {high} characters")

    def _snowflake(self, kind: int, wanted: int) -> str:
        guild = self.guild
        if guild is not None and kind in (_CHANNEL,) and wanted in guild.channels:
            channel = guild.channels[wanted]
            data = payloads.channel(channel, guild.id) | {"permissions": str(guild.permissions_of(guild.owner_id))}
            self._resolve("channels", wanted, data)
        elif guild is not None and kind in (_ROLE, _MENTIONABLE) and wanted in guild.roles:
            self._resolve("roles", wanted, payloads.role(guild.roles[wanted]))
        elif kind in (_USER, _MENTIONABLE):
            self.add_user(wanted)
        else:
            raise CommandRefused(f"there is no channel or role {wanted} here")
        return str(wanted)

    def _resolve(self, kind: str, snowflake: int, data: dict[str, Any]) -> None:
        self.resolved.setdefault(kind, {})[str(snowflake)] = data
