"""A decision that takes a second person: a message in the channel with a button that somebody else presses.

The button carries the id of what it approves and nothing else, so that it works in whichever process serves it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar, Self
from weakref import WeakValueDictionary

import discord

from commands import errors_reply, replies
from commands.proposals import OPEN_HOURS, Proposal, ProposalStore
from commands.refusals import Refused, Unfit
from joins.chain import Record

Approve = Callable[[Proposal, str], Awaitable[str]]
"""Records what a person of that id approves, and returns what the message says then. Raises Refused."""

_ID = "invitelog:approve:"  # then the proposal's id; Discord allows 100 characters
_OVER = f"This can no longer be approved: it was open for {OPEN_HOURS} hours. Run the command again."
_log = logging.getLogger("commands.approval")


class ApproveButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=_ID + "(?P<id>[0-9a-f]{32})"):
    """The button under a question."""

    approvals: ClassVar[Approvals]

    def __init__(self, proposal_id: str) -> None:
        """A button that approves one proposal."""
        label, style = "Approve", discord.ButtonStyle.success
        super().__init__(discord.ui.Button(label=label, style=style, custom_id=_ID + proposal_id))
        self._proposal_id = proposal_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button that was pressed."""
        return cls(match["id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Somebody agrees."""
        await self.approvals.pressed(interaction, self._proposal_id)


class Approvals:
    """Asks for second persons, and carries out what they approve. `button` is to be made known to the client."""

    def __init__(self, store: ProposalStore) -> None:
        """Proposals are kept in `store`."""
        self._store = store
        self._approve: dict[str, Approve] = {}
        # A second press waits for the first one's outcome.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

        class Button(ApproveButton, template=ApproveButton.__discord_ui_compiled_template__):
            approvals = self

        self.button: type[ApproveButton] = Button

    def carry_out(self, kind: str, approve: Approve) -> None:
        """Says how changes of a kind are recorded once they are approved."""
        self._approve[kind] = approve

    async def ask(
        self,
        interaction: discord.Interaction[Any],
        change: Record,
        shown: Record,
        request: str,
        barred: Iterable[str] = (),
    ) -> None:
        """Keeps what is asked for, and puts the question into the channel, below an answer to the asker.

        `request` goes on from "… asks". Raises Refused when it cannot be kept.
        """
        proposal = Proposal(change, shown, tuple(sorted(barred)), time.time() + OPEN_HOURS * 3600)
        await self._store.keep(proposal)
        await interaction.followup.send(
            "This is in your own favour, so a second person has to approve it: see the message below.", ephemeral=True
        )
        asker = interaction.user
        # Without a timeout: the library would forget the button with the view.
        view = discord.ui.View(timeout=None)
        view.add_item(self.button(proposal.id))
        await interaction.followup.send(
            f"{replies.name(asker.display_name)} (<@{asker.id}>) asks {request}\nAnother member of staff with Manage "
            f"Server has to approve it within {OPEN_HOURS} hours.",
            view=view,
            ephemeral=False,
            wait=True,
            allowed_mentions=discord.AllowedMentions.none(),
        )

    async def pressed(self, interaction: discord.Interaction[Any], proposal_id: str) -> None:
        """Somebody pressed the button. Never raises."""
        try:
            await interaction.response.defer()  # what is asked now may take longer than Discord waits
            lock = self._locks.setdefault(proposal_id, asyncio.Lock())
            async with lock:
                await self._decide(interaction, proposal_id)
        except Exception as error:
            await errors_reply.on_error(interaction, error)

    async def _decide(self, interaction: discord.Interaction[Any], proposal_id: str) -> None:
        """Raises Refused when nothing comes of this press."""
        proposal = await self._store.read(proposal_id)
        if proposal is None or time.time() >= proposal.until:
            question = interaction.message.content if interaction.message else ""
            await _close(interaction, f"{question}\n{_OVER}")
            raise Refused(_OVER)
        if proposal.outcome is not None:
            await _close(interaction, proposal.outcome)  # a crash may have come between the record and the message
            raise Refused("This was decided already: the message says how.")
        _check(interaction, proposal)
        try:
            outcome = await self._approve[proposal.kind](proposal, str(interaction.user.id))
        except Unfit:
            raise
        except Refused as refused:
            outcome = f"Not recorded: {refused}"
        try:
            await self._store.keep(replace(proposal, outcome=outcome))
        except Refused as refused:
            # A further press finds the change recorded, or what it rests on altered.
            _log.info("that a proposal was decided could not be noted: %s", refused)
        await _close(interaction, outcome)


def _check(interaction: discord.Interaction[Any], proposal: Proposal) -> None:
    """Only a second person who may manage the guild approves. Raises Unfit."""
    user_id = str(interaction.user.id)
    if user_id == proposal.asker_id:
        raise Unfit("Somebody else has to approve this: it is in your own favour.")
    if user_id in proposal.barred:
        raise Unfit("You cannot approve this: it concerns your own join or credit.")
    in_its_guild = str(interaction.guild_id) == proposal.change["guild_id"]
    if interaction.user.bot or not in_its_guild or not interaction.permissions.manage_guild:
        raise Unfit("Only a member of staff with Manage Server can approve this.")


async def _close(interaction: discord.Interaction[Any], content: str) -> None:
    """The message says what came of it, without the button."""
    content = content[: replies.CONTENT]
    nobody = discord.AllowedMentions.none()
    try:
        await interaction.edit_original_response(content=content, view=None, allowed_mentions=nobody)
    except discord.HTTPException:  # the message may be gone by now
        await errors_reply.say(interaction, content)
