"""What was known of a guild's invites at one moment: plain data, so that it can be compared, kept and tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Invite:
    """One invite as `GET /guilds/{id}/invites` or INVITE_CREATE shows it.

    Fields: https://docs.discord.com/developers/resources/invite#invite-metadata-object
    """

    code: str
    uses: int
    max_uses: int = 0  # 0: no limit
    expires_at: datetime | None = None
    inviter_id: str | None = None
    inviter_name: str | None = None
    channel_id: str | None = None
    created_at: datetime | None = None
    temporary: bool = False

    @property
    def remaining(self) -> int | None:
        """How many uses are left before it vanishes; None without a limit."""
        return max(self.max_uses - self.uses, 0) if self.max_uses else None


@dataclass(frozen=True, slots=True)
class Vanity:
    """The guild's vanity code and how often it was used, from `GET /guilds/{id}/vanity-url`."""

    code: str
    uses: int


NONE: Mapping[str, Invite] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All invites of a guild at one moment."""

    taken_at: datetime  # when the request began: whatever showed by then is in it
    invites: Mapping[str, Invite] = field(default_factory=lambda: NONE)
    vanity: Vanity | None = None
    permitted: bool = True  # False: Discord withheld the uses (MANAGE_GUILD is missing); never an empty list
    watched: bool = True  # whether INVITE_DELETE reaches us (MANAGE_CHANNELS)
    audited: bool = False  # whether the audit log reaches us (VIEW_AUDIT_LOG)


@dataclass(frozen=True, slots=True)
class Gone:
    """A tombstone: an event said that this invite is gone."""

    at: datetime  # when the event arrived here
    by_hand: bool = False  # it is no proof of a use: the audit log or its channel's end says so, or it is a replay
