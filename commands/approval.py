"""A decision that takes a second person: a message in the channel with a button that somebody else presses."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Self

import discord

from commands import errors_reply

TIMEOUT_SECONDS = 14 * 60.0  # the message can be edited for 15 minutes


class Approval(discord.ui.View):
    """A button Approve, for anybody but the asker who may manage the guild. `approve` takes the approver's id and
    returns what the message says afterwards. `barred`: ids of others whom the decision favours too.
    """

    def __init__(
        self,
        asked: discord.Interaction[Any],
        approve: Callable[[str], Awaitable[str]],
        barred: Collection[str] = (),
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """An approval of what `asked` wants."""
        super().__init__(timeout=timeout)
        self._asker = asked.user.id
        self._approve = approve
        self._barred = frozenset(barred)
        self._question = ""
        self._message: discord.Message | None = None
        self._taken = False

    async def ask(self, interaction: discord.Interaction[Any], question: str) -> None:
        """Puts the question into the channel, below an answer that was given already."""
        self._question = question
        self._message = await interaction.followup.send(
            question, view=self, ephemeral=False, wait=True, allowed_mentions=discord.AllowedMentions.none()
        )

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Only a second person who may manage the guild approves."""
        if interaction.user.id == self._asker:
            await errors_reply.say(interaction, "Somebody else has to approve this: it is in your own favour.")
        elif str(interaction.user.id) in self._barred:
            await errors_reply.say(interaction, "You cannot approve this: it concerns your own join or credit.")
        elif interaction.user.bot or not interaction.permissions.manage_guild:
            await errors_reply.say(interaction, "Only a member of staff with Manage Server can approve this.")
        elif self._taken:
            await errors_reply.say(interaction, "This is being decided already.")
        else:
            return True
        return False

    @discord.ui.button(label="Approve", style=discord.ButtonStyle.success)
    async def approve(self, interaction: discord.Interaction[Any], _: discord.ui.Button[Self]) -> None:
        """The second person agrees."""
        self._taken = True
        await interaction.response.defer()
        try:
            outcome = await self._approve(str(interaction.user.id))
        except BaseException:
            self._taken = False
            raise
        self.stop()
        await interaction.edit_original_response(
            content=outcome, view=None, allowed_mentions=discord.AllowedMentions.none()
        )

    async def on_timeout(self) -> None:
        """Nobody approved."""
        if self._message is not None:
            with contextlib.suppress(discord.HTTPException):  # the message may be gone by now
                await self._message.edit(content=f"{self._question}\nNobody approved in time; ask again.", view=None)

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, _: Any, /) -> None:
        """As for commands."""
        await errors_reply.on_error(interaction, error)
