"""Whom an invite code stands for now: the assignment first, the inviter second; and whether it is known at all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from commands import listing
from commands.listing import Filter
from commands.refusals import PermissionMissing, Refused
from commands.registry import Register
from commands.services import InviteCounts, Services
from joins.errors import FetchFailed


@dataclass(frozen=True)
class Referrer:
    """The staff member behind a code (None: nobody), and the source that a join by it has.

    `known`: the register, Discord's list or the recorded joins have the code.
    """

    staff_id: str | None = None
    staff_username: str | None = None
    source: str = "invite"
    known: bool = False


async def of_code(services: Services, register: Register, guild_id: str, code: str) -> Referrer:
    """Whom a code of a guild stands for."""
    counts = await _counts(services, guild_id)
    vanity = counts.vanity is not None and counts.vanity.code == code
    source = "vanity" if vanity else "invite"
    owner = register.codes.get(code)
    if owner is not None:
        return Referrer(owner, _name(register, owner), source, known=True)
    if vanity:
        return Referrer(source=source, known=True)
    if (count := counts.invites.get(code)) is not None:
        if count.inviter_id is None:
            return Referrer(known=True)
        return Referrer(count.inviter_id, _name(register, count.inviter_id) or count.inviter_name, known=True)
    try:
        page = await asyncio.to_thread(listing.page, services.folder, Filter(guild_id, invite_code=code))
    except Refused:  # there are no logs yet
        return Referrer()
    if not page.rows:
        return Referrer()
    latest = page.rows[0]
    if latest.staff_id is None:
        return Referrer(known=True)
    return Referrer(latest.staff_id, _name(register, latest.staff_id) or latest.staff_username, known=True)


async def _counts(services: Services, guild_id: str) -> InviteCounts:
    try:
        return await services.invite_counts(guild_id)
    except (PermissionMissing, FetchFailed):
        return InviteCounts({})  # then the register and the logs alone decide


def _name(register: Register, staff_id: str) -> str | None:
    staff = register.staff.get(staff_id)
    return staff.name if staff else None
