"""Gateway events: what each needs to be delivered.

Source: https://discord.com/developers/docs/events/gateway#list-of-intents
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from . import permissions
from .permissions import Intents

_INTENT: dict[str, int] = {
    "GUILD_CREATE": Intents.GUILDS,
    "GUILD_UPDATE": Intents.GUILDS,
    "GUILD_DELETE": Intents.GUILDS,
    "GUILD_ROLE_CREATE": Intents.GUILDS,
    "GUILD_ROLE_UPDATE": Intents.GUILDS,
    "GUILD_ROLE_DELETE": Intents.GUILDS,
    "CHANNEL_CREATE": Intents.GUILDS,
    "CHANNEL_DELETE": Intents.GUILDS,
    "GUILD_MEMBER_ADD": Intents.GUILD_MEMBERS,
    "GUILD_MEMBER_UPDATE": Intents.GUILD_MEMBERS,
    "GUILD_MEMBER_REMOVE": Intents.GUILD_MEMBERS,
    "GUILD_AUDIT_LOG_ENTRY_CREATE": Intents.GUILD_MODERATION,
    "INVITE_CREATE": Intents.GUILD_INVITES,
    "INVITE_DELETE": Intents.GUILD_INVITES,
    "MESSAGE_CREATE": Intents.GUILD_MESSAGES,
}

_PERMISSION: dict[str, int] = {
    "GUILD_AUDIT_LOG_ENTRY_CREATE": permissions.VIEW_AUDIT_LOG,
    "INVITE_CREATE": permissions.MANAGE_CHANNELS,
    "INVITE_DELETE": permissions.MANAGE_CHANNELS,
}


@dataclass(frozen=True)
class Event:
    """One dispatch, its data encoded once for all sessions. `guild_id` None goes to shard 0 (direct messages)."""

    name: str
    guild_id: int | None
    encoded: str
    always: bool = False

    @classmethod
    def of(cls, name: str, guild_id: int | None, data: Any, *, always: bool = False) -> Event:
        """`always` skips the intent check (an update of the bot's own member)."""
        return cls(name, guild_id, json.dumps(data, separators=(",", ":")), always)

    @property
    def intent(self) -> int:
        """The intent bit needed, 0 for none."""
        return 0 if self.always else _INTENT.get(self.name, 0)

    @property
    def permission(self) -> int:
        """The permission bits that the bot needs in the guild, 0 for none."""
        return _PERMISSION.get(self.name, 0)
