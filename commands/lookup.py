"""`/lookup_user_invite`, and "Look up invite" on a right click: which invite a member joined with."""

from __future__ import annotations

import asyncio
from typing import Any

import discord
from discord import app_commands

from commands import lookup_embed, replies
from commands.asking import begin, staff_only
from commands.credit import credited
from commands.history import History
from commands.recent import Recent
from commands.registry import Registry
from commands.services import Services
from joins.records import timestamp


def command(services: Services, registry: Registry, recent: Recent) -> app_commands.Command[Any, ..., Any]:
    """The slash command."""

    @staff_only
    @app_commands.command(
        name="lookup_user_invite", description="Which invite did a user join with, and who gets credit?"
    )
    @app_commands.describe(user="The member; for somebody who has left, paste the user id")
    async def lookup_user_invite(interaction: discord.Interaction[Any], user: discord.User) -> None:
        await _answer(interaction, user, services, registry, recent)

    return lookup_user_invite


def context_menu(services: Services, registry: Registry, recent: Recent) -> app_commands.ContextMenu:
    """The same on a right click on a user."""

    async def look_up(interaction: discord.Interaction[Any], user: discord.User) -> None:
        await _answer(interaction, user, services, registry, recent)

    return staff_only(app_commands.ContextMenu(name="Look up invite", callback=look_up))


async def _answer(
    interaction: discord.Interaction[Any],
    user: discord.User | discord.Member,
    services: Services,
    registry: Registry,
    recent: Recent,
) -> None:
    guild_id = await begin(interaction)
    found = await asyncio.to_thread(recent.of_member, guild_id, str(user.id))
    if not found.joins:
        await interaction.followup.send(_absent(user, found), ephemeral=True)
        return
    register = await asyncio.to_thread(registry.of_guild, guild_id)
    credit = credited(found.joins, services.credit_policy)
    made = lookup_embed.embed(found, register, credit, services.credit_policy)
    await interaction.followup.send(embed=made, ephemeral=True)


def _absent(user: discord.User | discord.Member, found: History) -> str:
    """Why there may be no record of somebody."""
    who = f"{replies.name(user.display_name)} ({replies.code(str(user.id))})"
    looked = "neither the logs nor the database hold" if found.has_database else "the JSON log does not hold"
    parts = [f"No join of {who} is recorded in this server: {looked} one."]
    if found.begins is None:
        parts.append("The log has no join of this server yet; it begins by itself with the next one.")
        return " ".join(parts)
    parts.append(f"The log of this server goes back to {replies.at(found.begins)}.")
    joined = user.joined_at if isinstance(user, discord.Member) else None
    if joined is None:
        parts.append("Somebody who joined before that, or never, is not in it.")
    elif timestamp(joined) < found.begins:
        parts.append(f"This member joined before that, {replies.at(timestamp(joined))}.")
    else:
        parts.append(
            f"This member joined after that, {replies.at(timestamp(joined))}: "
            "the join was missed, or is still on its way."
        )
    return " ".join(parts)
