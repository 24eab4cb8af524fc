"""Discord's JSON for the world's records.

Sources: the object pages of https://discord.com/developers/docs/resources (user, guild, channel, invite,
audit-log) and https://discord.com/developers/docs/topics/permissions#role-object.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .models import AuditEntry, Channel, Guild, Invite, Member, Role, User
from .world import World

Json = dict[str, Any]


def timestamp(at: datetime | None) -> str | None:
    """ISO 8601 with six digits of microseconds and +00:00, as Discord writes it."""
    return at.isoformat(timespec="microseconds") if at else None


def user(u: User) -> Json:
    """A user object."""
    data: Json = {
        "id": str(u.id),
        "username": u.username,
        "discriminator": u.discriminator,
        "global_name": u.global_name,
        "avatar": None,
        "public_flags": 0,
        "avatar_decoration_data": None,
        "primary_guild": None,
        "collectibles": None,
    }
    if u.bot:
        data["bot"] = True
    return data


def member(m: Member, *, with_user: bool = True) -> Json:
    """A guild member object."""
    data: Json = {
        "roles": [str(r) for r in m.roles],
        "joined_at": timestamp(m.joined_at),
        "nick": m.nick,
        "avatar": None,
        "banner": None,
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": m.flags,
    }
    if with_user:
        data["user"] = user(m.user)
    return data


def role(r: Role) -> Json:
    """A role object."""
    data: Json = {
        "id": str(r.id),
        "name": r.name,
        "permissions": str(r.permissions),
        "position": r.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": r.managed_by is not None,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    if r.managed_by is not None:
        data["tags"] = {"bot_id": str(r.managed_by)}
    return data


def channel(c: Channel, guild_id: int) -> Json:
    """A channel object."""
    data: Json = {
        "id": str(c.id),
        "type": c.type,
        "guild_id": str(guild_id),
        "name": c.name,
        "position": c.position,
        "permission_overwrites": [],
        "parent_id": None,
        "nsfw": False,
        "flags": 0,
    }
    if c.type == 2:
        data |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None, "rate_limit_per_user": 0}
    elif c.type == 0:
        data |= {"topic": None, "last_message_id": None, "rate_limit_per_user": 0}
    return data


def dm_channel(channel_id: int, with_user: User) -> Json:
    """A DM channel object."""
    return {"id": str(channel_id), "type": 1, "recipients": [user(with_user)], "flags": 0, "last_message_id": None}


def guild(g: Guild) -> Json:
    """A guild object, as REST answers it."""
    return {
        "id": str(g.id),
        "name": g.name,
        "icon": None,
        "splash": None,
        "discovery_splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(g.owner_id),
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "rules_channel_id": None,
        "public_updates_channel_id": None,
        "safety_alerts_channel_id": None,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "premium_progress_bar_enabled": False,
        "preferred_locale": g.locale,
        "max_members": 500000,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "vanity_url_code": g.vanity.code,
        "features": ["VANITY_URL"] if g.vanity.code else [],
        "roles": [role(r) for r in g.roles.values()],
        "emojis": [],
        "stickers": [],
        "region": "deprecated",
        "application_id": None,
        "incidents_data": None,
    }


def guild_create(world: World, g: Guild, *, unavailable: bool | None = False) -> Json:
    """GUILD_CREATE's data. Without the presences intent `members` holds only the bot itself.

    Source: https://discord.com/developers/docs/events/gateway-events#guild-create
    """
    me = g.members.get(world.bot.id)
    data = guild(g)
    if unavailable is not None:
        data["unavailable"] = unavailable
    return data | {
        "joined_at": timestamp(me.joined_at if me else None),
        "large": len(g.members) > 250,
        "member_count": len(g.members),
        "members": [member(me)] if me else [],
        "channels": [channel(c, g.id) for c in g.channels.values()],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def _invite_guild(g: Guild) -> Json:
    return {
        "id": str(g.id),
        "name": g.name,
        "icon": None,
        "splash": None,
        "banner": None,
        "description": None,
        "features": ["VANITY_URL"] if g.vanity.code else [],
        "verification_level": 0,
        "vanity_url_code": g.vanity.code,
        "nsfw_level": 0,
        "premium_subscription_count": 0,
    }


def invite(world: World, g: Guild, i: Invite, *, metadata: bool) -> Json:
    """An invite object; `metadata` adds uses, limits and age.

    Source: https://discord.com/developers/docs/resources/invite#invite-metadata-object
    """
    place = g.channels.get(i.channel_id)
    data: Json = {
        "type": 0,
        "code": i.code,
        "expires_at": timestamp(i.expires_at),
        "flags": 0,
        "guild": _invite_guild(g),
        "guild_id": str(g.id),
        "channel": {"id": str(place.id), "name": place.name, "type": place.type} if place else None,
    }
    if i.inviter_id is not None and i.inviter_id in world.users:
        data["inviter"] = user(world.users[i.inviter_id])
    if metadata:
        data |= {
            "uses": i.shown_uses(world.now()),
            "max_uses": i.max_uses,
            "max_age": i.max_age,
            "temporary": i.temporary,
            "created_at": timestamp(i.created_at),
        }
    return data


def invite_create(world: World, g: Guild, i: Invite) -> Json:
    """INVITE_CREATE's data. Source: https://discord.com/developers/docs/events/gateway-events#invite-create"""
    data: Json = {
        "channel_id": str(i.channel_id),
        "guild_id": str(g.id),
        "code": i.code,
        "created_at": timestamp(i.created_at),
        "expires_at": timestamp(i.expires_at),
        "max_age": i.max_age,
        "max_uses": i.max_uses,
        "temporary": i.temporary,
        "uses": i.uses,
        "type": 0,
        "flags": 0,
    }
    if i.inviter_id is not None and i.inviter_id in world.users:
        data["inviter"] = user(world.users[i.inviter_id])
    return data


def audit_entry(e: AuditEntry) -> Json:
    """An audit log entry object."""
    data: Json = {
        "id": str(e.id),
        "action_type": e.action_type,
        "user_id": str(e.user_id) if e.user_id else None,
        "target_id": str(e.target_id) if e.target_id else None,
        "changes": [],
    }
    if e.reason:
        data["reason"] = e.reason
    return data
