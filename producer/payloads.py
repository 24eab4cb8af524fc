"""Discord's raw payloads -> plain data. Nothing here knows discord.py; nothing later knows payloads.

Fields: https://docs.discord.com/developers/resources/guild#guild-member-object, …/resources/invite and
…/events/gateway-events#guild-member-add.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from joins.records import join_id, moment, timestamp
from producer.evidence import Waiting
from producer.snapshot import Invite, Snapshot, Vanity

Arrival = dict[str, Any]  # one member's arrival, JSON-able: what is made durable before anything slow happens

BOT_ADDED: Final = 28  # audit log event type
INVITE_DELETED: Final = 42  # audit log event type
_DISCORD_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)  # from which the ids count milliseconds, in all but their low 22 bits
_MEMBER_FLAGS = {
    0: "did_rejoin",
    1: "completed_onboarding",
    2: "bypasses_verification",
    3: "started_onboarding",
    4: "is_guest",
}


def arrival(data: Mapping[str, Any], guild_name: str | None, received_at: datetime) -> Arrival:
    """GUILD_MEMBER_ADD as plain data."""
    user = data["user"]
    guild_id, user_id = str(data["guild_id"]), str(user["id"])
    joined_at = timestamp(_time(data.get("joined_at")) or received_at)
    bits = int(data.get("flags") or 0)
    flags = [name for bit, name in _MEMBER_FLAGS.items() if bits >> bit & 1]
    return {
        "guild_id": guild_id,
        "guild_name": guild_name or None,
        "user_id": user_id,
        "username": user["username"],
        "display_name": data.get("nick") or user.get("global_name") or user["username"],
        "discriminator": user.get("discriminator") or "0",
        "bot": bool(user.get("bot")),
        "flags": [*flags, "pending"] if data.get("pending") else flags,
        "timestamp": joined_at,
        "received_at": timestamp(received_at),
        "join_id": join_id(guild_id, user_id, joined_at),
    }


def joined(member: Mapping[str, Any]) -> datetime | None:
    """When a member joined; None for a guest, who has not."""
    return _time(member.get("joined_at"))


def waiting(arrival: Arrival) -> Waiting:
    """What attribution needs of an arrival."""
    return Waiting(arrival["join_id"], moment(arrival["timestamp"]), moment(arrival["received_at"]))


def invite(data: Mapping[str, Any]) -> Invite:
    """An invite of the REST list, or of INVITE_CREATE (which names the channel by id alone)."""
    inviter = data.get("inviter") or {}
    channel = data.get("channel_id") or (data.get("channel") or {}).get("id")
    created_at = _time(data.get("created_at"))
    expires_at = _time(data.get("expires_at"))
    if expires_at is None and created_at and data.get("max_age"):
        expires_at = created_at + timedelta(seconds=int(data["max_age"]))
    return Invite(
        code=data["code"],
        uses=int(data.get("uses") or 0),
        max_uses=int(data.get("max_uses") or 0),
        expires_at=expires_at,
        inviter_id=str(inviter["id"]) if inviter else None,
        inviter_name=user_name(inviter) if inviter else None,
        channel_id=str(channel) if channel else None,
        created_at=created_at,
        temporary=bool(data.get("temporary")),
    )


def snapshot(
    invites: Iterable[Mapping[str, Any]],
    vanity: Mapping[str, Any] | None,
    *,
    taken_at: datetime,
    may_manage: bool,
    watched: bool,
) -> Snapshot:
    """The raw list as a snapshot. Without MANAGE_GUILD Discord withholds `uses`, and an empty list proves nothing."""
    entries = list(invites)
    code = vanity.get("code") if vanity else None
    return Snapshot(
        taken_at=taken_at,
        invites={entry["code"]: invite(entry) for entry in entries if entry["code"] != code},
        vanity=Vanity(code, int((vanity or {}).get("uses") or 0)) if code else None,
        permitted=all("uses" in entry for entry in entries) if entries else may_manage,
        watched=watched,
    )


def deleted_codes(entry: Mapping[str, Any]) -> list[str]:
    """The codes that an audit log entry says somebody deleted by hand."""
    if entry.get("action_type") != INVITE_DELETED:
        return []
    return [change["old_value"] for change in entry.get("changes") or [] if change.get("key") == "code"]


def added_bot(entry: Mapping[str, Any]) -> tuple[str, str, datetime] | None:
    """The bot, who added it, and when, if that is what an audit log entry tells."""
    if entry.get("action_type") != BOT_ADDED or not entry.get("user_id") or not entry.get("target_id"):
        return None
    at = _DISCORD_EPOCH + timedelta(milliseconds=int(entry["id"]) >> 22)
    return str(entry["target_id"]), str(entry["user_id"]), at


def user_name(user: Mapping[str, Any]) -> str:
    """`name`, or `name#0001` for an account that still has a discriminator."""
    discriminator = str(user.get("discriminator") or "0")
    return str(user["username"]) if discriminator in ("0", "0000") else f"{user['username']}#{discriminator}"


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
