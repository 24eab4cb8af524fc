"""What Discord's member search says of a member, as plain data.

Shape: https://docs.discord.food/resources/guild#supplemental-guild-member-object (unofficial; Discord documents none).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joins.records import timestamp

# By Discord's number (`join_source_type`); a number that nobody knows yet is as good as 0, unspecified. Number 1 says
# that an application added the user by the OAuth2 scope `guilds.join`: such a user may be a person, whose source is
# `integration` then. https://docs.discord.food/resources/guild#join-source-type (unofficial)
SOURCES = (
    "unknown", "bot", "integration", "discovery", "hub", "invite", "vanity", "manual_verification", "linked_lobby",
)  # fmt: skip
BY_A_CODE = ("unknown", "invite", "vanity")  # these say something only together with the code
INDEXING = 110000  # error code of the 202 answer while a guild's members are being indexed
DEFAULT_WAIT = 5.0  # seconds that a `retry_after` of 0 stands for


@dataclass(frozen=True, slots=True)
class Found:
    """How a member who is in the guild now came in."""

    user_id: str
    joined_at: str  # as in the logs
    source: str
    invite_code: str | None
    inviter_id: str | None
    added_by_application: bool = False

    @property
    def evidence(self) -> dict[str, Any]:
        """What a record shall hold of it beyond the source."""
        return {"added_by_application": True} if self.added_by_application else {}

    @property
    def settles(self) -> bool:
        """Whether it tells by which invite the member joined, or that it was by none."""
        return self.invite_code is not None or self.source not in BY_A_CODE


class ForeignShape(ValueError):
    """The answer is not of the shape that is known."""


def page(answer: Any) -> list[Found]:
    """The members of an answer. Raises ForeignShape."""
    if not isinstance(answer, dict) or not isinstance(answer.get("members"), list):
        raise ForeignShape("an answer without a list of members")
    try:
        return [_found(entry) for entry in answer["members"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ForeignShape(f"an entry that cannot be read ({type(error).__name__}: {error})") from error


def indexing(answer: Any) -> float | None:
    """Seconds to wait when Discord says that the guild is being indexed, else None."""
    if not isinstance(answer, dict) or answer.get("code") != INDEXING:
        return None
    wait = answer.get("retry_after")
    return float(wait) if isinstance(wait, (int, float)) and wait > 0 else DEFAULT_WAIT


def _found(entry: Mapping[str, Any]) -> Found:
    member, number = entry["member"], entry["join_source_type"]
    joined_at = datetime.fromisoformat(member["joined_at"])
    code = _text(entry["source_invite_code"])
    source = SOURCES[number] if int.__index__(number) in range(len(SOURCES)) else "unknown"
    person_added = source == "bot" and not member["user"].get("bot")
    if person_added:
        source = "integration"
    return Found(
        user_id=_id(member["user"]["id"]),
        joined_at=timestamp(joined_at if joined_at.tzinfo else joined_at.replace(tzinfo=UTC)),
        source="invite" if source == "unknown" and code else source,
        invite_code=code,
        inviter_id=_id(entry["inviter_id"]) if entry.get("inviter_id") is not None else None,
        added_by_application=person_added,
    )


def _id(value: Any) -> str:
    if not str(value).isdecimal():
        raise ValueError(f"{str(value)[:40]!r} is no id")
    return str(value)


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no code")
    return value or None
