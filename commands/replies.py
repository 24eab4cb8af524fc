"""What a person reads: names made harmless, dates, and embeds that stay within Discord's limits.

Limits: https://discord.com/developers/docs/resources/message#embed-object-embed-limits
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import urlsplit

import discord

from joins.records import moment

CONTENT, TITLE, DESCRIPTION, FIELD_VALUE = 2000, 256, 4096, 1024
"""The most characters of a message, an embed's title, its description and the value of one of its fields."""

EMBED = 6000
"""The most characters of an embed altogether."""

COLOUR = discord.Colour.blurple()
NONE = "—"
_LONGEST_NAME = 80  # characters shown of a name; Discord's own allow 32, a server's 100
_PRIVATE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control, bidi and other invisible characters, line separators
_JOINERS = {"\u200d", "\ufe0f"}  # what emoji are made of
_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+", re.IGNORECASE)


def plain(text: str | None, longest: int = _LONGEST_NAME) -> str:
    """Text of others on one line, without characters that hide, reorder or break what stands around it."""
    cleaned = "".join(
        " " if c in "\r\n\t" else c
        for c in unicodedata.normalize("NFC", text or "")
        if c in "\r\n\t" or c in _JOINERS or unicodedata.category(c) not in _PRIVATE
    )
    cleaned = " ".join(cleaned.split())
    return cleaned if len(cleaned) <= longest else cleaned[: longest - 1] + "…"


def name(name_given: str | None) -> str:
    """A name as it may stand in a message: neither markdown, mention, link nor timestamp."""
    return text(name_given)


def text(given: str | None, longest: int = _LONGEST_NAME) -> str:
    """Text of others as it may stand in a message, made harmless as a name is."""
    escaped = discord.utils.escape_markdown(plain(given, longest), ignore_links=False)
    escaped = discord.utils.escape_mentions(escaped).replace("<", "\\<").replace("://", ":\\//")
    return escaped or NONE


def code(text: str | None) -> str:
    """An invite code or an id, as code."""
    return f"`{plain(text).replace('`', 'ˋ')}`" if text else NONE


def link(url: str | None) -> str:
    """A web address that can be clicked; anything else as plain text."""
    if not url:
        return NONE
    return url if is_link(url) else name(url)


def is_link(url: str) -> bool:
    """Whether it is an http(s) address with a host, free of characters that could end it early."""
    try:
        return bool(_URL.fullmatch(url)) and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def user(user_id: str | None, username: str | None) -> str:
    """A person in a list: name and id."""
    return f"{name(username)} ({code(user_id)})" if user_id else name(username)


def attribution(code_used: str | None, staff_id: str | None, staff_name: str | None) -> str:
    """An invite and who stands behind it."""
    who = name(staff_name) if staff_name else f"<@{staff_id}>" if staff_id else "nobody"
    return f"{code(code_used) if code_used else 'no invite'} · {who}"


def joined_on(timestamp: str) -> str:
    """A time of the log as the specification shows it, such as "October 31, 2025 at 02:30 PM"."""
    return f"{moment(timestamp):%B %d, %Y at %I:%M %p}"


def at(timestamp: str, style: discord.utils.TimestampStyle = "f") -> str:
    """A time of the log which Discord shows in the reader's own zone; `R` for "3 days ago"."""
    return discord.utils.format_dt(moment(timestamp), style)


def count(number: int, thing: str, things: str | None = None) -> str:
    """Such as "1 join", "1,200 joins"."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def lines(parts: Sequence[str], limit: int) -> tuple[str, int]:
    """As many whole lines as fit into `limit` characters with a note of the rest; and how many were left out."""
    text = "\n".join(parts)
    if len(text) <= limit:
        return text, 0
    room, kept = limit - len("\n… and 1,000,000 more"), 0
    used = 0
    for part in parts:
        if used + len(part) + 1 > room:
            break
        used, kept = used + len(part) + 1, kept + 1
    left = len(parts) - kept
    return "\n".join([*parts[:kept], f"… and {left:,} more"]), left


def embed(title: str, description: str | None = None) -> discord.Embed:
    """An empty answer."""
    made = discord.Embed(title=title[:TITLE], colour=COLOUR)
    if description:
        made.description = lines(description.split("\n"), DESCRIPTION)[0]
    return made


def add(made: discord.Embed, title: str, parts: Sequence[str], inline: bool = False) -> None:
    """Adds a field of lines, cut at the limits of the field and of the whole embed."""
    room = min(FIELD_VALUE, EMBED - len(made) - len(title) - 10)
    if parts and room > 40:
        made.add_field(name=title, value=lines(parts, room)[0] or NONE, inline=inline)
