"""A question back to the asker alone: a button that goes on with what was asked."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Self

import discord

from commands import errors_reply

TIMEOUT_SECONDS = 300.0


class Confirm(discord.ui.View):
    """One button under a private answer. `go_on` is called once, with the interaction of the press, deferred."""

    def __init__(
        self,
        asked: discord.Interaction[Any],
        label: str,
        go_on: Callable[[discord.Interaction[Any]], Awaitable[None]],
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """A confirmation of what `asked` wants."""
        super().__init__(timeout=timeout)
        self._asked = asked
        self._asker = asked.user.id
        self._go_on = go_on
        self._taken = False
        self.confirm.label = label

    async def ask(self, question: str) -> None:
        """Answers the deferred interaction with the question."""
        await self._asked.followup.send(
            question, view=self, ephemeral=True, allowed_mentions=discord.AllowedMentions.none()
        )

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Only the asker confirms, and once."""
        if interaction.user.id == self._asker and not self._taken:
            return True
        await errors_reply.say(interaction, "This is not yours to confirm, or it is under way already.")
        return False

    @discord.ui.button(label="Confirm", style=discord.ButtonStyle.danger)
    async def confirm(self, interaction: discord.Interaction[Any], _: discord.ui.Button[Self]) -> None:
        """The asker confirms."""
        self._taken = True
        await interaction.response.defer()
        self.stop()
        await interaction.edit_original_response(view=None)
        await self._go_on(interaction)

    async def on_timeout(self) -> None:
        """Nobody pressed: the button goes."""
        with contextlib.suppress(discord.HTTPException):  # the message may be gone by now
            await self._asked.edit_original_response(view=None)

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, _: Any, /) -> None:
        """As for commands."""
        await errors_reply.on_error(interaction, error)
