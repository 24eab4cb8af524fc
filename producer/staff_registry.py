"""Who gets the credit for a code at the moment of a join: an assignment first, the inviter second.

It is held in memory, from the Redis hashes that the publish script keeps, so that a join never waits for a database.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from joins import keys
from joins.chain import Record
from joins.erasure import KIND
from joins.records import timestamp
from joins.redis_url import Client
from joins.scripts import text


@dataclass(frozen=True)
class Staff:
    """A staff member as far as the registry knows."""

    staff_id: str
    staff_username: str | None


class AssignmentUnknown(Exception):
    """A code is assigned, but whether it was at the moment in question is not known."""


class StaffRegistry:
    """Assignments, those of before included, and registered names, by guild."""

    def __init__(self) -> None:
        self._codes: dict[str, list[tuple[str, str]]] = {}  # since when and to whom, oldest first
        self._undated: dict[str, tuple[str, str]] = {}  # since when at the latest: kept by a version that noted no time
        self._names: dict[str, str | None] = {}
        self._erased: set[str] = set()  # whose names are not to be written any more

    def load(self, client: Client) -> None:
        """Takes over what the server's hashes say. Raises redis errors."""
        codes, staff = client.hgetall(keys.CODES), client.hgetall(keys.STAFF)
        read_at = timestamp(datetime.now(UTC))
        for field, value in codes.items():
            guild, code, *since = text(field).split("/")
            if since:
                self._assign(f"{guild}/{code}", since[0], text(value))
            else:
                self._undated.setdefault(f"{guild}/{code}", (read_at, text(value)))
        self._names |= {text(field): json.loads(value).get("staff_username") for field, value in staff.items()}
        for field in client.hkeys(keys.ERASED):
            if self._names.get(text(field)) is None:
                self._erased.add(text(field))

    def learn(self, change: Record) -> None:
        """Takes over a change as soon as it is durable."""
        guild = change["guild_id"]
        if change["change"] == "code_assigned":
            self._assign(f"{guild}/{change['invite_code']}", change["recorded_at"], change["staff_id"])
        elif change["change"] == "staff_set":
            self._names[f"{guild}/{change['staff_id']}"] = change["staff_username"]
            self._erased.discard(f"{guild}/{change['staff_id']}")
        elif change["change"] == KIND:
            self._names[f"{guild}/{change['user_id']}"] = None
            self._erased.add(f"{guild}/{change['user_id']}")
        elif change["change"] == "staff_retired":  # as `load` finds it after a restart
            self._names[f"{guild}/{change['staff_id']}"] = None

    def of_code(self, guild_id: str, code: str, at: str | None = None) -> Staff | None:
        """The staff member to whom a code is assigned, now or at that time; None: it is, or was, assigned to nobody.

        Raises AssignmentUnknown when that cannot be told of that time.
        """
        staff_id = self._assigned(f"{guild_id}/{code}", at)
        return None if staff_id is None else Staff(staff_id, self.name(guild_id, staff_id))

    def without_erased(self, record: Record) -> Record:
        """A record without the staff member's name, where that was erased: until it is registered anew, no record has
        it, whatever Discord still shows beside an invite.
        """
        if (
            record.get("change") == "staff_set"
            or f"{record.get('guild_id')}/{record.get('staff_id')}" not in self._erased
        ):
            return record
        return {**record, "staff_username": None} if record.get("staff_username") else record

    def name(self, guild_id: str, staff_id: str) -> str | None:
        """The name under which a staff member is registered, or None."""
        return self._names.get(f"{guild_id}/{staff_id}")

    def _assign(self, key: str, since: str, staff_id: str) -> None:
        # A new list, as another thread may be reading the old one.
        self._codes[key] = sorted({*self._codes.get(key, ()), (since, staff_id)})

    def _assigned(self, key: str, at: str | None) -> str | None:
        for since, staff_id in reversed(self._codes.get(key, ())):
            if at is None or since <= at:
                return staff_id
        if key not in self._undated:
            return None
        latest, staff_id = self._undated[key]
        if at is not None and at < latest:
            raise AssignmentUnknown(f"since when {key} is assigned to {staff_id} is not known")
        return staff_id
