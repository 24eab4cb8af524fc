"""Permission and intent bits, by Discord's names.

Sources: https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags
and https://discord.com/developers/docs/events/gateway#gateway-intents
"""

from __future__ import annotations

from collections.abc import Iterable

CREATE_INSTANT_INVITE = 1 << 0
KICK_MEMBERS = 1 << 1
BAN_MEMBERS = 1 << 2
ADMINISTRATOR = 1 << 3
MANAGE_CHANNELS = 1 << 4
MANAGE_GUILD = 1 << 5
ADD_REACTIONS = 1 << 6
VIEW_AUDIT_LOG = 1 << 7
VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
MANAGE_MESSAGES = 1 << 13
EMBED_LINKS = 1 << 14
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
MANAGE_ROLES = 1 << 28
USE_APPLICATION_COMMANDS = 1 << 31
MODERATE_MEMBERS = 1 << 40

ALL = (1 << 53) - 1

NAMES: dict[str, int] = {
    name: value
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int) and name != "ALL"
}

EVERYONE = (
    VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | CREATE_INSTANT_INVITE
    | USE_APPLICATION_COMMANDS
)
"""What the @everyone role of a new guild may do."""

BOT_DEFAULT = EVERYONE | MANAGE_GUILD | MANAGE_CHANNELS | VIEW_AUDIT_LOG
"""What the bot's own role may do unless the test says otherwise: enough for invite tracking."""


def parse(value: int | str | Iterable[str]) -> int:
    """Permission bits from a number, one name or several (`"MANAGE_GUILD"`, `["view_channel", ...]`).

    Raises ValueError for an unknown name.
    """
    if isinstance(value, int):
        return value
    names = value.replace("|", ",").split(",") if isinstance(value, str) else list(value)
    bits = 0
    for name in (n.strip().upper() for n in names):
        if name.isdigit():
            bits |= int(name)
        elif name == "ALL":
            bits |= ALL
        elif name in NAMES:
            bits |= NAMES[name]
        elif name:
            raise ValueError(f"unknown permission {name!r}; known: {', '.join(sorted(NAMES))}")
    return bits


class Intents:
    """Gateway intent bits."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MODERATION = 1 << 2
    GUILD_INVITES = 1 << 6
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    MESSAGE_CONTENT = 1 << 15
    PRIVILEGED = GUILD_MEMBERS | GUILD_PRESENCES | MESSAGE_CONTENT
    KNOWN = ((1 << 17) - 1) | (1 << 20) | (1 << 21) | (1 << 24) | (1 << 25)
