"""What the commands need from the process that serves them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from commands.credit import Policy
from commands.proposals import NowhereKept, ProposalStore
from joins.chain import Record
from joins.permissions import Permission


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
class GuildState:
    """What the process knows of a guild. `missing` is None while the guild is not in reach; `search` is one of
    available, refused, indexing, off, untried.
    """

    missing: Sequence[Permission] | None = None
    invites_read_at: datetime | None = None
    search: str = "off"
    search_reason: str | None = None


@dataclass(frozen=True)
class SinkState:
    """How one of the copies is, in its consumer's own words: working, failing, waiting, starting; else gone.

    `since` is in seconds since 1970 UTC.
    """

    name: str
    state: str
    reason: str | None = None
    since: float | None = None


async def _no_sinks() -> Sequence[SinkState] | None:
    return None


@dataclass(frozen=True)
class Services:
    """What the commands need from the process that serves them.

    `record_change` takes a change without event id, hash and commitments, and returns its event id once it is durable.
    `invite_counts` takes a guild id; it raises PermissionMissing when Discord does not show the bot the counts.
    `guild_state` takes a guild id; `sink_states` gives None when nothing is known of the sinks. `recent_changes`: those
    that the copies may not have yet, each with its event id. `proposals`: where what awaits an approval is kept.
    """

    folder: Path
    record_change: Callable[[Record], Awaitable[str]]
    invite_counts: Callable[[str], Awaitable[InviteCounts]]
    credit_policy: Policy = Policy.FIRST_REFERRER
    guild_state: Callable[[str], GuildState] = lambda guild_id: GuildState()
    sink_states: Callable[[], Awaitable[Sequence[SinkState] | None]] = _no_sinks
    recent_changes: Callable[[], Iterable[tuple[str, Record]]] = tuple
    proposals: ProposalStore = NowhereKept()
