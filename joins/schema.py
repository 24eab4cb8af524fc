"""The database: its tables, its migrations, and the fold of both logs that it is.

`joins` and `changes` hold every record, a row each, in columns plus `extra`, so the logs can be rebuilt from them.
The rest is folded from `changes` and commutes: each row keeps the event id that set it, and a lower one never
overrides it, so a change may arrive before its join. `effective_joins` is a join overridden by its latest attribution.
Event ids are stored zero-padded too (`position`), so that the order of text is the order of the log.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

from sqlite_utils import Database, Migrations

from joins import durable, event_id
from joins.chain import Record
from joins.columns import COLUMNS, NUMBERS, split
from joins.errors import NewerVersion
from joins.records import CHANGES, JOINS

migrations = Migrations("invite_log")
_log = logging.getLogger("joins.schema")


def position(event: str) -> str:
    """An event id as text that sorts in the order of the log: twenty digits, a dash, twenty digits."""
    milliseconds, sequence = event_id.parse(event)
    return f"{milliseconds:020d}-{sequence:020d}"


def row(log: str, record: Record) -> dict[str, Any]:
    """A record, with its event id, as the row of its log's table."""
    values, extra = split(log, record)
    return {"position": position(record["event_id"]), **dict(zip(COLUMNS[log], values, strict=True)), "extra": extra}


@migrations()
def m001_logs_and_folds(db: Database) -> None:
    """The two logs, their heads, and what is folded from the changes."""
    for log, key in ((JOINS, "join_id"), (CHANGES, "change_id")):
        columns = {column: int if column in NUMBERS else str for column in COLUMNS[log]}
        db.table(log).create({"position": str, **columns, "extra": str}, pk="position", not_null={key, "hash"})
        db.table(log).create_index([key], unique=True)
    db.table(JOINS).create_index(["guild_id", "user_id", "timestamp"])
    db.table(JOINS).create_index(["guild_id", "invite_code", "timestamp"])
    db.table(JOINS).create_index(["guild_id", "timestamp"])
    db.table(CHANGES).create_index(["join_id"])
    db.table(CHANGES).create_index(["guild_id", "user_id"])
    db.table("heads").create({"log": str, "event_id": str, "hash": str, "records": int}, pk="log")
    db.table("attributions").create(
        {
            "join_id": str,
            "position": str,
            "change": str,
            "invite_code": str,
            "staff_id": str,
            "staff_username": str,
            "confidence": str,
        },
        pk="join_id",
    )
    db.table("attributions").create_index(["invite_code"])
    db.table("staff").create(
        {
            "guild_id": str,
            "staff_id": str,
            "position": str,
            "staff_username": str,
            "ib_link": str,
            "ib_code": str,
            "retired": int,
        },
        pk=("guild_id", "staff_id"),
    )
    db.table("codes").create(
        {"guild_id": str, "invite_code": str, "position": str, "staff_id": str}, pk=("guild_id", "invite_code")
    )
    db.create_view(
        "effective_joins",
        """
        select j.position, j.event_id, j.join_id, j.timestamp, j.guild_id, j.user_id, j.username, j.display_name,
               iif(a.join_id is null, j.invite_code, a.invite_code) as invite_code,
               iif(a.join_id is null, j.staff_id, a.staff_id) as staff_id,
               iif(a.join_id is null, j.staff_username, a.staff_username) as staff_username,
               iif(a.join_id is null, j.confidence, a.confidence) as confidence,
               a.change, j.uses_before, j.uses_after, j.source, j.method
        from joins j left join attributions a on a.join_id = j.join_id
        """,
    )


@migrations()
def m002_vip_upgrades(db: Database) -> None:
    """Upgrades are counted by staff member, among changes of which nearly all are something else."""
    db.execute("create index idx_changes_vip on changes (guild_id, staff_id, user_id) where change = 'vip_upgraded'")


def open_for_writing(path: Path) -> Database:
    """The database, made or migrated as need be, after a copy of it was kept. Each commit is durable.

    Raises sqlite3.Error, SinkUnavailable, and NewerVersion where a later version has migrated it.
    """
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        database = Database(connection)
        _check_age(path, database)
        if migrations.applied(database) and migrations.pending(database):
            _keep_before(path, connection)
        migrations.apply(database)  # each in one transaction with the note that it was applied
    except BaseException:
        connection.close()
        raise
    return database


def _check_age(path: Path, database: Database) -> None:
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    if later := [one.name for one in migrations.applied(database) if one.name not in known]:
        raise NewerVersion(f"{path} was migrated by a later version of this program ({later[0]}): upgrade this one")


def _keep_before(path: Path, connection: sqlite3.Connection) -> None:
    """Copies the database as it is, by SQLite's own means, before it is migrated."""
    with durable.disk_errors(path):
        aside = durable.aside_name(path, "migrated")
        temporary = aside.with_name(f".{aside.name}.tmp")
        temporary.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(temporary)) as copy:
            connection.backup(copy)
        durable.sync_file(temporary)
        temporary.rename(aside)
        durable.sync_folder(path.parent)
    _log.info("%s is brought to this version's form; as it was it is kept in %s", path, aside.name)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection with named rows. Raises sqlite3.OperationalError when there is no database."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    connection.row_factory = sqlite3.Row
    return connection
