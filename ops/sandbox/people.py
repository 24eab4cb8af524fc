"""What people do with the bot: run its commands, press its buttons, fill its modals.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object
"""

# ruff: noqa: ASYNC109  (callers say `timeout=` as everywhere else; a context manager around each verb reads worse)
from __future__ import annotations

import asyncio
from typing import Any

from . import messages, payloads
from .actions import Actions
from .command_options import CommandRefused, Options
from .commands import CHAT_INPUT, USER, Command, CommandBook
from .interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    DEFER_UPDATE,
    MODAL_SUBMIT,
    Interaction,
    InteractionDesk,
)
from .models import Guild, User
from .permissions import ADD_REACTIONS, EVERYONE, USE_APPLICATION_COMMANDS
from .replies import NoReply, Reply
from .rest import Address
from .uploads import FileStore
from .world import World

ANSWER_S = 10.0
"""Seconds that a person waits for what a deferred answer promised."""

_KEPT = 1000
"""Replies that the control API can still refer to."""


_DM_PERMISSIONS = EVERYONE | ADD_REACTIONS
"""What a bot may do in a DM."""


class People:
    """The users' side of interactions."""

    def __init__(
        self, actions: Actions, book: CommandBook, desk: InteractionDesk, address: Address, files: FileStore
    ) -> None:
        self._actions = actions
        self._world: World = actions.world
        self._book = book
        self._desk = desk
        self._address = address
        self._files = files
        self.replies: dict[int, Reply] = {}

    async def invoke(
        self,
        guild_id: int | None,
        user_id: int,
        name: str,
        values: dict[str, Any] | None = None,
        *,
        channel_id: int | None = None,
        timeout: float = ANSWER_S,
    ) -> Reply:
        """Runs a slash command ("staff set" for a subcommand); `guild_id` None is a DM with the bot.

        Raises CommandRefused when Discord would not offer it, NoReply when the bot stays silent.
        """
        interaction, data = self._command(guild_id, user_id, name, values or {}, channel_id, None)
        return await self._send(interaction, data, timeout)

    async def invoke_on_user(
        self, guild_id: int, user_id: int, name: str, target_id: int, *, timeout: float = ANSWER_S
    ) -> Reply:
        """Runs a user context-menu command on `target_id`."""
        guild, user = self._who(guild_id, user_id)
        command = self._allowed(guild, user, name, USER)
        interaction = self._interaction(COMMAND, guild, user, name, None)
        options = self._options(guild, interaction)
        options.add_user(target_id)
        data = self._data(command, options) | {"target_id": str(target_id)}
        return await self._send(interaction, data, timeout)

    async def autocomplete(
        self,
        guild_id: int | None,
        user_id: int,
        name: str,
        option: str,
        typed: str,
        values: dict[str, Any] | None = None,
        *,
        timeout: float = ANSWER_S,
    ) -> list[dict[str, Any]]:
        """The choices offered while `typed` stands in `option`."""
        interaction, data = self._command(guild_id, user_id, name, (values or {}) | {option: typed}, None, option)
        return (await self._send(interaction, data, timeout)).choices

    async def click(self, reply: Reply, button: str, *, user_id: int | None = None, timeout: float = ANSWER_S) -> Reply:
        """Presses a button, named by custom_id or label, of a reply or one of its followups."""
        return await self._component(reply, button, {}, user_id, timeout)

    async def select(
        self, reply: Reply, menu: str, values: list[str], *, user_id: int | None = None, timeout: float = ANSWER_S
    ) -> Reply:
        """Picks `values` in a select menu."""
        return await self._component(reply, menu, {"values": values}, user_id, timeout)

    async def submit(
        self, reply: Reply, values: dict[str, Any], *, user_id: int | None = None, timeout: float = ANSWER_S
    ) -> Reply:
        """Fills and sends the modal that `reply` opened; `values` by custom_id."""
        before = reply.interaction
        if before.modal is None:
            raise CommandRefused(f"{before.name} opened no modal")
        guild, user = self._who(before.guild_id, user_id or before.user.id)
        interaction = self._interaction(MODAL_SUBMIT, guild, user, before.name, before.channel_id)
        interaction.source = before.source
        data = {
            "custom_id": before.modal["custom_id"],
            "components": [_filled(c, values) for c in before.modal["components"]],
        }
        return await self._send(interaction, data, timeout)

    async def wait_commands(self, *names: str, guild_id: int | None = None, timeout: float = 10.0) -> None:
        """Waits until the bot has registered these slash commands. Raises NoReply."""
        try:
            async with asyncio.timeout(timeout):
                while not all(self._book.find(guild_id, n.split()[0]) for n in names):
                    await self._book.changed.wait()
        except TimeoutError:
            raise NoReply(f"not registered in {timeout} s: {names}") from None

    async def _component(
        self, reply: Reply, wanted: str, extra: dict[str, Any], user_id: int | None, timeout: float
    ) -> Reply:
        before = reply.interaction
        shown = [m for m in [*reversed(before.followups), before.original] if m is not None and not m.deleted]
        for message in shown:
            component = messages.find_component(message, wanted)
            if component is not None:
                break
        else:
            offered = [c.get("label") or c.get("custom_id") for m in shown for c in messages.walk(m.components)]
            raise CommandRefused(f"no component {wanted!r}; there are {[o for o in offered if o]}")
        if component.get("disabled") or "custom_id" not in component:
            raise CommandRefused(f"component {wanted!r} is disabled or a link")
        guild, user = self._who(before.guild_id, user_id or before.user.id)
        if message.ephemeral and user.id != before.user.id:
            raise CommandRefused("only the user of an ephemeral message sees its buttons")
        interaction = self._interaction(COMPONENT, guild, user, wanted, message.channel_id)
        interaction.source = message
        data = {"custom_id": component["custom_id"], "component_type": component["type"], "id": component.get("id", 0)}
        return await self._send(interaction, data | extra, timeout)

    def _command(
        self,
        guild_id: int | None,
        user_id: int,
        name: str,
        values: dict[str, Any],
        channel_id: int | None,
        focused: str | None,
    ) -> tuple[Interaction, dict[str, Any]]:
        path = name.removeprefix("/").split()
        guild, user = self._who(guild_id, user_id)
        command = self._allowed(guild, user, path[0], CHAT_INPUT)
        kind = COMMAND if focused is None else AUTOCOMPLETE
        interaction = self._interaction(kind, guild, user, name, channel_id)
        options = self._options(guild, interaction)
        built = options.build(command, path[1:], values, focused)
        interaction.option_kind = options.focused_kind
        return interaction, self._data(command, options) | ({"options": built} if built else {})

    def _allowed(self, guild: Guild | None, user: User, name: str, kind: int) -> Command:
        command = self._book.find(guild.id if guild else None, name, kind)
        if command is None:
            raise CommandRefused(f"no command {name!r} is registered here")
        contexts = command.get("contexts")
        if guild is None and (command.get("dm_permission") is False or (contexts is not None and 1 not in contexts)):
            raise CommandRefused(f"{name} is for servers only")
        if guild is not None and contexts is not None and 0 not in contexts:
            raise CommandRefused(f"{name} is not for servers")
        needed = command.get("default_member_permissions")
        if guild is not None and needed is not None:
            has = guild.permissions_of(user.id)
            # "0" means: nobody but administrators.
            if has & int(needed) != int(needed) or (int(needed) == 0 and not has & 8):
                raise CommandRefused(f"{user.username} lacks the permissions for {name} ({needed})")
        return command

    def _who(self, guild_id: int | None, user_id: int) -> tuple[Guild | None, User]:
        user = self._world.users.get(user_id)
        if user is None:
            raise CommandRefused(f"no user {user_id}")
        if user.bot:
            raise CommandRefused(f"{user.username} is a bot: bots use no commands")
        if guild_id is None:
            return None, user
        guild = self._world.guild(guild_id)
        if user_id not in guild.members:
            raise CommandRefused(f"{user.username} is not in {guild.name}")
        if not guild.permissions_of(user_id) & USE_APPLICATION_COMMANDS:
            raise CommandRefused(f"{user.username} may not use commands in {guild.name}")
        return guild, user

    def _interaction(
        self, kind: int, guild: Guild | None, user: User, name: str, channel_id: int | None
    ) -> Interaction:
        if guild is None:
            channel_id = self._actions.dm_channel_id(user.id)
        elif channel_id is None:
            channel = guild.first_text_channel()
            channel_id = channel.id if channel else 0
        if guild is not None and channel_id not in guild.channels:
            raise CommandRefused(f"{guild.name} has no such channel to run a command in")
        limit = guild.filesize_limit if guild else Guild.filesize_limit
        made = self._world.snowflakes.make()
        guild_id = guild.id if guild else None
        return Interaction(made, kind, user, channel_id, guild_id, name, filesize_limit=limit)

    def _options(self, guild: Guild | None, i: Interaction) -> Options:
        return Options(self._world, guild, self._files, f"{self._address.http}/attachments/{i.channel_id}")

    def _data(self, command: Command, options: Options) -> dict[str, Any]:
        data = {"id": command["id"], "name": command["name"], "type": command["type"]}
        if options.resolved:
            data["resolved"] = options.resolved
        if "guild_id" in command:
            data["guild_id"] = command["guild_id"]
        return data

    def _payload(self, i: Interaction, data: dict[str, Any]) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "id": str(i.id),
            "application_id": str(self._world.bot.id),
            "type": i.type,
            "token": i.token,
            "version": 1,
            "channel_id": str(i.channel_id),
            "locale": "en-US",
            "entitlements": [],
            "entitlement_sku_ids": [],
            "attachment_size_limit": i.filesize_limit,
            "data": data,
        }
        if i.source is not None:
            payload["message"] = messages.payload(i.source, self._address.http)
        if i.guild_id is None:
            return payload | {
                "user": payloads.user(i.user),
                "channel": payloads.dm_channel(i.channel_id, i.user),
                "app_permissions": str(_DM_PERMISSIONS),
                "authorizing_integration_owners": {"0": "0"},
                "context": 1,
            }
        guild = self._world.guild(i.guild_id)
        bits = str(guild.permissions_of(i.user.id))
        channel = payloads.channel(guild.channels[i.channel_id], guild.id) | {"permissions": bits}
        return payload | {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
            "guild_locale": guild.locale,
            "channel": channel,
            "member": payloads.member(guild.members[i.user.id]) | {"permissions": bits},
            "app_permissions": str(guild.permissions_of(self._world.bot.id)),
            "authorizing_integration_owners": {"0": str(guild.id)},
            "context": 0,
        }

    async def _send(self, i: Interaction, data: dict[str, Any], timeout: float) -> Reply:
        reply = Reply(i)
        self._desk.open(i)
        self.replies[i.id] = reply
        while len(self.replies) > _KEPT:
            del self.replies[next(iter(self.replies))]
        if not self._actions.dispatch("INTERACTION_CREATE", i.guild_id, self._payload(i, data)):
            raise NoReply(f"{i.name}: no client is connected for it")
        await reply.wait(lambda r: r.interaction.callback is not None, self._desk.first_answer_s + 0.5)
        if i.callback == DEFER_UPDATE:
            # It may be all that the bot does; wait for more, but do not insist.
            try:
                return await reply.wait(Reply.answered, timeout)
            except NoReply:
                return reply
        return await reply.wait(Reply.answered, timeout)


def _filled(component: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    if component.get("type") == 1:
        return {"type": 1, "components": [_filled(c, values) for c in component["components"]]}
    if component.get("type") == 18:
        return {"type": 18, "component": _filled(component["component"], values)}
    filled = {"type": component["type"], "custom_id": component.get("custom_id", "")}
    value = values.get(component.get("custom_id", ""), component.get("value"))
    if component["type"] in (3, 5, 6, 7, 8):
        return filled | {"values": value or []}
    if component["type"] == 10:
        return {"type": 10}
    return filled | {"value": value if value is not None else ""}
