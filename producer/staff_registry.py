"""Who gets the credit for a code at the moment of a join: an assignment first, the inviter second.

It is held in memory, from the Redis hashes that the publish script keeps, so that a join never waits for a database.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from joins import keys
from joins.chain import Record
from joins.redis_url import Client
from joins.scripts import text


@dataclass(frozen=True)
class Staff:
    """A staff member as far as the registry knows."""

    staff_id: str
    staff_username: str | None


class StaffRegistry:
    """Assignments and registered names, by guild."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._names: dict[str, str | None] = {}

    def load(self, client: Client) -> None:
        """Takes over what the server's hashes say. Raises redis errors."""
        codes, staff = client.hgetall(keys.CODES), client.hgetall(keys.STAFF)
        self._codes |= {text(field): text(value) for field, value in codes.items()}
        self._names |= {text(field): json.loads(value).get("staff_username") for field, value in staff.items()}

    def learn(self, change: Record) -> None:
        """Takes over a change as soon as it is durable."""
        guild = change["guild_id"]
        if change["change"] == "code_assigned":
            self._codes[f"{guild}/{change['invite_code']}"] = change["staff_id"]
        elif change["change"] == "staff_set":
            self._names[f"{guild}/{change['staff_id']}"] = change["staff_username"]
        elif change["change"] == "staff_retired":  # as `load` finds it after a restart
            self._names[f"{guild}/{change['staff_id']}"] = None

    def of_code(self, guild_id: str, code: str) -> Staff | None:
        """The staff member to whom a code is assigned, or None."""
        staff_id = self._codes.get(f"{guild_id}/{code}")
        return None if staff_id is None else Staff(staff_id, self.name(guild_id, staff_id))

    def name(self, guild_id: str, staff_id: str) -> str | None:
        """The name under which a staff member is registered, or None."""
        return self._names.get(f"{guild_id}/{staff_id}")
