"""The slash commands: `install` puts them on a command tree; `Services` is what they need from their process."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from commands import correct, errors_reply, export, invite_status, lookup, staff, sync, view, vip
from commands.credit import Policy
from commands.recent import Recent
from commands.refusals import PermissionMissing, Refused
from commands.registry import Registry
from commands.services import GuildState, InviteCount, InviteCounts, Services, SinkState, VanityCount

__all__ = [
    "GuildState",
    "InviteCount",
    "InviteCounts",
    "PermissionMissing",
    "Policy",
    "Refused",
    "Services",
    "SinkState",
    "VanityCount",
    "install",
]


def install(tree: app_commands.CommandTree[Any], services: Services) -> None:
    """Adds every command to the tree, and answers their errors. Syncing the tree with Discord is the caller's."""
    registry, recent = Registry(services.folder), Recent(services.folder)
    tree.add_command(lookup.command(services, registry, recent))
    tree.add_command(lookup.context_menu(services, registry, recent))
    tree.add_command(view.command(services))
    tree.add_command(export.command(services))
    tree.add_command(sync.command(services, registry))
    tree.add_command(invite_status.command(services))
    tree.add_command(correct.command(services, registry, recent))
    tree.add_command(vip.command(services, registry, recent))
    tree.add_command(staff.group(services, registry))
    tree.error(errors_reply.on_error)
