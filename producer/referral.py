"""For whom an invite code stood when a member joined: the assignment first, the inviter second.

Where it is not known to whom the code was assigned then, nobody is credited, and a flag says so.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import NamedTuple

from joins.chain import Record
from joins.records import STAFF_UNRESOLVED, moment
from producer.attribution import Attribution
from producer.differences import SKEW
from producer.found import Found
from producer.join_record import received_at
from producer.payloads import Arrival
from producer.ports import Register
from producer.staff_registry import AssignmentUnknown, Staff
from producer.unconfirmed import Unconfirmed

log = logging.getLogger("producer")


class _Times(NamedTuple):
    joined_at: str  # by Discord's clock
    received_at: str  # by this machine's; the same as `joined_at` where no event announced the join

    @classmethod
    def of(cls, arrival: Arrival) -> _Times:
        return cls(arrival["timestamp"], arrival["received_at"])


class Credited(NamedTuple):
    """Who is credited, and what the record says of that in its flags."""

    staff: Staff | None
    flags: tuple[str, ...] = ()


def of_arrival(register: Register, arrival: Arrival, attribution: Attribution) -> Credited:
    """Who is credited for a join that is about to be recorded."""
    guild_id, code = arrival["guild_id"], attribution.invite_code
    times, by, name = _Times.of(arrival), attribution.inviter_id, attribution.inviter_name
    return _known(arrival["join_id"], lambda: _staff_of(register, guild_id, code, by, times, name))


def of_found(register: Register, join: Unconfirmed, found: Found) -> Credited:
    """Who is credited for a recorded join now that member search tells of it."""
    return _known(join.join_id, lambda: _of_found(register, join, found))


def foreseen(register: Register, record: Record) -> dict[str, Staff | None]:
    """For whom each code stood that a join may turn out to have used: kept, as assignments may change until then. A
    code of which that is not known is left out.
    """
    times = _Times(record["timestamp"], received_at(record))
    staff: dict[str, Staff | None] = {}
    if record["invite_code"] is not None and STAFF_UNRESOLVED not in record["flags"]:
        credited = record["staff_id"]
        staff[record["invite_code"]] = Staff(credited, record["staff_username"]) if credited else None
    for candidate in record["candidates"]:
        code, by = candidate["invite_code"], candidate.get("inviter_id")
        with contextlib.suppress(AssignmentUnknown):
            staff[code] = _staff_of(register, record["guild_id"], code, by, times)
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
    times = _Times(join.joined_at, join.received_at)
    return _staff_of(register, join.guild_id, found.invite_code, found.inviter_id, times)


def _staff_of(
    register: Register, guild_id: str, code: str | None, inviter_id: str | None, times: _Times, name: str | None = None
) -> Staff | None:
    """For whom a code stood at that time; without a code, nobody is credited. Raises AssignmentUnknown."""
    if code is None:
        return None
    return _assigned(register, guild_id, code, times) or _inviter(register, guild_id, inviter_id, name)


def _assigned(register: Register, guild_id: str, code: str, times: _Times) -> Staff | None:
    """To whom a code was assigned when a member joined. Raises AssignmentUnknown.

    An assignment bears this machine's time, a join Discord's. Were these two compared, a clock that is some seconds
    ahead would put an assignment after a join that came later. When the join's event was received is this machine's
    time too, so for a live join that moment counts: it tells which of the two came first. A join that no event
    announced has its time of joining alone. An event that came later than clocks and its way explain was either
    announced late, so that what was assigned meanwhile does not count, or the clock is far off, so that it does: where
    that makes a difference, it is not known.
    """
    assigned = register.of_code(guild_id, code, times.received_at)
    late = moment(times.received_at) - moment(times.joined_at) > SKEW
    if late and register.of_code(guild_id, code, times.joined_at) != assigned:
        raise AssignmentUnknown(
            f"{code} was assigned after {times.joined_at}, when the member joined by Discord's clock, and before "
            f"{times.received_at}, when that was announced by ours"
        )
    return assigned


def _inviter(register: Register, guild_id: str, inviter_id: str | None, name: str | None = None) -> Staff | None:
    """The inviter, under the name by which he is registered, else the one that Discord gave."""
    if inviter_id is None:
        return None
    return Staff(inviter_id, register.name(guild_id, inviter_id) or name)
