"""`/staff`: who is registered as staff, with IB link and code, and whose joins an invite counts for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import discord
from discord import app_commands

from commands import asking, choices, paging, referrer, replies, upgrades
from commands.approval import Approvals
from commands.paging import Shown
from commands.proposals import Proposal
from commands.refusals import Refused
from commands.registry import Register, Registry
from commands.services import Services
from commands.staff_change import StaffChanges

_PAGE = 8  # staff a page
_CODES_SHOWN = 6  # codes of one member of staff in the list


def group(services: Services, registry: Registry, approvals: Approvals) -> app_commands.Group:
    """The group with its four subcommands."""
    staff = asking.staff_only(app_commands.Group(name="staff", description="The staff register: IB links and invites"))
    changes = StaffChanges(registry, services.record_change)

    @staff.command(name="set", description="Register a member of staff, or alter the IB link or code")
    @app_commands.describe(
        member="The member of staff",
        ib_link="Web address (https://…); leave out to keep, 'none' to remove",
        ib_code="IB code; leave out to keep, 'none' to remove",
    )
    async def set_staff(
        interaction: discord.Interaction[Any],
        member: discord.User,
        ib_link: str | None = None,
        ib_code: str | None = None,
    ) -> None:
        guild_id = await asking.begin(interaction)
        _refuse_bot(member)
        actor = str(interaction.user.id)
        new = await changes.set(guild_id, actor, str(member.id), str(member), ib_link, ib_code)
        made = replies.embed("Registered")
        parts = [f"**Name:** {replies.name(new.name)}", f"**ID:** {replies.code(new.staff_id)}"]
        parts += [f"**IB Link:** {replies.link(new.ib_link)}", f"**IB Code:** {replies.code(new.ib_code)}"]
        replies.add(made, "Staff", parts)
        await interaction.followup.send(embed=made, ephemeral=True)

    @staff.command(name="list", description="Who is registered, with IB links, IB codes and assigned invites")
    async def list_staff(interaction: discord.Interaction[Any]) -> None:
        guild_id = await asking.begin(interaction)
        register = await changes.register(guild_id)
        if not register.active():
            raise Refused("Nobody is registered as staff here yet: `/staff set` registers a member.")

        async def turn(page: int) -> Shown:
            upgraded = await asyncio.to_thread(upgrades.counts, services.folder, guild_id)
            return _page(await changes.register(guild_id), upgraded, page)

        await paging.send(interaction, await turn(0), turn, ("Previous", "Next"))

    @staff.command(name="assign", description="Joins by this invite count for this member of staff from now on")
    @app_commands.describe(code="The invite's code", member="The member of staff")
    @app_commands.autocomplete(code=choices.codes(services.folder))
    async def assign(interaction: discord.Interaction[Any], code: str, member: discord.User) -> None:
        guild_id = await asking.begin(interaction)
        _refuse_bot(member)
        wanted = asking.invite_code(code)
        if wanted is None:
            raise Refused("Say which invite: its code, such as abc123XYZ.")
        await _check_known(services, changes, guild_id, wanted)
        actor = interaction.user
        made, holder = await changes.propose(guild_id, str(actor.id), wanted, str(member.id))
        if member.id != actor.id:
            await changes.assign(made, str(member), holder)
            await interaction.followup.send(_assigned(wanted, member.display_name, holder), ephemeral=True)
            return
        request = f"that joins by the invite {replies.code(wanted)} count for themselves."
        if holder:
            request += f" Until now they count for <@{holder}>."
        await approvals.ask(interaction, made, {"name": str(member), "holder": holder}, request)

    async def approve(proposal: Proposal, approved_by: str) -> str:
        made, name, holder = proposal.change, proposal.shown["name"], proposal.shown["holder"]
        await changes.assign(made, name, holder, approved_by)
        return f"{_assigned(made['invite_code'], name, holder)} Approved by <@{approved_by}>."

    approvals.carry_out("code_assigned", approve)

    @staff.command(name="remove", description="Take a member off the staff register; recorded joins stay as they are")
    @app_commands.describe(member="The member of staff")
    async def remove(interaction: discord.Interaction[Any], member: discord.User) -> None:
        guild_id = await asking.begin(interaction)
        codes = await changes.retire(guild_id, str(interaction.user.id), str(member.id))
        text = (
            f"{replies.name(member.display_name)} is off the staff register. Joins already recorded stay as they are."
        )
        if codes:
            shown = ", ".join(replies.code(code) for code in codes[:20]) + (" …" if len(codes) > 20 else "")
            text += f" Still assigned to them, until `/staff assign` says otherwise: {shown}"
        await interaction.followup.send(text, ephemeral=True)

    return staff


def _refuse_bot(member: discord.User | discord.Member) -> None:
    if member.bot:
        raise Refused("A bot cannot be staff: choose the person to whom its invites belong.")


async def _check_known(services: Services, changes: StaffChanges, guild_id: str, code: str) -> None:
    """Raises Refused for a code that neither Discord nor the logs know in this guild."""
    if not (await referrer.of_code(services, await changes.register(guild_id), guild_id, code)).known:
        raise Refused(
            f"There is no invite {replies.code(code)} here: neither Discord's list nor the recorded joins of this "
            "server have it. Codes tell capital letters from small ones."
        )


def _assigned(code: str, name: str, holder: str | None) -> str:
    text = f"Joins by the invite {replies.code(code)} count for {replies.name(name)} from now on"
    text += f" (until now: <@{holder}>)." if holder else "."
    return text + " Joins already recorded stay as they are."


def _page(register: Register, upgraded: Mapping[str, int], page: int) -> Shown:
    active = register.active()
    pages = max(1, -(-len(active) // _PAGE))
    page = min(page, pages - 1)
    made = replies.embed(f"{len(active):,} registered as staff")
    for one in active[page * _PAGE : (page + 1) * _PAGE]:
        codes = register.codes_of(one.staff_id)
        assigned = ", ".join(replies.code(code) for code in codes[:_CODES_SHOWN]) or "none assigned"
        if len(codes) > _CODES_SHOWN:
            assigned += f" and {len(codes) - _CODES_SHOWN:,} more"
        parts = [f"{replies.name(one.name)} · {replies.code(one.staff_id)}"]
        parts += [f"IB link: {replies.link(one.ib_link)} · IB code: {replies.code(one.ib_code)}"]
        parts += [f"Invites: {assigned}"]
        if number := upgraded.get(one.staff_id):
            parts += [f"VIP upgrades: {number:,}"]
        replies.add(made, "\u200b", parts)
    if pages > 1:
        made.set_footer(text=f"Page {page + 1} of {pages}")
    return Shown(made, page - 1 if page > 0 else None, page + 1 if page + 1 < pages else None)
