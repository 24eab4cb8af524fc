"""The slash commands: `install` puts them on a command tree; `Services` is what they need from their process."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from commands import correct, errors_reply, export, invite_status, lookup, staff, sync, view, vip
from commands.approval import Approvals
from commands.credit import Policy
from commands.history import ATTRIBUTIONS
from commands.proposals import Proposal, ProposalStore
from commands.recent import Recent
from commands.refusals import PermissionMissing, Refused
from commands.registry import KINDS, Registry
from commands.services import GuildState, InviteCount, InviteCounts, Services, SinkState, VanityCount
from commands.upgrades import KIND, Upgrades
from joins import event_id

__all__ = [
    "GuildState",
    "InviteCount",
    "InviteCounts",
    "PermissionMissing",
    "Policy",
    "Proposal",
    "ProposalStore",
    "Refused",
    "Services",
    "SinkState",
    "VanityCount",
    "install",
]


def install(tree: app_commands.CommandTree[Any], services: Services) -> None:
    """Adds every command to the tree, and answers their errors. Syncing the tree with Discord is the caller's.

    Before the client connects: from then on, buttons of an earlier process may be pressed.
    """
    registry, recent, upgrades = Registry(services.folder), Recent(services), Upgrades(services)
    for event, change in sorted(services.recent_changes(), key=lambda item: event_id.parse(item[0])):
        if change["change"] in ATTRIBUTIONS:
            recent.note(change, event)
        elif change["change"] in KINDS:
            registry.note(change, event)
        elif change["change"] == KIND:
            upgrades.note(change, event)
    approvals = Approvals(services.proposals)
    tree.client.add_dynamic_items(approvals.button)
    tree.add_command(lookup.command(services, registry, recent))
    tree.add_command(lookup.context_menu(services, registry, recent))
    tree.add_command(view.command(services))
    tree.add_command(export.command(services))
    tree.add_command(sync.command(services, registry))
    tree.add_command(invite_status.command(services))
    tree.add_command(correct.command(services, registry, recent, approvals))
    tree.add_command(vip.command(services, registry, recent, upgrades, approvals))
    tree.add_command(staff.group(services, registry, approvals))
    tree.error(errors_reply.on_error)
