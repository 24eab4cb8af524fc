"""The world: users, guilds, invites, and the ledger of every join. Pure state, no I/O and no events.

A verb changes the state at once and says what happened; `actions.py` turns that into gateway events.
"""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime, timedelta

from . import permissions
from .models import (
    BOT_ADD,
    DID_REJOIN,
    AuditEntry,
    Channel,
    Guild,
    Invite,
    Join,
    Member,
    Role,
    Source,
    User,
)
from .snowflake import SnowflakeMaker

_CODE_LETTERS = string.ascii_letters + string.digits


class WorldError(Exception):
    """The request makes no sense in this world: an unknown id, an invite that is used up, a double join."""


class World:
    """Everything that exists, plus the bot's own account."""

    def __init__(self, bot_name: str = "Sandbox Bot") -> None:
        self.snowflakes = SnowflakeMaker()
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.ledger: list[Join] = []
        self._last_join = datetime.fromtimestamp(0, UTC)
        self.bot = self.add_user(bot_name, bot=True)

    def now(self) -> datetime:
        """The world's clock (UTC)."""
        return datetime.now(UTC)

    def guild(self, guild_id: int) -> Guild:
        """The guild, or WorldError."""
        try:
            return self.guilds[guild_id]
        except KeyError:
            raise WorldError(f"no guild {guild_id}") from None

    def add_user(
        self, username: str, *, display_name: str | None = None, bot: bool = False, user_id: int | None = None
    ) -> User:
        """A new account."""
        user = User(user_id or self.snowflakes.make(), username, display_name, bot)
        self.users[user.id] = user
        return user

    def add_guild(
        self,
        name: str,
        *,
        owner: User | None = None,
        bot_permissions: int = permissions.BOT_DEFAULT,
        channels: tuple[str, ...] = ("general",),
        guild_id: int | None = None,
    ) -> Guild:
        """A new guild with an owner, text channels, @everyone and the bot with its own role."""
        owner = owner or self.add_user(f"{name.lower().replace(' ', '_')}_owner")
        guild = Guild(guild_id or self.snowflakes.make(), name, owner.id)
        guild.roles[guild.id] = Role(guild.id, "@everyone", permissions.EVERYONE, 0)
        bot_role = Role(self.snowflakes.make(), self.bot.username, bot_permissions, 1, self.bot.id)
        guild.roles[bot_role.id] = bot_role
        guild.bot_role_id = bot_role.id
        for channel in channels:
            self.add_channel(guild, channel)
        self.guilds[guild.id] = guild
        self.add_member(guild, owner)
        self.add_member(guild, self.bot, roles=[bot_role.id])
        return guild

    def add_channel(self, guild: Guild, name: str, kind: int = 0) -> Channel:
        """A new channel at the end of the list."""
        channel = Channel(self.snowflakes.make(), name, kind, len(guild.channels))
        guild.channels[channel.id] = channel
        return channel

    def add_role(self, guild: Guild, name: str, bits: int) -> Role:
        """A new role at the top of the list."""
        role = Role(self.snowflakes.make(), name, bits, len(guild.roles))
        guild.roles[role.id] = role
        return role

    def add_member(
        self, guild: Guild, user: User, *, roles: list[int] | None = None, joined_at: datetime | None = None
    ) -> Member:
        """Somebody who has been there since before the story starts: no ledger entry."""
        if user.id in guild.members:
            raise WorldError(f"user {user.id} is already in guild {guild.id}")
        member = Member(user, joined_at or self._join_time(), list(roles or []))
        guild.members[user.id] = member
        return member

    def add_invite(
        self,
        guild: Guild,
        *,
        inviter_id: int | None,
        channel_id: int | None = None,
        max_uses: int = 0,
        max_age: int = 0,
        temporary: bool = False,
        code: str | None = None,
        uses: int = 0,
        age: float = 0,
    ) -> Invite:
        """A new invite, made `age` seconds ago; `max_age` in seconds, 0 for never; channel 0 for none."""
        if channel_id is None:
            channel = guild.first_text_channel()
            if channel is None:
                raise WorldError(f"guild {guild.id} has no text channel for an invite")
            channel_id = channel.id
        if code is None:
            code = "".join(secrets.choice(_CODE_LETTERS) for _ in range(8))
        if code in guild.invites:
            raise WorldError(f"invite code {code} exists already")
        made = self.now() - timedelta(seconds=age)
        invite = Invite(code, channel_id, inviter_id, made, max_uses, max_age, temporary, uses)
        guild.invites[code] = invite
        return invite

    def remove_invite(self, guild: Guild, code: str) -> Invite:
        """Takes an invite away, or WorldError."""
        invite = guild.invites.pop(code, None)
        if invite is None or not invite.listed(self.now()):
            raise WorldError(f"no invite {code} in guild {guild.id}")
        return invite

    def purge_invites(self, guild: Guild) -> None:
        """Forgets invites that no list shows any more."""
        now = self.now()
        for code in [c for c, invite in guild.invites.items() if not invite.listed(now)]:
            del guild.invites[code]

    def join(
        self,
        guild: Guild,
        user: User,
        *,
        source: Source = "unknown",
        code: str | None = None,
        added_by: int | None = None,
        uses_delay: timedelta = timedelta(0),
        index_delay: timedelta = timedelta(0),
    ) -> tuple[Join, Member, Invite | None]:
        """`user` joins; the ledger gets the truth. The third value is the invite used, if one was.

        `uses_delay`: how long lists still show the old `uses`. WorldError: already a member, unknown or spent code.
        """
        if user.id in guild.members:
            raise WorldError(f"user {user.id} is already in guild {guild.id}")
        joined_at = self._join_time()
        late = [joined_at + uses_delay] if uses_delay else []
        invite: Invite | None = None
        inviter_id = added_by
        if source == "vanity":
            if guild.vanity.code is None:
                raise WorldError(f"guild {guild.id} has no vanity URL")
            guild.vanity.uses += 1
            guild.vanity.late += late
            code = guild.vanity.code
        elif code is not None:
            invite = guild.invites.get(code)
            if invite is None or not invite.usable(joined_at):
                raise WorldError(f"invite {code} cannot be used in guild {guild.id}")
            invite.uses += 1
            invite.late += late
            if invite.exhausted:
                invite.gone_at = joined_at + uses_delay
            inviter_id, source = invite.inviter_id, "invite"
        rejoin = user.id in guild.departed
        member = Member(
            user,
            joined_at,
            flags=DID_REJOIN if rejoin else 0,
            source=source,
            code=code,
            inviter_id=inviter_id,
            temporary=bool(invite and invite.temporary),
            indexed_at=joined_at + index_delay,
        )
        guild.members[user.id] = member
        if source == "bot" and user.bot:
            guild.audit_log.append(AuditEntry(self.snowflakes.make(), BOT_ADD, added_by, user.id))
        join = Join(guild.id, user.id, user.username, joined_at, source, code, inviter_id, rejoin, user.bot)
        self.ledger.append(join)
        return join, member, invite

    def leave(self, guild: Guild, user_id: int) -> Member:
        """A member leaves, or WorldError."""
        try:
            member = guild.members.pop(user_id)
        except KeyError:
            raise WorldError(f"user {user_id} is not in guild {guild.id}") from None
        guild.departed.add(user_id)
        return member

    def remove_channel(self, guild: Guild, channel_id: int) -> Channel:
        """Deletes a channel and, silently as on Discord, its invites."""
        try:
            channel = guild.channels.pop(channel_id)
        except KeyError:
            raise WorldError(f"no channel {channel_id} in guild {guild.id}") from None
        for code in [c for c, invite in guild.invites.items() if invite.channel_id == channel_id]:
            del guild.invites[code]
        return channel

    def _join_time(self) -> datetime:
        # Two joins never share a microsecond, so (guild, user, joined_at) and the order are always clear.
        self._last_join = max(self.now(), self._last_join + timedelta(microseconds=1))
        return self._last_join
