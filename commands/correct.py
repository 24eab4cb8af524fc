"""`/correct_invite`: a person says which invite a member used; the record stays, the correction stands beside it."""

from __future__ import annotations

import logging
from typing import Any

import discord
from discord import app_commands

from commands import asking, choices, replies
from commands.approval import Approvals
from commands.confirming import Confirm
from commands.correction import NO_INVITE, Correction, Corrections
from commands.history import Join
from commands.proposals import Proposal
from commands.recent import Recent
from commands.refusals import Refused
from commands.registry import Registry
from commands.services import Services
from joins.chain import Record
from joins.errors import InviteLogError

_SHORTEST_REASON, _LONGEST_REASON = 3, 300  # characters
_LONGEST_CHOICE = 100  # characters, Discord's limit
_log = logging.getLogger("commands.correct")


def command(
    services: Services, registry: Registry, recent: Recent, approvals: Approvals
) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""
    corrections = Corrections(services, registry, recent)

    async def approve(proposal: Proposal, approved_by: str) -> str:
        made = await corrections.record(proposal.change, proposal.shown, approved_by)
        return f"{_done(made, proposal.shown)} Approved by <@{made['approved_by']}>."

    approvals.carry_out("attribution_corrected", approve)

    async def go_on(interaction: discord.Interaction[Any], wanted: Correction) -> None:
        made, shown = wanted.change, wanted.shown
        if not wanted.favours:
            await corrections.record(made, shown)
            await interaction.followup.send(_done(made, shown), ephemeral=True)
            return
        joined_at = replies.at(str(shown["joined_at"]))
        request = (
            f"to correct how <@{made['user_id']}> joined on {joined_at}: from {shown['held']} to {_wanted(made)}. "
            f"Reason: {replies.text(made['reason'], _LONGEST_REASON)}"
        )
        await approvals.ask(interaction, made, shown, request, wanted.barred)

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
        correction = await corrections.propose(guild_id, actor, str(user.id), joined, wanted, reason)
        if correction.known:
            await go_on(interaction, correction)
            return

        async def all_the_same(pressed: discord.Interaction[Any]) -> None:
            await go_on(pressed, correction)

        await Confirm(interaction, "Record it all the same", all_the_same).ask(
            f"The invite {replies.code(wanted)} is not known: neither Discord's list nor the recorded joins of this "
            "server have it. Codes tell capital letters from small ones, and an invite that is gone cannot be checked. "
            "It would be credited to nobody."
        )

    return correct_invite


def _done(made: Record, shown: Record) -> str:
    text = (
        f"Corrected: <@{made['user_id']}>, who joined on {replies.at(str(shown['joined_at']))}, used {_wanted(made)} "
        f"(until now: {shown['held']}). The record itself stays; lookups show both."
    )
    if made["staff_id"] == made["user_id"]:
        text += " Nobody is credited: the invite is the member's own."
    return text


def _wanted(made: Record) -> str:
    return replies.attribution(made["invite_code"], made["staff_id"], made["staff_username"])


def _label(join: Join) -> str:
    code = join.invite_code or ("no invite" if join.settled else join.confidence)
    staff = f" · {replies.plain(join.staff_username)}" if join.staff_username else ""
    return f"{replies.joined_on(str(join['timestamp']))} UTC · {replies.plain(code)}{staff}"[:_LONGEST_CHOICE]
