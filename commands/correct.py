"""`/correct_invite`: a person says which invite a member used; the record stays, the correction stands beside it."""

from __future__ import annotations

import logging
from typing import Any

import discord
from discord import app_commands

from commands import asking, choices, replies
from commands.approval import Approval
from commands.confirming import Confirm
from commands.correction import NO_INVITE, Corrections, Proposal
from commands.history import Join
from commands.recent import Recent
from commands.refusals import Refused
from commands.registry import Registry
from commands.services import Services
from joins.errors import InviteLogError

_SHORTEST_REASON, _LONGEST_REASON = 3, 300  # characters
_LONGEST_CHOICE = 100  # characters, Discord's limit
_log = logging.getLogger("commands.correct")


def command(services: Services, registry: Registry, recent: Recent) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""
    corrections = Corrections(services, registry, recent)

    async def joins(interaction: discord.Interaction[Any], typed: str) -> list[app_commands.Choice[str]]:
        user = getattr(interaction.namespace, "user", None)
        if interaction.guild_id is None or user is None:
            return []
        try:
            found = await corrections.joins(str(interaction.guild_id), str(user.id))
        except InviteLogError as error:
            _log.info("no joins to offer: %s", error)
            return []
        offered = [(_label(join), str(join["join_id"])) for join in reversed(found)]
        fitting = [(label, join_id) for label, join_id in offered if typed.strip().casefold() in label.casefold()]
        return [app_commands.Choice(name=label, value=join_id) for label, join_id in fitting[: choices.MOST]]

    @asking.staff_only
    @app_commands.command(name="correct_invite", description="Say which invite a user really joined with, and why")
    @app_commands.describe(
        user="The member; for somebody who has left, paste the user id",
        code="The invite that was used; 'none' when there was none",
        reason="Why: it is shown with every lookup",
        joined="Which of the user's joins; left out: the latest",
    )
    @app_commands.autocomplete(code=choices.codes(services.folder), joined=joins)
    async def correct_invite(
        interaction: discord.Interaction[Any],
        user: discord.User,
        code: str,
        reason: app_commands.Range[str, _SHORTEST_REASON, _LONGEST_REASON],
        joined: str | None = None,
    ) -> None:
        guild_id = await asking.begin(interaction)
        reason = reason.strip()
        if len(reason) < _SHORTEST_REASON:
            raise Refused("Say why: the reason is shown with every lookup.")
        wanted = None if code.strip().casefold() == NO_INVITE else asking.invite_code(code)
        if wanted is None and code.strip().casefold() != NO_INVITE:
            raise Refused(f"Say which invite: its code, such as abc123XYZ, or `{NO_INVITE}`.")
        actor = str(interaction.user.id)
        proposal = await corrections.propose(guild_id, actor, str(user.id), joined, wanted, reason)
        if proposal.referrer.known:
            await _go_on(interaction, corrections, proposal)
            return

        async def all_the_same(pressed: discord.Interaction[Any]) -> None:
            await _go_on(pressed, corrections, proposal)

        await Confirm(interaction, "Record it all the same", all_the_same).ask(
            f"The invite {replies.code(wanted)} is not known: neither Discord's list nor the recorded joins of this "
            "server have it. Codes tell capital letters from small ones, and an invite that is gone cannot be checked. "
            "It would be credited to nobody."
        )

    return correct_invite


async def _go_on(interaction: discord.Interaction[Any], corrections: Corrections, proposal: Proposal) -> None:
    if not proposal.favours:
        await corrections.record(proposal)
        await interaction.followup.send(_done(proposal), ephemeral=True)
        return

    async def approve(approved_by: str) -> str:
        try:
            await corrections.record(proposal, approved_by)
        except Refused as refused:
            return f"Not recorded: {refused}"
        return f"{_done(proposal)} Approved by <@{approved_by}>."

    await interaction.followup.send(
        "This is in your own favour, so a second person has to approve it: see the message below.", ephemeral=True
    )
    asker, join = interaction.user, proposal.join
    await Approval(interaction, approve, proposal.barred).ask(
        interaction,
        f"{replies.name(asker.display_name)} (<@{asker.id}>) asks to correct how <@{join.user_id}> joined on "
        f"{replies.at(str(join['timestamp']))}: from {_held(join)} to {_wanted(proposal)}. Reason: "
        f"{replies.text(proposal.change['reason'], _LONGEST_REASON)}\nAnother member of staff with Manage Server has "
        "to approve it within 14 minutes.",
    )


def _done(proposal: Proposal) -> str:
    join = proposal.join
    text = (
        f"Corrected: <@{join.user_id}>, who joined on {replies.at(str(join['timestamp']))}, used {_wanted(proposal)} "
        f"(until now: {_held(join)}). The record itself stays; lookups show both."
    )
    if proposal.referrer.staff_id == join.user_id:
        text += " Nobody is credited: the invite is the member's own."
    return text


def _wanted(proposal: Proposal) -> str:
    change = proposal.change
    return replies.attribution(change["invite_code"], change["staff_id"], change["staff_username"])


def _held(join: Join) -> str:
    return (
        replies.attribution(join.invite_code, join.staff_id, join.staff_username) if join.settled else join.confidence
    )


def _label(join: Join) -> str:
    code = join.invite_code or ("no invite" if join.settled else join.confidence)
    staff = f" · {replies.plain(join.staff_username)}" if join.staff_username else ""
    return f"{replies.joined_on(str(join['timestamp']))} UTC · {replies.plain(code)}{staff}"[:_LONGEST_CHOICE]
