"""The records the world is made of. Plain data: no I/O and no Discord JSON (see payloads.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from . import permissions

Source = Literal["invite", "vanity", "discovery", "hub", "bot", "integration", "manual", "unknown"]

JOIN_SOURCE_TYPES: dict[Source, int] = {
    "unknown": 0,
    "bot": 1,
    "integration": 2,
    "discovery": 3,
    "hub": 4,
    "invite": 5,
    "vanity": 6,
    "manual": 7,
}
"""`join_source_type` of member search.

Source: https://docs.discord.food/resources/guild#join-source-type (unofficial)
"""

DID_REJOIN = 1 << 0
"""Member flag. Source: https://discord.com/developers/docs/resources/guild#guild-member-object-guild-member-flags"""

BOT_ADD = 28
"""Audit log action. Source: https://discord.com/developers/docs/resources/audit-log#audit-log-entry-object-audit-log-events"""


@dataclass
class User:
    """An account, in however many guilds."""

    id: int
    username: str
    global_name: str | None = None
    bot: bool = False
    discriminator: str = "0"


@dataclass
class Role:
    """A role of one guild; @everyone has the guild's id."""

    id: int
    name: str
    permissions: int
    position: int = 1
    managed_by: int | None = None


@dataclass
class Channel:
    """A channel; type 0 is text, 2 voice, 4 category."""

    id: int
    name: str
    type: int = 0
    position: int = 0


@dataclass
class Member:
    """One user in one guild. `join_source`, `code` and `inviter_id` are the truth that member search tells."""

    user: User
    joined_at: datetime
    roles: list[int] = field(default_factory=list)
    nick: str | None = None
    flags: int = 0
    source: Source = "unknown"
    code: str | None = None
    inviter_id: int | None = None
    temporary: bool = False
    indexed_at: datetime | None = None

    @property
    def id(self) -> int:
        """The user's id."""
        return self.user.id

    @property
    def username(self) -> str:
        """The user's name."""
        return self.user.username


@dataclass
class Invite:
    """An invite. `uses` is the truth; what a list shows may lag (`late`), as it can on Discord."""

    code: str
    channel_id: int
    inviter_id: int | None
    created_at: datetime
    max_uses: int = 0
    max_age: int = 0
    temporary: bool = False
    uses: int = 0
    late: list[datetime] = field(default_factory=list)
    gone_at: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When it expires by time; None for never."""
        return self.created_at + timedelta(seconds=self.max_age) if self.max_age else None

    @property
    def exhausted(self) -> bool:
        """True when its last use is taken."""
        return bool(self.max_uses) and self.uses >= self.max_uses

    def usable(self, now: datetime) -> bool:
        """True when somebody can still join with it."""
        expires = self.expires_at
        return not self.exhausted and self.gone_at is None and (expires is None or expires > now)

    def listed(self, now: datetime) -> bool:
        """True when the guild's invite list shows it at `now`."""
        expires = self.expires_at
        return (self.gone_at is None or self.gone_at > now) and (expires is None or expires > now)

    def shown_uses(self, now: datetime) -> int:
        """`uses` as a list shows it at `now`."""
        return self.uses - sum(1 for at in self.late if at > now)


@dataclass
class Vanity:
    """The guild's own address and its uses."""

    code: str | None = None
    uses: int = 0
    late: list[datetime] = field(default_factory=list)

    def shown_uses(self, now: datetime) -> int:
        """`uses` as Discord answers it at `now`."""
        return self.uses - sum(1 for at in self.late if at > now)


@dataclass
class AuditEntry:
    """One line of the audit log."""

    id: int
    action_type: int
    user_id: int | None
    target_id: int | None
    reason: str | None = None


@dataclass
class Guild:
    """A guild with all that it holds."""

    id: int
    name: str
    owner_id: int
    channels: dict[int, Channel] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    invites: dict[str, Invite] = field(default_factory=dict)
    vanity: Vanity = field(default_factory=Vanity)
    audit_log: list[AuditEntry] = field(default_factory=list)
    departed: set[int] = field(default_factory=set)
    filesize_limit: int = 10 * 1024 * 1024
    locale: str = "en-US"
    unavailable: bool = False
    bot_role_id: int = 0

    def permissions_of(self, user_id: int) -> int:
        """A member's permissions in the guild (channel overwrites are not modelled)."""
        member = self.members.get(user_id)
        if member is None:
            return 0
        if user_id == self.owner_id:
            return permissions.ALL
        bits = self.roles[self.id].permissions
        for role_id in member.roles:
            bits |= self.roles[role_id].permissions
        return permissions.ALL if bits & permissions.ADMINISTRATOR else bits

    def first_text_channel(self) -> Channel | None:
        """The text channel with the lowest position."""
        texts = [c for c in self.channels.values() if c.type == 0]
        return min(texts, key=lambda c: (c.position, c.id), default=None)


@dataclass(frozen=True)
class Join:
    """One line of the ledger: the truth about one join. Times are UTC."""

    guild_id: int
    user_id: int
    username: str
    joined_at: datetime
    source: Source
    code: str | None
    inviter_id: int | None
    rejoin: bool
    bot: bool
