"""What a test sees of an answered interaction. The object is live: later edits and followups show up in it."""

# ruff: noqa: ASYNC109  (callers say `timeout=` as everywhere else; a context manager around each verb reads worse)
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .interactions import CHOICES, DEFER_REPLY, DEFER_UPDATE, MODAL, REPLY, UPDATE, Interaction
from .messages import LOADING, File, Message


class NoReply(Exception):
    """The bot did not answer in time. What it sent and Discord refused is in the text."""


class Reply:
    """The bot's answer to one interaction."""

    def __init__(self, interaction: Interaction) -> None:
        self.interaction = interaction

    @property
    def id(self) -> int:
        """The interaction's id."""
        return self.interaction.id

    @property
    def message(self) -> Message | None:
        """The original response; for an updated message, that message."""
        return self.interaction.original

    @property
    def ephemeral(self) -> bool:
        """True when only the user sees it."""
        return bool(self.message and self.message.ephemeral)

    @property
    def deferred(self) -> bool:
        """True when the bot asked for time first."""
        return self.interaction.callback in (DEFER_REPLY, DEFER_UPDATE)

    @property
    def updated(self) -> bool:
        """True when the answer changed the message with the button instead of sending a new one."""
        return self.interaction.callback in (UPDATE, DEFER_UPDATE)

    @property
    def content(self) -> str:
        """The text."""
        return self.message.content if self.message else ""

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """The embeds, as JSON."""
        return self.message.embeds if self.message else []

    @property
    def components(self) -> list[dict[str, Any]]:
        """The components, as JSON."""
        return self.message.components if self.message else []

    @property
    def files(self) -> list[File]:
        """The files of the response and of its followups."""
        files = list(self.message.files) if self.message else []
        return files + [f for m in self.followups for f in m.files]

    @property
    def edits(self) -> list[dict[str, Any]]:
        """What the message was before each edit, oldest first."""
        return self.message.edits if self.message else []

    @property
    def followups(self) -> list[Message]:
        """Further messages."""
        return self.interaction.followups

    @property
    def modal(self) -> dict[str, Any] | None:
        """The modal that was opened, as JSON."""
        return self.interaction.modal

    @property
    def choices(self) -> list[dict[str, Any]]:
        """Autocomplete's choices."""
        return self.interaction.choices or []

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Discord's error bodies for what the bot tried in vain."""
        return self.interaction.errors

    @property
    def pings(self) -> list[str]:
        """Whom the answer and its followups notify: see `Message.pings`."""
        return [p for m in ([self.message] if self.message else []) + self.followups for p in m.pings]

    @property
    def text(self) -> str:
        """All that a person reads: contents, embeds, text components, of the response and its followups."""
        messages = ([self.message] if self.message else []) + self.followups
        return "\n".join(part for m in messages for part in _texts(m) if part)

    async def wait(self, condition: Callable[[Reply], bool], timeout: float = 10.0) -> Reply:
        """Waits until `condition` holds. Raises NoReply after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not condition(self):
                    await self.interaction.changed()
        except TimeoutError:
            raise NoReply(f"{self.interaction.name}: no such answer in {timeout} s; refused: {self.errors}") from None
        return self

    async def wait_parts(self, *, edits: int = 0, followups: int = 0, files: int = 0, timeout: float = 10.0) -> Reply:
        """Waits until there are at least so many edits, followups and files. Raises NoReply."""
        return await self.wait(
            lambda r: len(r.edits) >= edits and len(r.followups) >= followups and len(r.files) >= files, timeout
        )

    def answered(self) -> bool:
        """True when there is something to read (or nothing more to come)."""
        i = self.interaction
        if i.callback in (REPLY, UPDATE, CHOICES, MODAL):
            return True
        if i.callback == DEFER_REPLY:
            return i.original is not None and (not i.original.flags & LOADING or i.original.deleted)
        return i.callback == DEFER_UPDATE and (bool(i.followups) or i.edited)


def _texts(message: Message) -> list[str]:
    found = [message.content]
    for embed in message.embeds:
        found += [str(embed.get("title") or ""), str(embed.get("description") or "")]
        found += [f"{f['name']}: {f['value']}" for f in embed.get("fields") or []]
        found.append(str((embed.get("footer") or {}).get("text") or ""))
    stack = list(message.components)
    while stack:
        component = stack.pop(0)
        found.append(str(component.get("content") or "") if component.get("type") == 10 else "")
        stack = list(component.get("components") or []) + stack
    return found
