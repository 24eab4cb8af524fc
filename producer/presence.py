"""A guild as it is there in one session of the gateway, and how far it has been reconciled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(eq=False, slots=True)
class Presence:
    """A guild in this session, from its GUILD_CREATE on."""

    guild_id: str
    name: str | None
    bot_id: str
    bot_joined: datetime | None
    members: int
    discoverable: bool
    here: bool = True  # until the session ends, or the guild is gone from it
    judged: bool = False  # all are known, or its joins have waited long enough
    reconciled: bool = False
    searched: bool = False  # once, so that a second search shall follow
    failures: int = 0

    @classmethod
    def of(cls, data: Mapping[str, Any], bot_id: str) -> Presence:
        """From GUILD_CREATE: https://docs.discord.com/developers/events/gateway-events#guild-create."""
        joined = data.get("joined_at")
        return cls(
            guild_id=str(data["id"]),
            name=data.get("name"),
            bot_id=bot_id,
            bot_joined=datetime.fromisoformat(joined).astimezone(UTC) if joined else None,
            members=int(data.get("member_count") or 0),
            discoverable="DISCOVERABLE" in (data.get("features") or ()),
        )
