"""Interactions: one use of a command, button, select or modal, and everything the bot answered to it.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from .commands import check_choice
from .messages import EPHEMERAL, LOADING, File, Message, apply, edit
from .models import User
from .rest import ApiError, invalid_form
from .world import World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL_SUBMIT = 2, 3, 4, 5

REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, CHOICES, MODAL = 4, 5, 6, 7, 8, 9

FIRST_ANSWER_S = 3.0
"""Seconds in which the first callback must come."""

TOKEN_S = 15 * 60.0
"""Seconds that an interaction's token lives."""


@dataclass
class Interaction:
    """One interaction. `created` is on the monotonic clock, in seconds."""

    id: int
    type: int
    user: User
    channel_id: int
    guild_id: int | None
    name: str
    source: Message | None = None
    option_kind: int = 3
    token: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    created: float = field(default_factory=time.monotonic)
    callback: int | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    modal: dict[str, Any] | None = None
    choices: list[dict[str, Any]] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    edited: bool = False
    filesize_limit: int = 10 * 1024 * 1024
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def change(self) -> None:
        """Wakes who waits for the bot."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Waits for the bot's next answer."""
        await self._changed.wait()


class InteractionDesk:
    """All interactions by token, and the rules for answering them."""

    def __init__(self, world: World, messages: dict[int, list[Message]]) -> None:
        self._world = world
        self._messages = messages
        self._by_token: dict[str, Interaction] = {}
        self.first_answer_s = FIRST_ANSWER_S
        self.token_s = TOKEN_S

    def open(self, interaction: Interaction) -> None:
        """Makes its token known."""
        self._by_token[interaction.token] = interaction

    def find(self, token: str) -> Interaction:
        """The interaction of a webhook token; ApiError when unknown or 15 minutes old."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.callback is None:
            raise ApiError(404, 10015, "Unknown Webhook")
        if time.monotonic() - interaction.created > self.token_s:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    def answer(self, interaction_id: str, token: str, body: dict[str, Any], uploads: dict[int, File]) -> Interaction:
        """The first callback. ApiError: 10062 unknown or later than 3 s, 40060 answered already."""
        interaction = self._by_token.get(token)
        if interaction is None or str(interaction.id) != interaction_id:
            raise ApiError(404, 10062, "Unknown interaction")
        if interaction.callback is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if time.monotonic() - interaction.created > self.first_answer_s:
            raise ApiError(404, 10062, "Unknown interaction")
        kind, data = body.get("type"), body.get("data") or {}
        try:
            self._take(interaction, kind, data, uploads)
        except ApiError as error:
            interaction.errors.append(error.body)
            raise
        interaction.callback = kind
        interaction.change()
        return interaction

    def _take(self, i: Interaction, kind: Any, data: dict[str, Any], uploads: dict[int, File]) -> None:
        if kind not in _ALLOWED[i.type]:
            raise invalid_form(type=f"Interaction of type {i.type} cannot be answered with type {kind}")
        if kind in (UPDATE, DEFER_UPDATE) and i.source is None:
            raise invalid_form(type="There is no message to update")
        if kind == REPLY:
            i.original = self._new(i, data, uploads, i.filesize_limit)
        elif kind == DEFER_REPLY:
            i.original = self._blank(i, LOADING | int(data.get("flags") or 0) & EPHEMERAL)
        elif kind == DEFER_UPDATE:
            i.original = i.source
        elif kind == UPDATE and i.source is not None:
            edit(i.source, data, uploads, i.filesize_limit, self._world.now())
            i.original = i.source
        elif kind == CHOICES:
            i.choices = _checked_choices(data.get("choices") or [], i.option_kind)
        elif kind == MODAL:
            i.modal = _checked_modal(data)

    def follow_up(self, i: Interaction, data: dict[str, Any], uploads: dict[int, File]) -> Message:
        """A followup. The first one after a deferral takes the place of "is thinking", as on Discord."""
        with _noting(i):
            if i.original is not None and i.original.flags & LOADING:
                apply(i.original, data, uploads, i.filesize_limit)
                message = i.original
                self._publish(message)
            else:
                message = self._new(i, data, uploads, i.filesize_limit)
                i.followups.append(message)
        i.change()
        return message

    def edit(self, i: Interaction, which: str, data: dict[str, Any], uploads: dict[int, File]) -> Message:
        """Edits `@original` or a followup by id."""
        message = self.message(i, which)
        with _noting(i):
            if message.flags & LOADING:
                apply(message, data, uploads, i.filesize_limit)
                self._publish(message)
            else:
                edit(message, data, uploads, i.filesize_limit, self._world.now())
        i.edited = True
        i.change()
        return message

    def delete(self, i: Interaction, which: str) -> None:
        """Deletes `@original` or a followup."""
        message = self.message(i, which)
        message.deleted = True
        stored = self._messages.get(message.channel_id, [])
        if message in stored:
            stored.remove(message)
        i.change()

    def message(self, i: Interaction, which: str) -> Message:
        """`@original` or a followup by id; ApiError 10008."""
        everything = ([i.original] if i.original else []) + i.followups
        for message in everything:
            if not message.deleted and (which == str(message.id) or (which == "@original" and message is i.original)):
                return message
        raise ApiError(404, 10008, "Unknown Message")

    def _new(self, i: Interaction, data: dict[str, Any], uploads: dict[int, File], limit: int) -> Message:
        message = self._blank(i, int(data.get("flags") or 0) & EPHEMERAL)
        apply(message, data, uploads, limit)
        self._publish(message)
        return message

    def _blank(self, i: Interaction, flags: int) -> Message:
        message = Message(
            self._world.snowflakes.make(), i.channel_id, self._world.bot, self._world.now(), i.guild_id, flags=flags
        )
        message.application_id = self._world.bot.id
        message.interaction = _metadata(i)
        return message

    def _publish(self, message: Message) -> None:
        if not message.ephemeral:
            self._messages.setdefault(message.channel_id, []).append(message)


_ALLOWED: dict[int, tuple[int, ...]] = {
    COMMAND: (REPLY, DEFER_REPLY, MODAL),
    COMPONENT: (REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE, MODAL),
    AUTOCOMPLETE: (CHOICES,),
    MODAL_SUBMIT: (REPLY, DEFER_REPLY, DEFER_UPDATE, UPDATE),
}


class _noting:  # noqa: N801  (reads as a verb at its call sites)
    """Writes a refused answer into the interaction, so that a test sees why nothing came."""

    def __init__(self, interaction: Interaction) -> None:
        self._interaction = interaction

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            self._interaction.errors.append(error.body)
            self._interaction.change()


def _metadata(i: Interaction) -> dict[str, Any]:
    user = {"id": str(i.user.id), "username": i.user.username, "discriminator": "0", "avatar": None}
    owners = {"0": str(i.guild_id)} if i.guild_id else {"1": str(i.user.id)}
    data: dict[str, Any] = {"id": str(i.id), "type": i.type, "user": user, "authorizing_integration_owners": owners}
    if i.type == COMPONENT and i.source is not None:
        data["interacted_message_id"] = str(i.source.id)
    if i.type == MODAL_SUBMIT:
        data["triggering_interaction_metadata"] = {**data, "type": COMMAND}
    return data


def _checked_choices(choices: list[dict[str, Any]], kind: int) -> list[dict[str, Any]]:
    if len(choices) > 25:
        raise invalid_form(**{"data.choices": "Must be 25 or fewer in length."})
    for index, choice in enumerate(choices):
        check_choice(choice, kind, f"data.choices.{index}")
    return choices


def _checked_modal(data: dict[str, Any]) -> dict[str, Any]:
    if not 1 <= len(data.get("custom_id") or "") <= 100:
        raise invalid_form(**{"data.custom_id": "Must be between 1 and 100 in length."})
    if not 1 <= len(data.get("title") or "") <= 45:
        raise invalid_form(**{"data.title": "Must be between 1 and 45 in length."})
    if not 1 <= len(data.get("components") or []) <= 5:
        raise invalid_form(**{"data.components": "Must be between 1 and 5 in length."})
    return data
