"""Messages: what the bot wrote, its attachments and edits, and Discord's limits on them.

Sources: https://discord.com/developers/docs/resources/message and
https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import payloads
from .models import User
from .rest import ApiError, invalid_form

EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

CONTENT_LIMIT = 2000
EMBED_LIMIT = 10
EMBED_TOTAL = 6000
EMBED_LIMITS = {"title": 256, "description": 4096}
FIELD_LIMIT = 25
ROW_LIMIT = 5

_MENTION = re.compile(r"<@!?(\d+)>|<@&(\d+)>|@(everyone|here)")


@dataclass
class File:
    """An uploaded attachment."""

    id: int
    name: str
    data: bytes
    description: str | None = None
    content_type: str | None = None


@dataclass
class Message:
    """One message. `edits` holds what content, embeds and components were before each edit."""

    id: int
    channel_id: int
    author: User
    created_at: datetime
    guild_id: int | None = None
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    flags: int = 0
    allowed_mentions: dict[str, Any] | None = None
    edited_at: datetime | None = None
    edits: list[dict[str, Any]] = field(default_factory=list)
    interaction: dict[str, Any] | None = None
    application_id: int | None = None
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        """True when only the invoking user sees it."""
        return bool(self.flags & EPHEMERAL)

    @property
    def pings(self) -> list[str]:
        """Whom the content notifies: "everyone", "here", user and role ids as text. Embeds notify nobody.

        Source: https://discord.com/developers/docs/resources/message#allowed-mentions-object
        """
        found = _MENTION.findall(self.content)
        allowed = self.allowed_mentions
        if allowed is None:
            return [user or role or everyone for user, role, everyone in found]
        parse = allowed.get("parse") or []
        users, roles = allowed.get("users") or [], allowed.get("roles") or []
        return [
            user or role or everyone
            for user, role, everyone in found
            if (user and ("users" in parse or user in map(str, users)))
            or (role and ("roles" in parse or role in map(str, roles)))
            or (everyone and "everyone" in parse)
        ]


def apply(message: Message, data: dict[str, Any], uploads: dict[int, File], limit: int) -> None:
    """Writes a checked create or edit body into `message`. `uploads` by their number n of `files[n]`.

    Raises ApiError: 50035 for a broken limit, 50006 for an empty message, 40005 (413) for too large a file.
    """
    draft = copy.copy(message)
    # The docs limit each file; people report that the whole request is limited too. The stricter one is kept.
    if sum(len(f.data) for f in uploads.values()) > limit:
        raise ApiError(413, 40005, "Request entity too large")
    draft.flags = message.flags | int(data.get("flags") or 0) & (COMPONENTS_V2 | 1 << 2 | 1 << 12)
    if "content" in data:
        draft.content = data["content"] or ""
    if "embeds" in data:
        draft.embeds = data["embeds"] or []
    if "components" in data:
        draft.components = data["components"] or []
    if data.get("allowed_mentions") is not None:
        draft.allowed_mentions = data["allowed_mentions"]
    draft.files = _kept_files(message, data, uploads)
    _check_content(draft)
    _check_embeds(draft.embeds)
    _check_components(draft)
    if not (draft.content or draft.embeds or draft.files or draft.components or data.get("sticker_ids")):
        raise ApiError(400, 50006, "Cannot send an empty message")
    draft.flags &= ~LOADING
    message.__dict__.update(draft.__dict__)


def edit(message: Message, data: dict[str, Any], uploads: dict[int, File], limit: int, at: datetime) -> None:
    """As `apply`, for an edit at `at`: what was there before is kept in `edits`."""
    before = {"content": message.content, "embeds": message.embeds, "components": message.components}
    apply(message, data, uploads, limit)
    message.edits.append(before)
    message.edited_at = at


def payload(message: Message, base_url: str) -> dict[str, Any]:
    """A message object; attachments are served under `base_url`."""
    data: dict[str, Any] = {
        "id": str(message.id),
        "channel_id": str(message.channel_id),
        "type": 20 if message.interaction else 0,
        "author": payloads.user(message.author),
        "content": message.content,
        "timestamp": payloads.timestamp(message.created_at),
        "edited_timestamp": payloads.timestamp(message.edited_at),
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [_attachment(message, f, base_url) for f in message.files],
        "embeds": [{"type": "rich"} | e for e in message.embeds],
        "components": message.components,
        "pinned": False,
        "flags": message.flags,
    }
    if message.interaction is not None:
        data["interaction_metadata"] = message.interaction
    if message.application_id is not None:
        data |= {"application_id": str(message.application_id), "webhook_id": str(message.application_id)}
    return data


def find_component(message: Message, wanted: str) -> dict[str, Any] | None:
    """The button or select with this custom_id or label, wherever it is nested."""
    return next((c for c in walk(message.components) if wanted in (c.get("custom_id"), c.get("label"))), None)


def walk(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every component, containers before what they hold."""
    found: list[dict[str, Any]] = []
    for component in components:
        found.append(component)
        found += walk(component.get("components") or [])
        if component.get("accessory"):
            found += walk([component["accessory"]])
    return found


def _attachment(message: Message, f: File, base_url: str) -> dict[str, Any]:
    url = f"{base_url}/attachments/{message.channel_id}/{f.id}/{f.name}"
    data: dict[str, Any] = {"id": str(f.id), "filename": f.name, "size": len(f.data), "url": url, "proxy_url": url}
    if f.description:
        data["description"] = f.description
    if f.content_type:
        data["content_type"] = f.content_type
    return data


def _kept_files(message: Message, data: dict[str, Any], uploads: dict[int, File]) -> list[File]:
    if data.get("attachments") is None:
        return message.files + list(uploads.values())
    by_id = {f.id: f for f in message.files}
    files: list[File] = []
    for index, item in enumerate(data["attachments"]):
        number = int(item["id"])
        upload = uploads.get(number)
        if upload is not None:
            upload.name = item.get("filename") or upload.name
            upload.description = item.get("description")
            files.append(upload)
        elif number in by_id:
            files.append(by_id[number])
        else:
            raise invalid_form(**{f"attachments.{index}.id": "Unknown attachment"})
    return files


def _check_content(message: Message) -> None:
    if not isinstance(message.content, str):
        raise invalid_form(content="Could not interpret as string.")
    if len(message.content) > CONTENT_LIMIT:
        raise invalid_form(content=f"Must be {CONTENT_LIMIT} or fewer in length.")
    if message.flags & COMPONENTS_V2 and (message.content or message.embeds):
        raise invalid_form(content="The 'content' field cannot be used when using MessageFlags.IS_COMPONENTS_V2")
    if len(message.files) > 10:
        raise invalid_form(attachments="Must be 10 or fewer in length.")


def _check_embeds(embeds: list[dict[str, Any]]) -> None:
    if len(embeds) > EMBED_LIMIT:
        raise invalid_form(embeds=f"Must be {EMBED_LIMIT} or fewer in length.")
    total = 0
    for index, embed in enumerate(embeds):
        where = f"embeds.{index}"
        texts = [(f"{where}.{key}", embed.get(key), most) for key, most in EMBED_LIMITS.items()]
        texts.append((f"{where}.footer.text", (embed.get("footer") or {}).get("text"), 2048))
        texts.append((f"{where}.author.name", (embed.get("author") or {}).get("name"), 256))
        fields = embed.get("fields") or []
        if len(fields) > FIELD_LIMIT:
            raise invalid_form(**{f"{where}.fields": f"Must be {FIELD_LIMIT} or fewer in length."})
        for n, one in enumerate(fields):
            for key, most in (("name", 256), ("value", 1024)):
                if not one.get(key):
                    raise invalid_form(**{f"{where}.fields.{n}.{key}": "This field is required"})
                texts.append((f"{where}.fields.{n}.{key}", one[key], most))
        for path, text, most in texts:
            if text and len(text) > most:
                raise invalid_form(**{path: f"Must be {most} or fewer in length."})
            total += len(text or "")
    if total > EMBED_TOTAL:
        raise invalid_form(embeds=f"Embed size exceeds maximum size of {EMBED_TOTAL}")


def _check_components(message: Message) -> None:
    v2 = bool(message.flags & COMPONENTS_V2)
    if not v2 and len(message.components) > ROW_LIMIT:
        raise invalid_form(components=f"Must be between 1 and {ROW_LIMIT} in length.")
    seen: set[str] = set()
    everything = walk(message.components)
    if v2 and len(everything) > 40:
        raise invalid_form(components="The total number of components cannot exceed 40.")
    for top in message.components:
        if not v2 and top.get("type") != 1:
            raise invalid_form(components='Value of field "type" must be one of (1,).')
    for c in everything:
        kind, custom_id = c.get("type"), c.get("custom_id")
        if kind == 1 and not 1 <= len(c.get("components") or []) <= 5:
            raise invalid_form(components="An action row holds 1 to 5 components.")
        if kind == 2:
            if len(c.get("label") or "") > 80:
                raise invalid_form(components="A label must be 80 or fewer in length.")
            if c.get("style") == 5 and not c.get("url"):
                raise invalid_form(components="A link button must have a url.")
            if c.get("style") in (1, 2, 3, 4) and not custom_id:
                raise invalid_form(components="A custom id is required.")
        if kind == 3 and not 1 <= len(c.get("options") or []) <= 25:
            raise invalid_form(components="Options must be between 1 and 25 in length.")
        if custom_id is not None:
            if len(custom_id) > 100:
                raise invalid_form(components="A custom id must be 100 or fewer in length.")
            if custom_id in seen:
                raise invalid_form(components="Component custom id cannot be duplicated")
            seen.add(custom_id)
