"""`/vip_upgrade`: a member becomes a VIP; the referrer is looked up, shown with the IB data, and credited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from commands import asking, lookup_embed, replies
from commands.approval import Approval
from commands.credit import Policy, credited
from commands.recent import Recent
from commands.refusals import Refused
from commands.registry import Register, Registry
from commands.services import Services
from commands.upgrades import Upgrades, upgrade
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


def command(services: Services, registry: Registry, recent: Recent) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""
    upgrades = Upgrades(services)

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
        register = await asyncio.to_thread(registry.of_guild, guild_id)
        policy = services.credit_policy
        found = await asyncio.to_thread(_credit, recent, policy, guild_id, user_id, staff, register)
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

        async def approve(approved_by: str) -> str:
            try:
                if await asyncio.to_thread(_credit, recent, policy, guild_id, user_id, staff, register) != found:
                    raise Refused("it has changed meanwhile who is credited; run the command again.")
                await upgrades.record(made, approved_by)
            except Refused as refused:
                return f"Not recorded: {refused}"
            return f"<@{user_id}> is a VIP, credited to <@{found.staff_id}>. Approved by <@{approved_by}>."

        await interaction.followup.send(
            "This is in your own favour, so a second person has to approve it: see the message below.", ephemeral=True
        )
        await Approval(interaction, approve, (found.staff_id, user_id)).ask(
            interaction,
            f"{replies.name(actor.display_name)} (<@{actor.id}>) asks to record the VIP upgrade of <@{user_id}>, "
            f"credited to <@{found.staff_id}>. Another member of staff with Manage Server has to approve it within 14 "
            "minutes.",
        )

    return vip_upgrade


def _credit(
    recent: Recent,
    policy: Policy,
    guild_id: str,
    user_id: str,
    named: discord.User | discord.Member | None,
    register: Register,
) -> _Credited:
    """Whom the policy credits; where it credits nobody for certain, who was named. Raises Refused."""
    joins = recent.of_member(guild_id, user_id).joins
    credit = credited(joins, policy)
    if credit.join is not None and not credit.provisional:
        staff_id = str(credit.join.staff_id)
        if named is not None and str(named.id) != staff_id:
            raise Refused(
                f"The log says who referred the member: <@{staff_id}>. If that is wrong, correct the join first with "
                "`/correct_invite`; nothing was recorded."
            )
        staff = register.staff.get(staff_id)
        name = (staff.name if staff else None) or credit.join.staff_username
        return _Credited(staff_id, name, credit.join["join_id"], _BY_POLICY)
    if named is None:
        raise Refused(f"{_why_nobody(bool(joins), credit.provisional)}; nothing was recorded.")
    if named.bot or str(named.id) == user_id:
        raise Refused("Nobody is credited for himself, and no bot is: name the person who referred the member.")
    staff = register.staff.get(str(named.id))
    name = (staff.name if staff else None) or str(named)
    return _Credited(str(named.id), name, joins[-1]["join_id"] if joins else None, _NAMED)


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
