"""For whom an invite code stood when a member joined: the assignment first, the inviter second.

Where it is not known to whom the code was assigned then, nobody is credited, and a flag says so. Assignments count up
to the join's `credit_time` (`producer/join_record.py` says which moment that is, and why).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

from joins.chain import Record
from joins.records import STAFF_UNRESOLVED
from producer.attribution import Attribution
from producer.found import Found
from producer.join_record import credit_time, recorded_credit_time
from producer.payloads import Arrival
from producer.ports import Register
from producer.staff_registry import AssignmentUnknown, Staff
from producer.unconfirmed import Unconfirmed

log = logging.getLogger("producer")


class Credited(NamedTuple):
    """Who is credited, and what the record says of that in its flags."""

    staff: Staff | None
    flags: tuple[str, ...] = ()


def of_arrival(register: Register, arrival: Arrival, attribution: Attribution) -> Credited:
    """Who is credited for a join that is about to be recorded."""
    guild_id, code = arrival["guild_id"], attribution.invite_code
    by, name, at = attribution.inviter_id, attribution.inviter_name, credit_time(arrival)
    return _known(arrival["join_id"], lambda: _staff_of(register, guild_id, code, by, at, name))


def of_found(register: Register, join: Unconfirmed, found: Found) -> Credited:
    """Who is credited for a recorded join now that member search tells of it."""
    return _known(join.join_id, lambda: _of_found(register, join, found))


def foreseen(register: Register, record: Record) -> dict[str, Staff | None]:
    """For whom each code stood that a join may turn out to have used: kept, as assignments may change until then. A
    code of which that is not known is left out.
    """
    staff: dict[str, Staff | None] = {}
    if record["invite_code"] is not None and STAFF_UNRESOLVED not in record["flags"]:
        credited = record["staff_id"]
        staff[record["invite_code"]] = Staff(credited, record["staff_username"]) if credited else None
    for candidate in record["candidates"]:
        code, by = candidate["invite_code"], candidate.get("inviter_id")
        with contextlib.suppress(AssignmentUnknown):
            staff[code] = _staff_of(register, record["guild_id"], code, by, recorded_credit_time(record))
    return staff


def _known(join_id: str, asked: Callable[[], Staff | None]) -> Credited:
    try:
        return Credited(asked())
    except AssignmentUnknown as error:
        log.warning("join %s: nobody is credited, as %s", join_id, error)
        return Credited(None, (STAFF_UNRESOLVED,))


def _of_found(register: Register, join: Unconfirmed, found: Found) -> Staff | None:
    if found.invite_code in join.staff:
        who = join.staff[found.invite_code]
        return who or _inviter(register, join.guild_id, found.inviter_id)
    return _staff_of(register, join.guild_id, found.invite_code, found.inviter_id, join.credit_time)


def _staff_of(
    register: Register, guild_id: str, code: str | None, inviter_id: str | None, at: str, name: str | None = None
) -> Staff | None:
    """For whom a code stood at that time; without a code, nobody is credited. Raises AssignmentUnknown."""
    if code is None:
        return None
    return register.of_code(guild_id, code, at) or _inviter(register, guild_id, inviter_id, name)


def _inviter(register: Register, guild_id: str, inviter_id: str | None, name: str | None = None) -> Staff | None:
    """The inviter, under the name by which he is registered, else the one that Discord gave."""
    if inviter_id is None:
        return None
    return Staff(inviter_id, register.name(guild_id, inviter_id) or name)
