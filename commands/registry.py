"""Who is registered as staff in a guild, and which invite codes are assigned to whom. Knows no Discord.

Read from the database, overlaid with the changes that it does not hold yet: those in the JSON log above its head, and
those that this process published a moment ago and no sink has written so far.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from commands import json_log
from commands.database import Database
from commands.refusals import NoDatabase
from joins import event_id
from joins.chain import Record
from joins.event_id import ZERO
from joins.records import CHANGES

KINDS = ("staff_set", "staff_retired", "code_assigned")
_log = logging.getLogger("commands.registry")


@dataclass(frozen=True)
class Staff:
    """One registered member of staff."""

    staff_id: str
    name: str | None = None
    ib_link: str | None = None
    ib_code: str | None = None
    retired: bool = False


@dataclass
class Register:
    """A guild's staff by id, and the staff id of each assigned code."""

    staff: dict[str, Staff] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    def active(self) -> list[Staff]:
        """The staff who are not retired, by name."""
        return sorted((s for s in self.staff.values() if not s.retired), key=lambda s: (s.name or "").casefold())

    def codes_of(self, staff_id: str) -> list[str]:
        """The codes assigned to somebody."""
        return sorted(code for code, owner in self.codes.items() if owner == staff_id)

    def apply(self, change: Record) -> None:
        """Folds in a change that is later than all folded before."""
        staff_id, kind = str(change["staff_id"]), change["change"]
        if kind == "code_assigned":
            self.codes[str(change["invite_code"])] = staff_id
        elif kind == "staff_set":
            name, link, code = change.get("staff_username"), change.get("ib_link"), change.get("ib_code")
            self.staff[staff_id] = Staff(staff_id, name, link, code)
        else:
            old = self.staff.get(staff_id, Staff(staff_id))
            self.staff[staff_id] = Staff(staff_id, old.name, old.ib_link, old.ib_code, retired=True)


class Registry:
    """Every guild's register."""

    def __init__(self, folder: Path) -> None:
        """Reads from a log folder."""
        self._folder = folder
        self._own: dict[tuple[str, ...], Record] = {}

    def note(self, change: Record, event: str) -> None:
        """Keeps a change that was just published, until the logs show it: the latest of its kind about its subject."""
        subject = (str(change["guild_id"]), change["change"], str(change["staff_id"]), str(change.get("invite_code")))
        self._own[subject] = {**change, "event_id": event}

    def of_guild(self, guild_id: str) -> Register:
        """The guild's register as of now."""
        register, head = Register(), ZERO
        try:
            with Database(self._folder) as database:
                database.one_moment()
                head = database.head(CHANGES)
                self._fold_rows(register, database, guild_id)
        except NoDatabase as error:
            _log.warning("reading the staff register from the changes alone: %s", error)
            register, head = Register(), ZERO
        late = [*self._late(guild_id, head), *(c for c in self._own.values() if c["guild_id"] == guild_id)]
        for change in sorted(late, key=lambda change: event_id.parse(change["event_id"])):
            if event_id.is_above(change["event_id"], head):
                register.apply(change)
        return register

    def _fold_rows(self, register: Register, database: Database, guild_id: str) -> None:
        columns = "staff_id, staff_username, ib_link, ib_code, retired"
        for row in database.rows(f"select {columns} from staff where guild_id = ?", guild_id):
            name, link, code, retired = row["staff_username"], row["ib_link"], row["ib_code"], bool(row["retired"])
            register.staff[row["staff_id"]] = Staff(row["staff_id"], name, link, code, retired)
        for row in database.rows("select invite_code, staff_id from codes where guild_id = ?", guild_id):
            register.codes[row["invite_code"]] = row["staff_id"]

    def _late(self, guild_id: str, head: str) -> Iterable[Record]:
        found = []
        with json_log.opened(self._folder, CHANGES) as reader:
            try:
                for kind in KINDS:
                    late = json_log.late(reader, head, "change", kind)
                    found += [change for change in late if change.get("guild_id") == guild_id]
            except json_log.UNREADABLE as error:
                _log.warning("the JSON log of changes cannot be searched: %s", error)
        return found
