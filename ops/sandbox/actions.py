"""What happens in the world, with the gateway events that follow. All of it takes effect at once.

The verbs that tests and the control API call. Ids are integers; an unknown one raises WorldError.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from . import payloads
from . import permissions as perms
from .faults import Faults
from .gateway import Gateway
from .models import AuditEntry, Channel, Guild, Invite, Join, Member, Role, Source, User
from .world import World, WorldError

BEFORE = timedelta(hours=1)
"""How long ago somebody joined who was there before the story, unless the story says when."""


class Actions:
    """Changes to the world, told to every client that may know."""

    def __init__(self, world: World, gateway: Gateway, faults: Faults) -> None:
        self.world = world
        self.gateway = gateway
        self.faults = faults
        self._dm_channels: dict[int, int] = {}

    def dispatch(self, name: str, guild_id: int | None, data: Any, *, always: bool = False) -> int:
        """Sends a gateway event; returns how many sessions get it."""
        return self.gateway.dispatch(name, guild_id, data, always=always)

    def add_guild(
        self,
        name: str,
        *,
        owner: str | None = None,
        bot_permissions: int | str | list[str] = perms.BOT_DEFAULT,
        channels: tuple[str, ...] | list[str] = ("general",),
        vanity: str | None = None,
        guild_id: int | None = None,
    ) -> Guild:
        """The bot is in a new guild; connected clients get GUILD_CREATE."""
        user = self.world.add_user(owner) if owner else None
        guild = self.world.add_guild(
            name,
            owner=user,
            bot_permissions=perms.parse(bot_permissions),
            channels=tuple(channels),
            guild_id=guild_id,
        )
        guild.vanity.code = vanity
        self.dispatch("GUILD_CREATE", guild.id, payloads.guild_create(self.world, guild, unavailable=None))
        return guild

    def add_channel(self, guild_id: int, name: str) -> Channel:
        """A new text channel, with CHANNEL_CREATE."""
        guild = self.world.guild(guild_id)
        channel = self.world.add_channel(guild, name)
        self.dispatch("CHANNEL_CREATE", guild_id, payloads.channel(channel, guild_id))
        return channel

    def delete_channel(self, guild_id: int, channel_id: int) -> None:
        """A channel goes, its invites too: CHANNEL_DELETE, and no INVITE_DELETE."""
        channel = self.world.remove_channel(self.world.guild(guild_id), channel_id)
        self.dispatch("CHANNEL_DELETE", guild_id, payloads.channel(channel, guild_id))

    def add_role(self, guild_id: int, name: str, permissions: int | str | list[str] = 0) -> Role:
        """A new role, with GUILD_ROLE_CREATE."""
        role = self.world.add_role(self.world.guild(guild_id), name, perms.parse(permissions))
        self.dispatch("GUILD_ROLE_CREATE", guild_id, {"guild_id": str(guild_id), "role": payloads.role(role)})
        return role

    def add_member(
        self,
        guild_id: int,
        who: str | int,
        *,
        display_name: str | None = None,
        permissions: int | str | list[str] = 0,
        bot: bool = False,
        joined_at: datetime | str | None = None,
        user_id: int | None = None,
        source: Source = "unknown",
        code: str | None = None,
        inviter: int | None = None,
    ) -> Member:
        """Somebody who was there before the story: no event, no ledger entry.

        `permissions` are given through a role of the member's own. `joined_at` is UTC, a datetime or
        ISO text, by default an hour ago;
        `source`, `code` and `inviter` are what member search tells of that join.
        """
        guild = self.world.guild(guild_id)
        user = self._user(who, display_name, bot, user_id)
        bits = perms.parse(permissions)
        roles = [self.add_role(guild_id, f"role of {user.username}", bits).id] if bits else []
        at = datetime.fromisoformat(joined_at) if isinstance(joined_at, str) else joined_at or self.world.now() - BEFORE
        member = self.world.add_member(guild, user, roles=roles, joined_at=at)
        member.source, member.code, member.inviter_id = source, code, inviter
        return member

    def add_members(self, guild_id: int, count: int, prefix: str = "member") -> list[Member]:
        """Many who were there before."""
        return [self.add_member(guild_id, f"{prefix}_{n}") for n in range(count)]

    def update_member(
        self,
        guild_id: int,
        user_id: int,
        *,
        nick: str | None = None,
        username: str | None = None,
        display_name: str | None = None,
    ) -> Member:
        """A member gets new names, with GUILD_MEMBER_UPDATE. None leaves a name as it is."""
        member = self._member(guild_id, user_id)
        member.nick = nick if nick is not None else member.nick
        member.user.username = username or member.user.username
        member.user.global_name = display_name if display_name is not None else member.user.global_name
        self._member_update(guild_id, member)
        return member

    def set_member_permissions(self, guild_id: int, user_id: int, permissions: int | str | list[str]) -> None:
        """Replaces a member's roles by one with these permissions."""
        member = self._member(guild_id, user_id)
        member.roles = [self.add_role(guild_id, f"role of {member.username}", permissions).id]
        self._member_update(guild_id, member)

    def set_bot_permissions(self, guild_id: int, permissions: int | str | list[str]) -> None:
        """Changes what the bot's own role may do, with GUILD_ROLE_UPDATE."""
        guild = self.world.guild(guild_id)
        role = guild.roles[guild.bot_role_id]
        role.permissions = perms.parse(permissions)
        self.dispatch("GUILD_ROLE_UPDATE", guild_id, {"guild_id": str(guild_id), "role": payloads.role(role)})

    def add_invite(
        self,
        guild_id: int,
        *,
        inviter: int | None = None,
        channel: int | None = None,
        max_uses: int = 0,
        max_age: int = 0,
        temporary: bool = False,
        code: str | None = None,
        uses: int = 0,
        age: float = 0,
    ) -> Invite:
        """A new invite, with INVITE_CREATE. `max_age` in seconds, 0 for never.

        `age`: seconds since it was made, so that it can expire soon. `channel` 0: an invite without a channel.
        """
        guild = self.world.guild(guild_id)
        invite = self.world.add_invite(
            guild,
            inviter_id=inviter,
            channel_id=channel,
            max_uses=max_uses,
            max_age=max_age,
            temporary=temporary,
            code=code,
            uses=uses,
            age=age,
        )
        self.dispatch("INVITE_CREATE", guild_id, payloads.invite_create(self.world, guild, invite))
        return invite

    def delete_invite(self, guild_id: int, code: str) -> None:
        """Somebody deletes an invite, with INVITE_DELETE."""
        invite = self.world.remove_invite(self.world.guild(guild_id), code)
        self._invite_delete(guild_id, invite)

    def expire_invite(self, guild_id: int, code: str) -> None:
        """An invite's time is up: it is gone and no event says so."""
        self.world.remove_invite(self.world.guild(guild_id), code)

    def set_vanity(self, guild_id: int, code: str | None, uses: int = 0) -> None:
        """Sets the vanity URL and its uses."""
        vanity = self.world.guild(guild_id).vanity
        vanity.code, vanity.uses, vanity.late = code, uses, []

    async def join(
        self,
        guild_id: int,
        who: str | int,
        *,
        code: str | None = None,
        vanity: bool = False,
        source: Source | None = None,
        added_by: int | None = None,
        display_name: str | None = None,
        bot: bool | None = None,
    ) -> Join:
        """Somebody joins: a new user by name, or a known one by id (a rejoin when he was there before).

        By `code`, by `vanity`, or by another `source`: "discovery", "hub", "bot" (`added_by` a member), ...
        `bot` False with source "bot": a person whom an application added by the OAuth2 scope `guilds.join`.
        """
        guild = self.world.guild(guild_id)
        source = "vanity" if vanity else source or ("bot" if bot else "unknown")
        user = self._user(who, display_name, source == "bot" if bot is None else bot, None)
        join, member, invite = self.world.join(
            guild,
            user,
            source=source,
            code=code,
            added_by=added_by,
            uses_delay=timedelta(milliseconds=self.faults.uses_delay_ms),
            index_delay=timedelta(milliseconds=self.faults.index_delay_ms),
        )
        spent = invite if invite is not None and invite.exhausted else None
        if spent and self.faults.invite_delete_order == "before":
            self._invite_delete(guild_id, spent)
        for _ in range(self.faults.take_member_adds()):
            data = payloads.member(member) | {"guild_id": str(guild_id)}
            self.dispatch("GUILD_MEMBER_ADD", guild_id, data)
        if spent and self.faults.invite_delete_order == "after":
            self._invite_delete(guild_id, spent)
        if source == "bot" and user.bot:
            self._audit(guild_id, guild.audit_log[-1])
        # Lets the gateway send while many join in a row.
        await asyncio.sleep(0)
        return join

    async def join_many(self, guild_id: int, count: int, prefix: str, *, code: str | None = None) -> list[Join]:
        """A burst: so many new users, named `prefix_0`, `prefix_1`, …, join one after the other by the same code."""
        return [await self.join(guild_id, f"{prefix}_{n}", code=code) for n in range(count)]

    async def leave(self, guild_id: int, user_id: int) -> None:
        """A member leaves, with GUILD_MEMBER_REMOVE."""
        member = self.world.leave(self.world.guild(guild_id), user_id)
        if self.faults.take_member_remove():
            data = {"guild_id": str(guild_id), "user": payloads.user(member.user)}
            self.dispatch("GUILD_MEMBER_REMOVE", guild_id, data)
        await asyncio.sleep(0)

    def set_guild_available(self, guild_id: int, available: bool) -> None:
        """An outage of one guild begins (GUILD_DELETE, unavailable) or ends (GUILD_CREATE)."""
        guild = self.world.guild(guild_id)
        guild.unavailable = not available
        if available:
            self.dispatch("GUILD_CREATE", guild_id, payloads.guild_create(self.world, guild))
        else:
            self.dispatch("GUILD_DELETE", guild_id, {"id": str(guild_id), "unavailable": True})

    def kick_bot(self, guild_id: int) -> None:
        """The bot is removed from the guild (GUILD_DELETE)."""
        self.world.leave(self.world.guild(guild_id), self.world.bot.id)
        self.dispatch("GUILD_DELETE", guild_id, {"id": str(guild_id)})

    def readd_bot(self, guild_id: int) -> None:
        """The bot is in the guild again, with the role it had (GUILD_CREATE)."""
        guild = self.world.guild(guild_id)
        self.world.add_member(guild, self.world.bot, roles=[guild.bot_role_id])
        self.dispatch("GUILD_CREATE", guild_id, payloads.guild_create(self.world, guild, unavailable=None))

    def dm_channel_id(self, user_id: int) -> int:
        """The bot's DM channel with a user."""
        for channel_id, partner in self._dm_channels.items():
            if partner == user_id:
                return channel_id
        channel_id = self.world.snowflakes.make()
        self._dm_channels[channel_id] = user_id
        return channel_id

    def dm_partner(self, channel_id: int) -> User | None:
        """Whose DM channel it is."""
        return self.world.users.get(self._dm_channels.get(channel_id, 0))

    def _user(self, who: str | int, display_name: str | None, bot: bool, user_id: int | None) -> User:
        if isinstance(who, str):
            return self.world.add_user(who, display_name=display_name, bot=bot, user_id=user_id)
        try:
            return self.world.users[who]
        except KeyError:
            raise WorldError(f"no user {who}") from None

    def _member(self, guild_id: int, user_id: int) -> Member:
        try:
            return self.world.guild(guild_id).members[user_id]
        except KeyError:
            raise WorldError(f"user {user_id} is not in guild {guild_id}") from None

    def _member_update(self, guild_id: int, member: Member) -> None:
        own = member.id == self.world.bot.id
        data = payloads.member(member) | {"guild_id": str(guild_id)}
        self.dispatch("GUILD_MEMBER_UPDATE", guild_id, data, always=own)

    def _invite_delete(self, guild_id: int, invite: Invite) -> None:
        data = {"channel_id": str(invite.channel_id), "guild_id": str(guild_id), "code": invite.code}
        self.dispatch("INVITE_DELETE", guild_id, data)

    def _audit(self, guild_id: int, entry: AuditEntry) -> None:
        data = payloads.audit_entry(entry) | {"guild_id": str(guild_id)}
        self.dispatch("GUILD_AUDIT_LOG_ENTRY_CREATE", guild_id, data)
