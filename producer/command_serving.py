"""The seam between this process and the slash commands: what they need, and registering them with Discord."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from hashlib import sha256
from typing import Any

import discord
from discord import app_commands
from redis.exceptions import RedisError

import commands
from joins import keys
from joins.chain import Record, canonical
from joins.records import CHANGES
from joins.redis_url import Client
from joins.scripts import text
from joins.settings import Settings
from producer.condition import Condition
from producer.ports import InviteSource
from producer.recorder import Recorder
from producer.rest import FAILURES

log = logging.getLogger("producer")


def install(
    tree: app_commands.CommandTree[Any],
    settings: Settings,
    recorder: Recorder,
    source: InviteSource,
    condition: Condition,
    proposals: commands.ProposalStore,
    deciding: Callable[[Record], AbstractAsyncContextManager[None]] = lambda change: nullcontext(),
) -> None:
    """Puts every command on the tree. Every change by a person is recorded within `deciding`."""

    async def record_change(change: Record) -> str:
        async with deciding(change):
            return await recorder.record(CHANGES, change)

    async def invite_counts(guild_id: str) -> commands.InviteCounts:
        return await counts(source, guild_id)

    services = commands.Services(
        settings.invite_logs_dir,
        record_change,
        invite_counts,
        commands.Policy(settings.credit_policy),
        condition.guild,
        condition.sinks,
        lambda: recorder.recent(CHANGES),
        proposals,
    )
    commands.install(tree, services)


async def counts(source: InviteSource, guild_id: str) -> commands.InviteCounts:
    """Discord's own counts. Raises PermissionMissing, FetchFailed."""
    snapshot = await source.fetch(guild_id)
    if not snapshot.permitted:
        raise commands.PermissionMissing(
            "Discord does not show me this server's invites: give me the permission **Manage Server**, then try again."
        )
    vanity = snapshot.vanity
    return commands.InviteCounts(
        {
            code: commands.InviteCount(invite.uses, invite.inviter_id, invite.inviter_name)
            for code, invite in snapshot.invites.items()
        },
        commands.VanityCount(vanity.code, vanity.uses) if vanity else None,
    )


async def sync_if_changed(tree: app_commands.CommandTree[Any], client: Client) -> bool:
    """Registers the commands with Discord when they are not those registered last; whether it did.

    Discord allows 200 creations a day and guild, so a restart must not count as one. A refusal is logged: joins are
    recorded without commands too.
    """
    payload = [command.to_dict(tree) for command in tree.get_commands()]
    now = sha256(canonical([tree.client.application_id, payload])).hexdigest()
    try:
        if text(await asyncio.to_thread(client.get, keys.COMMANDS) or b"") == now:
            return False
    except RedisError as error:
        log.warning("whether the slash commands changed is not known (%s); registering them", error)
    try:
        await tree.sync()
    except (discord.DiscordException, *FAILURES) as error:
        log.error("the slash commands could not be registered with Discord: %s", error)
        return False
    try:
        await asyncio.to_thread(client.set, keys.COMMANDS, now)
    except RedisError:
        log.info("the slash commands are registered; the next start does it again")
    else:
        log.info("the slash commands are registered")
    return True
