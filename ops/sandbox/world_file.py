"""A world from a JSON file: guilds with channels, members, invites and a vanity URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .actions import Actions
from .world import WorldError


def load(actions: Actions, path: Path) -> None:
    """Adds the file's guilds. Raises OSError, ValueError (no JSON, a wrong key) or WorldError."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for entry in data.get("guilds", []):
        try:
            _guild(actions, dict(entry))
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: guild {entry.get('name')!r}: {error}") from None


def _guild(actions: Actions, entry: dict[str, Any]) -> None:
    members, invites = entry.pop("members", []), entry.pop("invites", [])
    vanity = entry.pop("vanity", None) or {}
    guild = actions.add_guild(**entry)
    actions.set_vanity(guild.id, vanity.get("code"), vanity.get("uses", 0))
    ids: dict[str, int] = {m.username: m.id for m in guild.members.values()}
    for member in members:
        added = actions.add_member(guild.id, member.pop("username"), **member)
        ids[added.username] = added.id
    channels = {c.name: c.id for c in guild.channels.values()}
    for invite in invites:
        inviter = invite.pop("inviter", None)
        if inviter is not None and inviter not in ids:
            raise WorldError(f"invite {invite.get('code')!r}: no member {inviter!r}")
        channel = invite.pop("channel", None)
        place = channels[channel] if channel else None
        actions.add_invite(guild.id, inviter=ids.get(inviter), channel=place, **invite)
