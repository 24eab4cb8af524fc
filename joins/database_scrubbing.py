"""Taking erased names out of a database, its free space and its write-ahead log included."""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database

from joins import schema
from joins.columns import COLUMNS, join
from joins.erasure import Erasure, Erasures
from joins.records import LOGS
from joins.scrubbing import scrubbed

_PEOPLE = ("user_id", "staff_id", "actor_id")


def scrub_database(database: Database, erasures: Sequence[Erasure]) -> None:
    """Takes the names out of both logs and of what is folded from them. Raises sqlite3.Error, InvalidRecord.

    What is overwritten is zeroed in the file: https://www.sqlite.org/pragma.html#pragma_secure_delete
    """
    database.execute("pragma secure_delete = on")
    with database.atomic():
        for log in LOGS:
            _scrub_records(database, log, erasures)
        for erasure in erasures:
            for table in ("attributions", "staff"):
                database.execute(
                    f"update {table} set staff_username = null "
                    "where staff_id = ? and position < ? and staff_username is not null and ? = "
                    f"(select guild_id from changes where changes.position = {table}.position)",
                    [erasure.user_id, schema.position(erasure.event_id), erasure.guild_id],
                )
    database.execute("pragma wal_checkpoint(truncate)")


def _scrub_records(database: Database, log: str, erasures: Sequence[Erasure]) -> None:
    people = sorted({erasure.user_id for erasure in erasures})
    columns = [key for key in _PEOPLE if key in COLUMNS[log]]
    marks, rule = ", ".join("?" * len(people)), Erasures(erasures)
    rows = database.execute(
        f"select {', '.join(COLUMNS[log])}, extra from {log} "
        f"where {' or '.join(f'{column} in ({marks})' for column in columns)}",
        people * len(columns),
    )
    found = (scrubbed(join(log, values, extra), rule) for *values, extra in rows)
    for row in [schema.row(log, record) for record in found if record is not None]:
        settings = ", ".join(f"{column} = ?" for column in row)
        database.execute(f"update {log} set {settings} where position = ?", [*row.values(), row["position"]])
