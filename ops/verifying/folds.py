"""The database's folded tables, made anew from the changes and compared with what stands there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sqlite_utils import Database

from joins import schema


def empty() -> sqlite3.Connection:
    """The tables of this program, empty, in a temporary file that goes with the connection."""
    made = sqlite3.connect("", isolation_level=None)
    schema.migrations.apply(Database(made))
    made.row_factory = sqlite3.Row
    made.execute("begin")
    return made


def differences(
    database: sqlite3.Connection, made: sqlite3.Connection, table: str, key: tuple[str, ...], last: str
) -> Iterator[str]:
    """The rows of a folded table, by their keys, that are not what the changes up to the position `last` make."""
    query = f"select * from {table} order by {', '.join(key)}"
    ours = made.execute(query)
    mine = ours.fetchone()
    for row in database.execute(query):
        while mine is not None and _place(mine, key) < _place(row, key):
            yield _named(mine, key)  # it is gone
            mine = ours.fetchone()
        if mine is not None and _place(mine, key) == _place(row, key):
            if dict(mine) != dict(row) and not _is_later(database, row["position"], last):
                yield _named(row, key)
            mine = ours.fetchone()
        elif not _is_later(database, row["position"], last):
            yield _named(row, key)
    while mine is not None:
        yield _named(mine, key)
        mine = ours.fetchone()


def _is_later(database: sqlite3.Connection, position: Any, last: str) -> bool:
    """Whether a change that came since has set the row."""
    if not isinstance(position, str) or position <= last:
        return False
    return database.execute("select 1 from changes where position = ?", [position]).fetchone() is not None


def _place(row: sqlite3.Row, key: Sequence[str]) -> list[tuple[int, Any]]:
    """The key in SQLite's own order: null, numbers, text by its bytes, blobs."""
    ranks = {type(None): 0, int: 1, float: 1, str: 2, bytes: 3}
    return [
        (ranks[type(v)], v.encode(errors="surrogateescape") if isinstance(v, str) else 0 if v is None else v)
        for v in (row[name] for name in key)
    ]


def _named(row: sqlite3.Row, key: Sequence[str]) -> str:
    return ", ".join(f"{name} {shown(row[name])}" for name in key)


def shown(value: Any) -> str:
    """A value for a sentence, harmless and short."""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:64])
