"""What the commands need from the process that serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from commands.credit import Policy
from joins.chain import Record


@dataclass(frozen=True)
class InviteCount:
    """How often Discord says that an invite was used, and who made it."""

    uses: int
    inviter_id: str | None = None
    inviter_name: str | None = None


@dataclass(frozen=True)
class VanityCount:
    """The vanity URL's code, and how often Discord says that it was used."""

    code: str
    uses: int


@dataclass(frozen=True)
class InviteCounts:
    """Discord's own counts for one guild: its live invites by code, and its vanity URL where it has one."""

    invites: Mapping[str, InviteCount]
    vanity: VanityCount | None = None


@dataclass(frozen=True)
class Services:
    """What the commands need from the process that serves them.

    `record_change` takes a change without event id, hash and commitments, and returns its event id once it is durable.
    `invite_counts` takes a guild id; it raises PermissionMissing when Discord does not show the bot the counts.
    """

    folder: Path
    record_change: Callable[[Record], Awaitable[str]]
    invite_counts: Callable[[str], Awaitable[InviteCounts]]
    credit_policy: Policy = Policy.FIRST_REFERRER
