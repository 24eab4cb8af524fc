"""The fold of the changes into the database: which row a kind of change sets, and to what.

The order of the log decides, not that of arrival: a row keeps the position that set it, and a lower one never
overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from joins import schema
from joins.chain import Record


class Executes(Protocol):
    """A database connection of sqlite3 or of sqlite-utils."""

    def execute(self, sql: str, parameters: Sequence[Any], /) -> Any: ...


@dataclass(frozen=True)
class Fold:
    """A table, its key, and what a kind of change sets in it; `fixed` is set to the same value every time."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)


_ATTRIBUTION = Fold("attributions", ("join_id",), ("change", "invite_code", "staff_id", "staff_username", "confidence"))
_FOLDS = {
    "attribution_confirmed": _ATTRIBUTION,
    "attribution_corrected": _ATTRIBUTION,
    "staff_set": Fold("staff", ("guild_id", "staff_id"), ("staff_username", "ib_link", "ib_code"), {"retired": 0}),
    "staff_retired": Fold("staff", ("guild_id", "staff_id"), (), {"retired": 1}),
    "code_assigned": Fold("codes", ("guild_id", "invite_code"), ("staff_id",)),
}
# Each folded table and its key.
TABLES: dict[str, tuple[str, ...]] = {fold.table: fold.key for fold in _FOLDS.values()}


def fold(database: Executes, change: Record) -> None:
    """Lets a change, which has its event id, override what earlier ones set. Raises sqlite3.Error."""
    if change["change"] not in _FOLDS:
        return
    how = _FOLDS[change["change"]]
    values = {**change, **how.fixed, "position": schema.position(change["event_id"])}
    row = {column: values.get(column) for column in (*how.key, "position", *how.columns, *how.fixed)}
    settings = ", ".join(f"{column} = excluded.{column}" for column in row if column not in how.key)
    database.execute(
        f"insert into {how.table} ({', '.join(row)}) values ({', '.join('?' * len(row))}) "
        f"on conflict ({', '.join(how.key)}) do update set {settings} "
        f"where excluded.position > {how.table}.position",
        list(row.values()),
    )
