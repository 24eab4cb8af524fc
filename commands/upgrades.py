"""VIP upgrades: who was upgraded already, how many count for whom, and the record of a new one. Knows no Discord."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from commands import json_log
from commands.database import Database
from commands.refusals import NoDatabase, Refused, Unfit
from commands.services import Services
from commands.staff_change import change
from joins.chain import Record
from joins.event_id import ZERO
from joins.records import CHANGES

KIND = "vip_upgraded"


def of_member(folder: Path, guild_id: str, user_id: str) -> Record | None:
    """The upgrade of a member, or None."""
    head, row = ZERO, None
    try:
        with Database(folder) as database:
            database.one_moment()
            head = database.head(CHANGES)
            where = "where r.guild_id = ? and r.user_id = ? and r.change = ? order by r.position limit 1"
            row = next(iter(database.records(CHANGES, where, guild_id, user_id, KIND)), None)
    except NoDatabase:
        head = ZERO  # then the log tells all
    if row is not None:
        return row
    with json_log.opened(folder, CHANGES) as reader:
        for found in json_log.late(reader, head, "user_id", user_id):
            if found.get("guild_id") == guild_id and found.get("change") == KIND:
                return found
    return None


def counts(folder: Path, guild_id: str) -> dict[str, int]:
    """How many upgraded members count for each member of staff, as far as the database knows."""
    try:
        with Database(folder) as database:
            rows = database.rows(
                "select staff_id, count(distinct user_id) as n from changes "
                f"where change = '{KIND}' and guild_id = ? and staff_id is not null group by staff_id",
                guild_id,
            )
            return {str(row["staff_id"]): int(row["n"]) for row in rows}
    except NoDatabase:
        return {}


class Upgrades:
    """Records upgrades, one at a time, each member once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._own: dict[tuple[str, str], Record] = {}  # upgrades that no sink may have written yet

    async def of_member(self, guild_id: str, user_id: str) -> Record | None:
        """The upgrade of a member, those of a moment ago included."""
        own = self._own.get((guild_id, user_id))
        return own or await asyncio.to_thread(of_member, self._services.folder, guild_id, user_id)

    def note(self, made: Record, event: str) -> None:
        """An upgrade is durable."""
        self._own[str(made["guild_id"]), str(made["user_id"])] = {**made, "event_id": event}

    async def record(self, made: Record, approved_by: str | None = None) -> Record:
        """Records an upgrade, and returns what is recorded: when it was already, with who approved it then.

        Raises Refused when the member has another one, or when it takes an approval.
        """
        guild_id, user_id = str(made["guild_id"]), str(made["user_id"])
        concerned = {made["staff_id"], user_id}
        async with self._lock:
            if (done := await self.of_member(guild_id, user_id)) is not None:
                if done["change_id"] == made["change_id"]:
                    return done
                raise Refused("The member was upgraded meanwhile; nothing was recorded.")
            if approved_by is None and made["actor_id"] in concerned:
                raise Refused("This is in your own favour, so it takes a second person.")
            if approved_by is not None and approved_by in {made["actor_id"], *concerned}:
                raise Unfit("Nobody approves what is in his own favour.")
            made = made if approved_by is None else {**made, "approved_by": approved_by}
            self.note(made, await self._services.record_change(made))
            return made


def upgrade(guild_id: str, actor_id: str, user_id: str, note: str | None, **keys: Any) -> Record:
    """The change, ready to be sealed; `keys` say to whom it is credited and why."""
    made = change(KIND, guild_id, actor_id, note or "", **keys)
    return {**made, "user_id": user_id}
