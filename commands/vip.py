"""`/vip_upgrade`: a member becomes a VIP; the referrer is looked up, shown with the IB data, and credited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from commands import asking, lookup_embed, replies
from commands.approval import Approvals
from commands.credit import Policy, credited
from commands.proposals import Proposal
from commands.recent import Recent
from commands.refusals import Refused
from commands.registry import Register, Registry, Staff
from commands.services import Services
from commands.upgrades import KIND, Upgrades, upgrade
from joins.chain import Record

_LONGEST_NOTE = 300  # characters
_BY_POLICY, _NAMED = "credit_policy", "person"


@dataclass(frozen=True)
class _Credited:
    """Whom an upgrade counts for, by which of the member's joins, and how that was found."""

    staff_id: str
    staff_username: str | None
    join_id: str | None
    method: str


def command(
    services: Services, registry: Registry, recent: Recent, upgrades: Upgrades, approvals: Approvals
) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""
    policy = services.credit_policy

    async def credit(guild_id: str, user_id: str, named: Staff | None) -> tuple[_Credited, Register]:
        register = await asyncio.to_thread(registry.of_guild, guild_id)
        return await asyncio.to_thread(_credit, recent, policy, guild_id, user_id, named, register), register

    async def approve(proposal: Proposal, approved_by: str) -> str:
        made = proposal.change
        user_id, staff_id = str(made["user_id"]), str(made["staff_id"])
        named = Staff(staff_id, made["staff_username"]) if made["method"] == _NAMED else None
        if await upgrades.of_member(made["guild_id"], user_id) is None:
            found, _ = await credit(made["guild_id"], user_id, named)
            now, then = (found.staff_id, found.join_id, found.method), (staff_id, made["join_id"], made["method"])
            if (*now, policy.value) != (*then, made["policy"]):
                raise Refused("it has changed meanwhile who is credited; run the command again.")
        recorded = await upgrades.record(made, approved_by)
        return f"<@{user_id}> is a VIP, credited to <@{staff_id}>. Approved by <@{recorded['approved_by']}>."

    approvals.carry_out(KIND, approve)

    @asking.staff_only
    @app_commands.command(name="vip_upgrade", description="Record a member's VIP upgrade, credited to the referrer")
    @app_commands.describe(
        user="The member who becomes a VIP",
        note="Anything worth keeping with it",
        staff="Whom to credit, only where the log does not say who referred the member",
    )
    async def vip_upgrade(
        interaction: discord.Interaction[Any],
        user: discord.User,
        note: app_commands.Range[str, 1, _LONGEST_NOTE] | None = None,
        staff: discord.User | None = None,
    ) -> None:
        guild_id = await asking.begin(interaction)
        if user.bot:
            raise Refused("A bot cannot be a VIP.")
        user_id, actor = str(user.id), interaction.user
        if (done := await upgrades.of_member(guild_id, user_id)) is not None:
            raise Refused(_already(done))
        if staff is not None and staff.bot:
            raise Refused("No bot is credited: name the person who referred the member.")
        found, register = await credit(guild_id, user_id, Staff(str(staff.id), str(staff)) if staff else None)
        made = upgrade(
            guild_id,
            str(actor.id),
            user_id,
            note,
            join_id=found.join_id,
            staff_id=found.staff_id,
            staff_username=found.staff_username,
            method=found.method,
            policy=policy.value,
        )
        shown = _shown(made, found, register, policy.sentence)
        if str(actor.id) not in (found.staff_id, user_id):
            await upgrades.record(made)
            await interaction.followup.send(embed=shown, ephemeral=True)
            return

        request = f"to record the VIP upgrade of <@{user_id}>, credited to <@{found.staff_id}>."
        await approvals.ask(interaction, made, {}, request, (found.staff_id, user_id))

    return vip_upgrade


def _credit(
    recent: Recent,
    policy: Policy,
    guild_id: str,
    user_id: str,
    named: Staff | None,
    register: Register,
) -> _Credited:
    """Whom the policy credits; where it credits nobody for certain, who was named. Raises Refused."""
    joins = recent.of_member(guild_id, user_id).joins
    credit = credited(joins, policy)
    if credit.join is not None and not credit.provisional:
        staff_id = str(credit.join.staff_id)
        if named is not None and named.staff_id != staff_id:
            raise Refused(
                f"The log says who referred the member: <@{staff_id}>. If that is wrong, correct the join first with "
                "`/correct_invite`; nothing was recorded."
            )
        staff = register.staff.get(staff_id)
        name = (staff.name if staff else None) or credit.join.staff_username
        return _Credited(staff_id, name, credit.join["join_id"], _BY_POLICY)
    if named is None:
        raise Refused(f"{_why_nobody(bool(joins), credit.provisional)}; nothing was recorded.")
    if named.staff_id == user_id:
        raise Refused("Nobody is credited for himself: name the person who referred the member.")
    staff = register.staff.get(named.staff_id)
    name = (staff.name if staff else None) or named.name
    return _Credited(named.staff_id, name, joins[-1]["join_id"] if joins else None, _NAMED)


def _why_nobody(recorded: bool, provisional: bool) -> str:
    if not recorded:
        return "No join of that member is recorded in this server: name whom to credit with `staff`"
    if provisional:
        return (
            "It is not settled who referred the member: settle it with `/correct_invite`, or name whom to credit with "
            "`staff`"
        )
    return "The log knows nobody who referred the member: name whom to credit with `staff`"


def _already(done: Record) -> str:
    staff = f"credited to <@{done['staff_id']}>" if done.get("staff_id") else "credited to nobody"
    when = replies.at(str(done["recorded_at"]))
    return (
        f"<@{done['user_id']}> was upgraded already: by <@{done['actor_id']}> on {when}, {staff}. Nothing was recorded."
    )


def _shown(made: Record, found: _Credited, register: Register, policy: str) -> discord.Embed:
    shown = replies.embed("VIP upgrade recorded")
    replies.add(shown, "Member", [f"<@{made['user_id']}> ({replies.code(made['user_id'])})"])
    who = replies.name(found.staff_username) if found.staff_username else f"<@{found.staff_id}>"
    why = f"Policy: {policy}." if found.method == _BY_POLICY else "Named by you, since the log does not say."
    parts = [f"**{who}** ({replies.code(found.staff_id)})", *lookup_embed.ib(register.staff.get(found.staff_id)), why]
    replies.add(shown, "Credited To", parts)
    if made["reason"]:
        replies.add(shown, "Note", [replies.text(made["reason"], _LONGEST_NOTE)])
    return shown
