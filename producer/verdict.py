"""What member search's answer means for a recorded join: nothing yet, nothing any more, or a change to record. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256

from joins.chain import Record
from joins.records import EXACT, moment, timestamp
from producer.found import Found
from producer.staff_registry import Staff
from producer.unconfirmed import Unconfirmed

MEMBER_SEARCH = "member_search"  # the method, and the actor of the change
SAME = timedelta(milliseconds=1)  # two times of one join may differ by their rounding


class Verdict(Enum):
    """What to do with a join after an answer."""

    SETTLED = auto()
    NOT_YET = auto()  # not indexed yet, or the search tells nothing of this member
    REJOINED = auto()  # the search tells of a later join: of this one it will never tell again


def judge(join: Unconfirmed, found: Found | None) -> Verdict:
    """`found` is what the search says of this user now, None when it knows no such member."""
    if found is None:
        return Verdict.NOT_YET
    later = moment(found.joined_at) - moment(join.joined_at)
    if later >= SAME:
        return Verdict.REJOINED
    if later <= -SAME or not found.settles:
        return Verdict.NOT_YET  # the index still holds an earlier stay
    return Verdict.SETTLED


def change(
    join: Unconfirmed, found: Found, staff: Staff | None, recorded_at: datetime, flags: Sequence[str] = ()
) -> Record:
    """The change that settles a join. `staff` is for whom the code stood when the member joined.

    The same join, settled the same way, is always the same change: a repeat after a crash adds nothing.
    """
    staff_id = staff.staff_id if staff else None
    known = join.confidence == EXACT and (join.invite_code, join.staff_id) == (found.invite_code, staff_id)
    told = f"{join.join_id}/{MEMBER_SEARCH}/{found.invite_code or found.source}"
    made: Record = {
        "recorded_at": timestamp(recorded_at),
        "change": "attribution_confirmed" if known else "attribution_corrected",
        "change_id": sha256(told.encode()).hexdigest()[:32],
        "join_id": join.join_id,
        "guild_id": join.guild_id,
        "user_id": join.user_id,
        "actor_id": MEMBER_SEARCH,
        "invite_code": found.invite_code,
        "staff_id": staff_id,
        "staff_username": staff.staff_username if staff else None,
        "confidence": EXACT,
        "source": found.source,
        "method": MEMBER_SEARCH,
        "inviter_id": found.inviter_id,
        "was": {
            "invite_code": join.invite_code,
            "staff_id": join.staff_id,
            "confidence": join.confidence,
            "source": join.source,
            "method": join.method,
        },
    }
    made |= {"evidence": found.evidence} if found.evidence else {}
    return made | {"flags": list(flags)} if flags else made
