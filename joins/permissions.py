"""The Discord permissions that the bot needs in a guild, and what is lost without each.

Bits: https://docs.discord.com/developers/topics/permissions#permissions-bitwise-permission-flags
"""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATOR = 0x8


@dataclass(frozen=True)
class Permission:
    """One permission, under the name that Discord's own settings show. `essential`: nothing is attributed without."""

    bit: int
    name: str
    loss: str
    essential: bool = False


NEEDED = (
    Permission(0x20, "Manage Server", "the bot cannot see how often invites were used", essential=True),
    Permission(0x10, "Manage Channels", "no event tells when an invite is made or deleted"),
    Permission(0x80, "View Audit Log", "the bot cannot see who added another bot"),
)


def missing(granted: int) -> list[Permission]:
    """Those of NEEDED that a permission bit set does not hold; an administrator holds all."""
    return [permission for permission in NEEDED if not granted & (permission.bit | ADMINISTRATOR)]
