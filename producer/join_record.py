"""An arrival and its attribution -> the record of the join (DESIGN 4), and up to when assignments count for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from joins.chain import Record
from joins.records import EXACT, moment, timestamp
from producer.attribution import OAUTH2, Attribution
from producer.differences import SKEW
from producer.payloads import Arrival
from producer.staff_registry import Staff

TEMPORARY = "temporary_invite"  # this member is removed on disconnecting unless given a role
RECEIVED = "received_at"  # in the evidence: when the join's event came, where assignments up to then count


def credit_time(arrival: Arrival) -> str:
    """The moment up to which an assignment of a code counts for this join.

    An assignment bears this machine's time, the join's `timestamp` Discord's. Were the two compared, a clock that is
    a few seconds ahead would put an assignment after a join that came later. When the event was received is this
    machine's time too, so it tells what came first, and for a live join it is the moment of joining but for the way
    of the event. One that came later than clocks and that way explain was announced late; it counts from the
    `timestamp`, as does a join that no event announced: what was assigned between the two was assigned after it.
    """
    late = moment(arrival["received_at"]) - moment(arrival["timestamp"]) > SKEW
    return str(arrival["timestamp"] if late else arrival["received_at"])


def recorded_credit_time(record: Record) -> str:
    """The `credit_time` of a join that has its record."""
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
    if attribution.method != OAUTH2 and (at := credit_time(arrival)) != arrival["timestamp"]:
        evidence[RECEIVED] = at
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
