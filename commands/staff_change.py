"""Changes to the staff register: what may be changed, by whom, and the record that it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from commands import replies
from commands.refusals import Refused, Unfit
from commands.registry import Register, Registry, Staff
from joins.chain import Record
from joins.records import timestamp

LONGEST_LINK, LONGEST_CODE = 300, 64  # characters
CLEAR = "none"
"""What somebody types to empty a field."""


def change(kind: str, guild_id: str, actor_id: str, reason: str, **keys: Any) -> Record:
    """A change that is not about a member, ready to be sealed."""
    return {
        "recorded_at": timestamp(datetime.now(UTC)),
        "change": kind,
        "change_id": uuid4().hex,
        "join_id": None,
        "guild_id": guild_id,
        "user_id": None,
        "actor_id": actor_id,
        "reason": reason,
        **keys,
    }


class StaffChanges:
    """Decides, publishes and notes changes to the register, one at a time."""

    def __init__(self, registry: Registry, record_change: Callable[[Record], Awaitable[str]]) -> None:
        """`record_change` makes a change durable and returns its event id."""
        self._registry = registry
        self._record_change = record_change
        # A change starts from what is registered, so two at once could undo each other.
        self._lock = asyncio.Lock()

    async def register(self, guild_id: str) -> Register:
        """The guild's register as of now."""
        return await asyncio.to_thread(self._registry.of_guild, guild_id)

    async def set(
        self, guild_id: str, actor_id: str, staff_id: str, name: str, ib_link: str | None, ib_code: str | None
    ) -> Staff:
        """Registers or alters somebody; None keeps what is there. Raises Refused."""
        link, code = checked_link(ib_link), checked_code(ib_code)
        async with self._lock:
            old = (await self.register(guild_id)).staff.get(staff_id)
            if old is not None and old.retired and actor_id == staff_id:
                raise Refused("You were taken off the staff register: somebody else has to register you again.")
            link = old.ib_link if link is None and old else link
            code = old.ib_code if code is None and old else code
            new = Staff(staff_id, name, link or None, code or None)
            await self._publish(_set(guild_id, actor_id, new, "/staff set"))
        return new

    async def retire(self, guild_id: str, actor_id: str, staff_id: str) -> list[str]:
        """Takes somebody off the register; returns the codes that stay assigned to him. Raises Refused."""
        async with self._lock:
            register = await self.register(guild_id)
            staff = register.staff.get(staff_id)
            if staff is None or staff.retired:
                raise Refused("That member is not on the staff register: `/staff list` shows who is.")
            await self._publish(change("staff_retired", guild_id, actor_id, "/staff remove", staff_id=staff_id))
        return register.codes_of(staff_id)

    async def propose(self, guild_id: str, actor_id: str, code: str, staff_id: str) -> tuple[Record, str | None]:
        """An assignment that could be recorded, and who has the code so far. Raises Refused."""
        register = await self.register(guild_id)
        _check_assignment(register, code, staff_id)
        made = change("code_assigned", guild_id, actor_id, "/staff assign", invite_code=code, staff_id=staff_id)
        return made, register.codes.get(code)

    async def assign(self, made: Record, name: str, holder: str | None, approved_by: str | None = None) -> None:
        """Records an assignment, and registers the code's owner where he is not. Raises Refused.

        In one's own favour it takes a second person. `holder`: who had the code when that was shown.
        """
        guild_id, actor_id = str(made["guild_id"]), str(made["actor_id"])
        code, staff_id = str(made["invite_code"]), str(made["staff_id"])
        if actor_id == staff_id and approved_by is None:
            raise Refused("Nobody assigns an invite to themselves without a second person.")
        if approved_by in (actor_id, staff_id):
            raise Unfit("Nobody assigns an invite to themselves without a second person.")
        async with self._lock:
            register = await self.register(guild_id)
            _check_assignment(register, code, staff_id)
            if (now := register.codes.get(code)) != holder:
                whom = f"<@{now}>" if now else "nobody"
                raise Refused(f"The invite {replies.code(code)} was assigned to {whom} meanwhile; look again.")
            if staff_id not in register.staff:
                await self._publish(_set(guild_id, actor_id, Staff(staff_id, name), "/staff assign"))
            await self._publish(made if approved_by is None else {**made, "approved_by": approved_by})

    async def _publish(self, made: Record) -> None:
        event = await self._record_change(made)
        self._registry.note(made, event)


def _check_assignment(register: Register, code: str, staff_id: str) -> None:
    """Raises Refused when a code may not be assigned to somebody."""
    staff = register.staff.get(staff_id)
    if staff is not None and staff.retired:
        raise Refused("That member was taken off the staff register: register them again with `/staff set` first.")
    if register.codes.get(code) == staff_id:
        raise Refused(f"The invite {replies.code(code)} is assigned to that member already.")


def _set(guild_id: str, actor_id: str, staff: Staff, reason: str) -> Record:
    return change(
        "staff_set",
        guild_id,
        actor_id,
        reason,
        staff_id=staff.staff_id,
        staff_username=staff.name,
        ib_link=staff.ib_link,
        ib_code=staff.ib_code,
    )


def checked_link(text: str | None) -> str | None:
    """A link as it is stored: None keeps the old one, "" empties it. Raises Refused."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    if text.casefold() == CLEAR:
        return ""
    if len(text) > LONGEST_LINK or not replies.is_link(text):
        raise Refused(
            f"`ib_link` must be a web address that begins with https:// or http://, of at most {LONGEST_LINK} "
            f"characters; `{CLEAR}` removes it."
        )
    return text


def checked_code(text: str | None) -> str | None:
    """An IB code as it is stored: None keeps the old one, "" empties it. Raises Refused."""
    if text is None or not text.strip():
        return None
    text = text.strip()
    if text.casefold() == CLEAR:
        return ""
    if len(text) > LONGEST_CODE or not text.isprintable() or "`" in text:
        raise Refused(f"`ib_code` must be at most {LONGEST_CODE} plain characters; `{CLEAR}` removes it.")
    return text
