"""Registered application commands, and Discord's rules for them.

Source: https://discord.com/developers/docs/interactions/application-commands
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from .rest import invalid_form
from .snowflake import SnowflakeMaker

_NAME = re.compile(r"^[-_'\w\u0900-\u097f\u0e00-\u0e7f]{1,32}$", re.UNICODE)

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, NUMBER = 3, 4, 5, 10
MOST_OPTIONS = 25
MOST_COMMANDS = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}
MOST_TEXT = 8000
"""Names, descriptions and values of one command together."""

Command = dict[str, Any]


class CommandBook:
    """Global commands and each guild's own."""

    def __init__(self, application_id: int, snowflakes: SnowflakeMaker) -> None:
        self._application_id = application_id
        self._snowflakes = snowflakes
        self._scopes: dict[int | None, list[Command]] = {}
        self.changed = asyncio.Event()
        self.overwrites = 0
        """How many bulk overwrites were accepted."""

    def of(self, guild_id: int | None) -> list[Command]:
        """The commands of one scope; None is global."""
        return self._scopes.get(guild_id, [])

    def overwrite(self, guild_id: int | None, commands: Any) -> list[Command]:
        """Bulk overwrite. A command that keeps name and type keeps its id. Raises ApiError 50035."""
        if not isinstance(commands, list):
            raise invalid_form(commands="Only lists may be used in a ListType")
        counts: dict[int, int] = {}
        seen: set[tuple[int, str]] = set()
        for index, command in enumerate(commands):
            check(command, str(index))
            key = (command.get("type", CHAT_INPUT), command["name"])
            if key in seen:
                raise invalid_form(**{f"{index}.name": "Application command names must be unique"})
            seen.add(key)
            counts[key[0]] = counts.get(key[0], 0) + 1
            if counts[key[0]] > MOST_COMMANDS.get(key[0], 100):
                raise invalid_form(**{str(index): "Maximum number of application commands reached"})
        old = {(c["type"], c["name"]): c["id"] for c in self.of(guild_id)}
        self._scopes[guild_id] = [self._stored(c, guild_id, old) for c in commands]
        self.overwrites += 1
        self._notify()
        return self._scopes[guild_id]

    def add(self, guild_id: int | None, command: Any) -> Command:
        """Creates one command, or replaces the one of the same name and type."""
        check(command, "command")
        key = (command.get("type", CHAT_INPUT), command["name"])
        old = {(c["type"], c["name"]): c["id"] for c in self.of(guild_id)}
        stored = self._stored(command, guild_id, old)
        rest = [c for c in self.of(guild_id) if (c["type"], c["name"]) != key]
        self._scopes[guild_id] = [*rest, stored]
        self._notify()
        return stored

    def remove(self, guild_id: int | None, command_id: str) -> bool:
        """Deletes one command; False when there is none."""
        kept = [c for c in self.of(guild_id) if c["id"] != command_id]
        removed = len(kept) < len(self.of(guild_id))
        self._scopes[guild_id] = kept
        return removed

    def find(self, guild_id: int | None, name: str, kind: int = CHAT_INPUT) -> Command | None:
        """The command that a user in this guild (None: a DM) sees; a guild's own goes first."""
        scopes = [guild_id, None] if guild_id is not None else [None]
        for scope in scopes:
            for command in self.of(scope):
                if (command["type"], command["name"]) == (kind, name):
                    return command
        return None

    def _notify(self) -> None:
        # Wakes everyone who waits for a command, then starts a new wait.
        self.changed.set()
        self.changed = asyncio.Event()

    def _stored(self, command: Command, guild_id: int | None, old: dict[tuple[int, str], str]) -> Command:
        kind = command.get("type", CHAT_INPUT)
        permissions = command.get("default_member_permissions")
        stored: Command = {
            "id": old.get((kind, command["name"])) or str(self._snowflakes.make()),
            "application_id": str(self._application_id),
            "version": str(self._snowflakes.make()),
            "type": kind,
            "name": command["name"],
            "name_localizations": command.get("name_localizations"),
            "description": command.get("description") or "",
            "description_localizations": command.get("description_localizations"),
            "default_member_permissions": None if permissions is None else str(permissions),
            "dm_permission": command.get("dm_permission", True),
            "contexts": command.get("contexts"),
            "integration_types": command.get("integration_types") or [0],
            "nsfw": bool(command.get("nsfw", False)),
            "options": command.get("options") or [],
        }
        if guild_id is not None:
            stored["guild_id"] = str(guild_id)
        return stored


def check(command: Any, where: str) -> None:
    """Raises ApiError 50035 when Discord would refuse the command."""
    if not isinstance(command, dict):
        raise invalid_form(**{where: "Only dictionaries may be used in a DictType"})
    kind = command.get("type", CHAT_INPUT)
    name = command.get("name")
    if kind == CHAT_INPUT:
        _check_name(name, where)
        _check_description(command.get("description"), where)
        _check_options(command.get("options") or [], f"{where}.options", depth=0)
    elif not isinstance(name, str) or not 1 <= len(name) <= 32:
        raise invalid_form(**{f"{where}.name": "Must be between 1 and 32 in length."})
    elif command.get("description"):
        raise invalid_form(**{f"{where}.description": "Context menu commands cannot have description"})
    if _text_length(command) > MOST_TEXT:
        raise invalid_form(**{where: f"Command exceeds maximum size of {MOST_TEXT}"})


def _check_name(name: Any, where: str) -> None:
    if not isinstance(name, str) or not _NAME.match(name) or name != name.lower():
        raise invalid_form(**{f"{where}.name": "Command name is invalid"})


def _check_description(text: Any, where: str) -> None:
    if not isinstance(text, str) or not 1 <= len(text) <= 100:
        raise invalid_form(**{f"{where}.description": "Must be between 1 and 100 in length."})


def _check_options(options: list[Any], where: str, depth: int) -> None:
    if len(options) > MOST_OPTIONS:
        raise invalid_form(**{where: f"Must be {MOST_OPTIONS} or fewer in length."})
    kinds = {o.get("type") in (SUBCOMMAND, GROUP) for o in options}
    if kinds == {True, False}:
        raise invalid_form(**{where: "Sub-command and sub-command group option types are mutually exclusive"})
    names: set[str] = set()
    optional_seen = False
    for index, option in enumerate(options):
        at = f"{where}.{index}"
        kind = option.get("type")
        if not isinstance(kind, int) or not 1 <= kind <= 11:
            raise invalid_form(**{f"{at}.type": "Value must be one of (1 to 11)."})
        _check_name(option.get("name"), at)
        _check_description(option.get("description"), at)
        if option["name"] in names:
            raise invalid_form(**{f"{at}.name": "Option name already exists in these options"})
        names.add(option["name"])
        if kind in (SUBCOMMAND, GROUP):
            if depth > 1 or (kind == GROUP and depth > 0):
                raise invalid_form(**{f"{at}.type": "Sub-commands may be nested once only"})
            _check_options(option.get("options") or [], f"{at}.options", depth + 1 if kind == GROUP else 2)
            continue
        if option.get("required"):
            if optional_seen:
                raise invalid_form(**{at: "Required options must be placed before non-required options"})
        else:
            optional_seen = True
        _check_choices(option, at)


def _check_choices(option: dict[str, Any], where: str) -> None:
    choices = option.get("choices") or []
    if len(choices) > MOST_OPTIONS:
        raise invalid_form(**{f"{where}.choices": f"Must be {MOST_OPTIONS} or fewer in length."})
    if choices and option.get("autocomplete"):
        raise invalid_form(**{f"{where}.autocomplete": "Autocomplete cannot be true if choices are present"})
    for n, choice in enumerate(choices):
        check_choice(choice, option["type"], f"{where}.choices.{n}")


def check_choice(choice: dict[str, Any], kind: int, where: str) -> None:
    """Raises ApiError 50035 for a choice (static or from autocomplete) that Discord would refuse."""
    if not 1 <= len(str(choice.get("name", ""))) <= 100:
        raise invalid_form(**{f"{where}.name": "Must be between 1 and 100 in length."})
    value = choice.get("value")
    if kind == STRING and (not isinstance(value, str) or not 1 <= len(value) <= 100):
        raise invalid_form(**{f"{where}.value": "Must be between 1 and 100 in length."})
    if kind == INTEGER and (not isinstance(value, int) or isinstance(value, bool)):
        raise invalid_form(**{f"{where}.value": "Could not interpret as integer."})


def _text_length(node: dict[str, Any]) -> int:
    total = len(node.get("name") or "") + len(node.get("description") or "")
    total += sum(len(c["name"]) + len(str(c["value"])) for c in node.get("choices") or [])
    return total + sum(_text_length(o) for o in node.get("options") or [])
