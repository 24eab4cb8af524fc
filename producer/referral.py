"""For whom an invite code stands when a member joins: the assignment first, the inviter second."""

from __future__ import annotations

import contextlib

from joins.chain import Record
from producer.found import Found
from producer.ports import Recorder
from producer.staff_registry import AssignmentUnknown, Staff
from producer.unconfirmed import Unconfirmed


async def staff_of(
    recorder: Recorder,
    guild_id: str,
    code: str | None,
    inviter_id: str | None,
    inviter_name: str | None = None,
    at: str | None = None,
) -> Staff | None:
    """For whom a code stands now, or stood at that time; without a code, nobody is credited. Raises AssignmentUnknown,
    only where a time is given.
    """
    if code is None:
        return None
    assigned = await recorder.staff_of_code(guild_id, code, at)
    return assigned or await inviter(recorder, guild_id, inviter_id, inviter_name)


async def inviter(
    recorder: Recorder, guild_id: str, inviter_id: str | None, inviter_name: str | None = None
) -> Staff | None:
    """The inviter, under the name by which he is registered, else the one that Discord gave."""
    if inviter_id is None:
        return None
    return Staff(inviter_id, await recorder.staff_name(guild_id, inviter_id) or inviter_name)


async def foreseen(recorder: Recorder, record: Record) -> dict[str, Staff | None]:
    """For whom each code stood that a join may turn out to have used: kept, as assignments may change until then. A
    code of which that is not known is left out.
    """
    staff: dict[str, Staff | None] = {}
    if record["invite_code"] is not None:
        credited = record["staff_id"]
        staff[record["invite_code"]] = Staff(credited, record["staff_username"]) if credited else None
    for candidate in record["candidates"]:
        code, by = candidate["invite_code"], candidate.get("inviter_id")
        with contextlib.suppress(AssignmentUnknown):
            staff[code] = await staff_of(recorder, record["guild_id"], code, by, at=record["timestamp"])
    return staff


async def credited(recorder: Recorder, join: Unconfirmed, found: Found) -> Staff | None:
    """For whom the code that was found stood when the member joined. Raises AssignmentUnknown."""
    if found.invite_code in join.staff:
        who = join.staff[found.invite_code]
        return who or await inviter(recorder, join.guild_id, found.inviter_id)
    return await staff_of(recorder, join.guild_id, found.invite_code, found.inviter_id, at=join.joined_at)
