"""REQUEST_GUILD_MEMBERS and its GUILD_MEMBERS_CHUNK events.

Source: https://discord.com/developers/docs/events/gateway-events#request-guild-members
"""

from __future__ import annotations

from typing import Any

from . import payloads
from .events import Event
from .models import Member
from .permissions import Intents
from .session import Session
from .world import World

CHUNK = 1000
"""Members in one chunk event."""

MOST_IDS = 100
"""User ids in one request."""


RETRY_S = 30.0
"""Seconds that RATE_LIMITED asks to wait."""


def answer(world: World, session: Session, data: dict[str, Any], *, limited: bool = False) -> None:
    """Sends the chunks. A request that Discord refuses (unknown guild, missing intent) is ignored, as there.

    `limited`: a request for all members gets RATE_LIMITED.
    Source: https://discord.com/developers/docs/events/gateway-events#rate-limited
    """
    guild = world.guilds.get(int(data["guild_id"]))
    if guild is None or not session.covers(guild.id) or guild.unavailable:
        return
    not_found: list[str] = []
    found: list[Member]
    if "user_ids" in data:
        asked = data["user_ids"] if isinstance(data["user_ids"], list) else [data["user_ids"]]
        ids = [int(user_id) for user_id in asked[:MOST_IDS]]
        found = [guild.members[user_id] for user_id in ids if user_id in guild.members]
        not_found = [str(user_id) for user_id in ids if user_id not in guild.members]
    else:
        query, limit = str(data.get("query", "")).lower(), int(data.get("limit", 0))
        if not query and limit == 0 and not session.intents & Intents.GUILD_MEMBERS:
            return
        if not query and limited:
            meta = {"guild_id": str(guild.id), "nonce": data.get("nonce")}
            session.dispatch(Event.of("RATE_LIMITED", None, {"opcode": 8, "retry_after": RETRY_S, "meta": meta}))
            return
        found = [m for m in guild.members.values() if _matches(m, query)]
        if limit or query:
            found = found[: min(limit or 100, 100)]
    parts = [found[i : i + CHUNK] for i in range(0, len(found), CHUNK)] or [[]]
    for index, part in enumerate(parts):
        chunk: dict[str, Any] = {
            "guild_id": str(guild.id),
            "members": [payloads.member(m) for m in part],
            "chunk_index": index,
            "chunk_count": len(parts),
        }
        if not_found:
            chunk["not_found"] = not_found
        if data.get("presences"):
            chunk["presences"] = []
        if data.get("nonce") is not None:
            chunk["nonce"] = data["nonce"]
        session.dispatch(Event.of("GUILD_MEMBERS_CHUNK", guild.id, chunk))


def _matches(member: Member, query: str) -> bool:
    names = (member.user.username, member.nick or "")
    return not query or any(name.lower().startswith(query) for name in names)
