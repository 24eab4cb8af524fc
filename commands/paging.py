"""An answer in pages, turned by its asker with two buttons."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import discord

from commands import errors_reply

TIMEOUT_SECONDS = 300.0  # without a press; far below the 15 minutes for which the message can be edited


@dataclass(frozen=True)
class Shown:
    """One page, and the keys of its neighbours (None: there is none)."""

    embed: discord.Embed
    newer: Any = None
    older: Any = None


class Pager(discord.ui.View):
    """Buttons Newer and Older under a page. `turn` makes the page of a key."""

    def __init__(
        self,
        asked: discord.Interaction[Any],
        first: Shown,
        turn: Callable[[Any], Awaitable[Shown]],
        labels: tuple[str, str] = ("Newer", "Older"),
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """A pager for the asker of `asked`, whose answer shows `first`."""
        super().__init__(timeout=timeout)
        self._latest = asked
        self._asker = asked.user.id
        self._turn = turn
        self.newer.label, self.older.label = labels
        self._show(first)

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Only the asker turns the pages."""
        if interaction.user.id == self._asker:
            return True
        await errors_reply.say(interaction, "Only the person who asked can turn these pages: run the command yourself.")
        return False

    @discord.ui.button(label="Newer", emoji="◀️", style=discord.ButtonStyle.secondary)
    async def newer(self, interaction: discord.Interaction[Any], _: discord.ui.Button[Self]) -> None:
        """The page before."""
        await self._go(interaction, self._shown.newer)

    @discord.ui.button(label="Older", emoji="▶️", style=discord.ButtonStyle.secondary)
    async def older(self, interaction: discord.Interaction[Any], _: discord.ui.Button[Self]) -> None:
        """The page after."""
        await self._go(interaction, self._shown.older)

    async def on_timeout(self) -> None:
        """Nobody pressed for a while: the buttons go grey."""
        self.newer.disabled = self.older.disabled = True
        with contextlib.suppress(discord.HTTPException):  # the message may be gone by now
            await self._latest.edit_original_response(view=self)

    async def on_error(self, interaction: discord.Interaction[Any], error: Exception, _: Any, /) -> None:
        """As for commands."""
        await errors_reply.on_error(interaction, error)

    async def _go(self, interaction: discord.Interaction[Any], key: Any) -> None:
        await interaction.response.defer()
        if key is None:
            return  # a second press that overtook the first one's answer
        self._show(await self._turn(key))
        self._latest = interaction
        await interaction.edit_original_response(embed=self._shown.embed, view=self)

    def _show(self, shown: Shown) -> None:
        self._shown = shown
        self.newer.disabled, self.older.disabled = shown.newer is None, shown.older is None


async def send(
    interaction: discord.Interaction[Any],
    first: Shown,
    turn: Callable[[Any], Awaitable[Shown]],
    labels: tuple[str, str] = ("Newer", "Older"),
) -> None:
    """Answers a deferred interaction with a page, and buttons where there are more."""
    if first.newer is None and first.older is None:
        await interaction.followup.send(embed=first.embed, ephemeral=True)
        return
    await interaction.followup.send(embed=first.embed, ephemeral=True, view=Pager(interaction, first, turn, labels))
