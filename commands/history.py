"""One member's joins in one guild, each read from the immutable log, with what was learnt about it later.

The database is the index that finds the records; what the logs hold above its head is searched for in the logs
themselves, so that a database that lags, or is gone, changes the cost of an answer but not the answer.
Knows no Discord.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commands import json_log
from commands.database import Database
from commands.refusals import NO_LOGS, NoDatabase, Refused
from joins.chain import OUTSIDE, Record, check_commitments
from joins.errors import InvalidRecord
from joins.event_id import ZERO
from joins.records import CHANGES, EXACT, JOINS, STAFF_UNRESOLVED
from joins.whole_log import WholeLog

ATTRIBUTIONS = ("attribution_confirmed", "attribution_corrected")
_CHANGES_SHOWN = 20  # attribution changes read of one join
_log = logging.getLogger("commands.history")


@dataclass(frozen=True)
class Join:
    """A join as recorded, its latest attribution change, and where it was read. `earlier`: the changes before that one,
    newest first.
    """

    record: Record
    change: Record | None
    from_log: bool
    doubt: str | None = None
    earlier: tuple[Record, ...] = ()

    def __getitem__(self, key: str) -> Any:
        """What the record itself says."""
        return self.record.get(key)

    def effective(self, key: str) -> Any:
        """What holds now: the latest attribution change where there is one, else the record."""
        return (self.record if self.change is None else self.change).get(key)

    def _text(self, key: str) -> str | None:
        value = self.effective(key)
        return None if value is None else str(value)

    @property
    def user_id(self) -> str:
        """Who joined."""
        return str(self.record["user_id"])

    @property
    def invite_code(self) -> str | None:
        """The invite that was used, as far as is known now."""
        return self._text("invite_code")

    @property
    def staff_id(self) -> str | None:
        """Who referred the member, as far as is known now."""
        return self._text("staff_id")

    @property
    def staff_username(self) -> str | None:
        """His name when that was recorded."""
        return self._text("staff_username")

    @property
    def confidence(self) -> str:
        """How sure that is: exact, ambiguous or unknown."""
        return str(self.effective("confidence"))

    @property
    def source(self) -> str:
        """How the member came in; a change that names another invite may say it anew."""
        changed = (self.change or {}).get("source")
        if changed is None and self.change is not None and self.invite_code != self.record.get("invite_code"):
            return "invite" if self.invite_code else "unknown"
        return str(changed or self.record["source"])

    @property
    def staff_unread(self) -> bool:
        """Whether it is not known to whom the code was assigned when the member joined."""
        return STAFF_UNRESOLVED in (self.effective("flags") or ())

    @property
    def settled(self) -> bool:
        """Whether it is known who referred the member, or that nobody did."""
        return self.confidence == EXACT and not self.staff_unread

    @property
    def altered(self) -> bool:
        """Whether a later change says something else than the record."""
        keys = ("invite_code", "staff_id")
        return self.change is not None and any(self.effective(key) != self.record.get(key) for key in keys)


@dataclass(frozen=True)
class History:
    """A member's joins, oldest first, and the time of the guild's first record (None: no record of this guild)."""

    joins: list[Join]
    begins: str | None
    has_database: bool


@dataclass
class _Sources:
    """What is open while one question is answered. The heads are `0-0` where there is no database."""

    joins: WholeLog | None
    changes: WholeLog | None
    database: Database | None = None
    heads: dict[str, str] = field(default_factory=lambda: {JOINS: ZERO, CHANGES: ZERO})


def of_member(folder: Path, guild_id: str, user_id: str) -> History:
    """The joins of a member in a guild. Raises Refused when there is no log and no database yet."""
    with json_log.opened(folder, JOINS) as joins, json_log.opened(folder, CHANGES) as changes:
        try:
            with Database(folder) as database:
                database.one_moment()
                heads = {log: database.head(log) for log in (JOINS, CHANGES)}
                return _history(_Sources(joins, changes, database, heads), guild_id, user_id)
        except NoDatabase as error:
            if joins is None:
                raise Refused(NO_LOGS) from error
            _log.warning("answering from the logs alone: %s", error)
            return _history(_Sources(joins, changes), guild_id, user_id)


def _history(sources: _Sources, guild_id: str, user_id: str) -> History:
    rows: list[Record] = []
    if sources.database is not None:
        where = "where r.guild_id = ? and r.user_id = ?"
        rows = sources.database.records(JOINS, where, guild_id, user_id)
    found = [_join(sources, row) for row in rows]
    known = {join["join_id"] for join in found}
    try:
        # Where the database knows nobody, the whole log is asked: no row may have been lost unseen.
        head = sources.heads[JOINS] if found else ZERO
        for record in json_log.late(sources.joins, head, "user_id", user_id):
            if record.get("guild_id") == guild_id and record.get("join_id") not in known:
                found.append(_made(record, _attributions(sources, record["join_id"]), True, _doubt(record, None)))
    except json_log.UNREADABLE as error:
        _log.warning("the JSON log of joins cannot be searched: %s", error)
    begins = _begins(sources, guild_id)
    if not found and begins is None and sources.joins is None:
        raise Refused(NO_LOGS)
    found.sort(key=lambda join: str(join["timestamp"]))
    return History(found, begins, sources.database is not None)


def _join(sources: _Sources, row: Record) -> Join:
    """The join that a row of the database points to: from the log where that has it."""
    changes = _attributions(sources, row["join_id"])
    try:
        record = sources.joins.at(row["event_id"]) if sources.joins else None
    except json_log.UNREADABLE as error:
        _log.warning("the JSON log has no readable record at %s: %s", row["event_id"], error)
        return _made(row, changes, False, "its place in the JSON log cannot be read")
    if record is None:
        return _made(row, changes, False)
    if record.get("join_id") != row["join_id"]:
        return _made(row, changes, False, "the JSON log holds another join in its place")
    return _made(record, changes, True, _doubt(record, row))


def _made(record: Record, changes: list[Record], from_log: bool, doubt: str | None = None) -> Join:
    return Join(record, changes[0] if changes else None, from_log, doubt, tuple(changes[1:]))


def _doubt(record: Record, row: Record | None) -> str | None:
    """What speaks against the record: names that do not fit their commitment, or a database that differs."""
    try:
        check_commitments(record)
    except InvalidRecord:
        return "a name in the JSON log does not match its seal"
    if row is not None and _covered(record) != _covered(row):
        return "the JSON log and the database differ"
    return None


def _covered(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None and (key not in OUTSIDE or key == "hash")}


def _attributions(sources: _Sources, join_id: str) -> list[Record]:
    """The attribution changes of a join, newest first."""
    found: list[Record] = []
    try:
        for change in json_log.late(sources.changes, sources.heads[CHANGES], "join_id", join_id):
            if change.get("change") in ATTRIBUTIONS:
                found.append(change)
    except json_log.UNREADABLE as error:
        _log.warning("the JSON log of changes cannot be searched: %s", error)
    if sources.database is not None:
        kinds = ", ".join("?" * len(ATTRIBUTIONS))
        where = f"where r.join_id = ? and r.change in ({kinds}) order by r.position desc limit {_CHANGES_SHOWN}"
        found += sources.database.records(CHANGES, where, join_id, *ATTRIBUTIONS)
    return found


def _begins(sources: _Sources, guild_id: str) -> str | None:
    if sources.database is not None:
        row = sources.database.row("select min(timestamp) as begins from joins where guild_id = ?", guild_id)
        if row is not None and row["begins"]:
            return str(row["begins"])
    try:
        for record in sources.joins or ():
            if record.get("guild_id") == guild_id:
                return str(record["timestamp"])
    except json_log.UNREADABLE as error:
        _log.warning("the JSON log of joins cannot be read from its start: %s", error)
    return None
