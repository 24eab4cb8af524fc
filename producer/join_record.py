"""An arrival and its attribution -> the record of the join (DESIGN 4)."""

from __future__ import annotations

from datetime import datetime

from joins.chain import Record
from joins.records import EXACT, timestamp
from producer.attribution import Attribution
from producer.payloads import Arrival
from producer.staff_registry import Staff

TEMPORARY = "temporary_invite"  # this member is removed on disconnecting unless given a role


def build(arrival: Arrival, attribution: Attribution, staff: Staff | None, recorded_at: datetime) -> Record:
    """The record, not yet sealed or numbered. `staff` is who the code stands for, None when nobody is known."""
    credited = staff if attribution.confidence == EXACT else None
    return {
        "timestamp": arrival["timestamp"],
        "user_id": arrival["user_id"],
        "username": arrival["username"],
        "display_name": arrival["display_name"],
        "discriminator": arrival["discriminator"],
        "invite_code": attribution.invite_code,
        "staff_id": credited.staff_id if credited else None,
        "staff_username": credited.staff_username if credited else None,
        "uses_before": attribution.uses_before,
        "uses_after": attribution.uses_after,
        "guild_id": arrival["guild_id"],
        "guild_name": arrival["guild_name"],
        "recorded_at": timestamp(recorded_at),
        "join_id": arrival["join_id"],
        "source": attribution.source,
        "method": attribution.method,
        "confidence": attribution.confidence,
        "candidates": [dict(candidate) for candidate in attribution.candidates],
        "inviter_id": attribution.inviter_id,
        "flags": [*arrival["flags"], TEMPORARY] if attribution.temporary else list(arrival["flags"]),
        "evidence": dict(attribution.evidence),
    }
