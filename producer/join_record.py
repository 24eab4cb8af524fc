"""An arrival and its attribution -> the record of the join (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from joins.chain import Record
from joins.records import EXACT, timestamp
from producer.attribution import OAUTH2, Attribution
from producer.payloads import Arrival
from producer.staff_registry import Staff

TEMPORARY = "temporary_invite"  # this member is removed on disconnecting unless given a role
RECEIVED = "received_at"  # in the evidence: when the join's event came, by this machine's clock


def received_at(record: Record) -> str:
    """When the event of a recorded join came; its `timestamp` where no event announced it."""
    return str(record["evidence"].get(RECEIVED) or record["timestamp"])


def build(
    arrival: Arrival,
    attribution: Attribution,
    staff: Staff | None,
    recorded_at: datetime,
    flags: Sequence[str] = (),
) -> Record:
    """The record, not yet sealed or numbered. `staff` is who the code stands for, None when nobody is known."""
    credited = staff if attribution.confidence == EXACT else None
    evidence, temporary = dict(attribution.evidence), [TEMPORARY] if attribution.temporary else []
    if attribution.method != OAUTH2 and arrival["received_at"] != arrival["timestamp"]:
        evidence[RECEIVED] = arrival["received_at"]
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
        "flags": [*arrival["flags"], *temporary, *flags],
        "evidence": evidence,
    }
