"""Pages of a guild's joins, newest first, each found by its key and not by counting from the start. Knows no Discord.

Rows show the effective attribution; a filter by invite finds the joins that are held to have used it now.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice, takewhile
from pathlib import Path
from typing import Any

from commands import json_log
from commands.database import Database
from commands.refusals import NO_LOGS, NoDatabase, Refused
from joins import schema
from joins.chain import Record
from joins.records import JOINS

PAGE_ROWS = 10
_log = logging.getLogger("commands.listing")


@dataclass(frozen=True)
class Filter:
    """Which joins: those that fulfil all that is given. Times as the log writes them; `until` is exclusive."""

    guild_id: str
    user_id: str | None = None
    invite_code: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class Key:
    """Where a page continues: after (older) or before (newer) the row with this time and position."""

    timestamp: str
    position: str
    newer: bool = False


@dataclass(frozen=True)
class Row:
    """One join in a list. `altered`: it is held to be otherwise than was recorded as exact."""

    position: str
    timestamp: str
    user_id: str
    username: str | None
    display_name: str | None
    invite_code: str | None
    staff_id: str | None
    staff_username: str | None
    confidence: str
    source: str
    uses_before: int | None
    uses_after: int | None
    altered: bool


@dataclass(frozen=True)
class Page:
    """Rows, newest first, and whether there is more on either side. `behind`: the database lacks the newest joins."""

    rows: list[Row]
    older: bool
    newer: bool
    behind: bool
    from_log: bool = False


_COLUMNS = """
    j.position, j.timestamp, j.user_id, j.username, j.display_name,
    iif(a.join_id is null, j.invite_code, a.invite_code) as invite_code,
    iif(a.join_id is null, j.staff_id, a.staff_id) as staff_id,
    iif(a.join_id is null, j.staff_username, a.staff_username) as staff_username,
    iif(a.join_id is null, j.confidence, a.confidence) as confidence,
    j.source, j.uses_before, j.uses_after,
    a.join_id is not null and j.confidence = 'exact'
        and (a.invite_code is not j.invite_code or a.staff_id is not j.staff_id) as altered
"""
_PLAIN = "joins j left join attributions a on a.join_id = j.join_id"
# `cross join` keeps SQLite to this order: the few attributions of a code first, then each one's join.
_REASSIGNED = "attributions a cross join joins j on j.join_id = a.join_id"


def page(folder: Path, wanted: Filter, key: Key | None = None) -> Page:
    """The page of joins at `key`; the newest one when it is None. Raises Refused when there are no logs yet."""
    with json_log.opened(folder, JOINS) as reader:
        try:
            with Database(folder) as database:
                database.one_moment()
                newest = json_log.last_id(reader)
                behind = bool(schema.position(newest) > schema.position(database.head(JOINS)))
                return _page([_row(row) for row in _select(database, wanted, key)], key, behind)
        except NoDatabase as error:
            if reader is None:
                raise Refused(NO_LOGS) from error
            _log.warning("listing joins from the log alone: %s", error)
            try:
                rows = _of_log(_in_log(reader.with_text(*_needle(wanted)), wanted), key)
            except json_log.UNREADABLE as error:
                raise Refused(f"There is no database, and the JSON log cannot be read: {error}.") from error
            return _page(rows, key, behind=False, from_log=True)


def total(folder: Path, wanted: Filter) -> int | None:
    """How many joins fulfil the filter; None without a database, as only a read of the whole log could tell."""
    try:
        with Database(folder) as database:
            return sum(
                int(row["n"])
                for source, where, values in _branches(wanted, count=True)
                for row in database.rows(f"select count(*) as n from {source} where {where}", *values)
            )
    except NoDatabase:
        return None


def _page(rows: list[Row], key: Key | None, behind: bool, from_log: bool = False) -> Page:
    more = len(rows) > PAGE_ROWS
    rows = rows[:PAGE_ROWS]
    if key is not None and key.newer:
        return Page(rows[::-1], older=True, newer=more, behind=behind, from_log=from_log)
    return Page(rows, older=more, newer=key is not None, behind=behind, from_log=from_log)


def _branches(wanted: Filter, count: bool = False) -> list[tuple[str, str, list[str]]]:
    """From what, under which condition and with which values the rows come; the branches do not overlap."""
    where, values = "j.guild_id = ?", [wanted.guild_id]
    for condition, value in (
        ("j.user_id = ?", wanted.user_id),
        ("j.timestamp >= ?", wanted.since),
        ("j.timestamp < ?", wanted.until),
    ):
        if value is not None:
            where, values = f"{where} and {condition}", [*values, value]
    code = wanted.invite_code
    if code is None:
        # A count without attributions is answered by the index alone.
        return [("joins j" if count else _PLAIN, where, values)]
    # Two branches, so that the usual one follows its index however large the log is.
    kept = f"{where} and j.invite_code = ? and (a.join_id is null or a.invite_code is j.invite_code)"
    moved = f"{where} and a.invite_code = ? and j.invite_code is not a.invite_code"
    return [(_PLAIN, kept, [*values, code]), (_REASSIGNED, moved, [*values, code])]


def _select(database: Database, wanted: Filter, key: Key | None) -> list[sqlite3.Row]:
    way, compare = ("asc", ">") if key is not None and key.newer else ("desc", "<")
    limit = f"limit {PAGE_ROWS + 1}"
    parts, values = [], []
    inner = f"order by j.timestamp {way}, j.position {way}"
    for source, where, given in _branches(wanted):
        values += given
        if key is not None:
            # The first condition is implied by the second; it is what the index can follow.
            where += f" and j.timestamp {compare}= ? and (j.timestamp, j.position) {compare} (?, ?)"
            values += [key.timestamp, key.timestamp, key.position]
        parts.append(f"select * from (select {_COLUMNS} from {source} where {where} {inner} {limit})")
    return database.rows(f"{' union all '.join(parts)} order by timestamp {way}, position {way} {limit}", *values)


def _row(row: sqlite3.Row) -> Row:
    return Row(**{**dict(row), "altered": bool(row["altered"])})


def _needle(wanted: Filter) -> tuple[str, str]:
    if wanted.user_id is not None:
        return "user_id", wanted.user_id
    if wanted.invite_code is not None:
        return "invite_code", wanted.invite_code
    return "guild_id", wanted.guild_id


def _in_log(records: Iterator[Record], wanted: Filter) -> Iterator[Row]:
    """The rows of the log, in its own order, when there is no database. Later corrections are not known then."""
    for record in records:
        time = record["timestamp"]
        if record.get("guild_id") != wanted.guild_id or wanted.user_id not in (None, record.get("user_id")):
            continue
        if (wanted.since and time < wanted.since) or (wanted.until and time >= wanted.until):
            continue
        if wanted.invite_code not in (None, record.get("invite_code")):
            continue
        values: dict[str, Any] = {key: record.get(key) for key in Row.__dataclass_fields__}
        yield Row(**{**values, "position": schema.position(record["event_id"]), "altered": False})


def _of_log(rows: Iterator[Row], key: Key | None) -> list[Row]:
    """A page's rows and one more, out of rows that come newest first; nearest to the key first."""
    if key is not None and key.newer:
        nearest = deque(takewhile(lambda row: row.position > key.position, rows), maxlen=PAGE_ROWS + 1)
        return list(reversed(nearest))
    if key is not None:
        rows = dropwhile(lambda row: row.position >= key.position, rows)
    return list(islice(rows, PAGE_ROWS + 1))
