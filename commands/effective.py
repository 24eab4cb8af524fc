"""The latest attribution change of many joins, a batch at a time, for exports. Knows no Discord.

Changes that the database does not hold yet (all of them, where there is none) are first folded into a temporary
database on disk, so that the memory needed stays flat however many there are.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from commands import json_log
from commands.database import Database
from commands.refusals import NoDatabase
from joins.event_id import ZERO
from joins.records import CHANGES

_COLUMNS = "join_id, invite_code, staff_id, staff_username, confidence"
_KINDS = ("attribution_confirmed", "attribution_corrected")


@dataclass(frozen=True)
class Attribution:
    """What a join's attribution is held to be."""

    invite_code: str | None
    staff_id: str | None
    staff_username: str | None
    confidence: str


class Attributions:
    """The attribution changes of a log folder. Use as a context manager, within one thread."""

    def __init__(self, folder: Path) -> None:
        """Opens the database where there is one, and folds what it lacks."""
        self._stack = ExitStack()
        self._late = sqlite3.connect("")  # an empty name: a temporary database on disk
        self._stack.callback(self._late.close)
        self._late.execute(f"create table attributions ({_COLUMNS.replace('join_id', 'join_id primary key')})")
        head = ZERO
        self._database: Database | None = None
        try:
            self._database = self._stack.enter_context(Database(folder))
            head = self._database.head(CHANGES)
        except NoDatabase:
            self._database = None
        self._fold(folder, head)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def of(self, join_ids: list[str]) -> dict[str, Attribution]:
        """The latest change of each of some joins (at most a few hundred) that has one."""
        query = f"select {_COLUMNS} from attributions where join_id in ({', '.join('?' * len(join_ids))})"
        older = self._database.rows(query, *join_ids) if self._database else []
        return {row[0]: Attribution(*row[1:]) for row in [*map(tuple, older), *self._late.execute(query, join_ids)]}

    def _fold(self, folder: Path, head: str) -> None:
        with json_log.opened(folder, CHANGES) as reader:
            if reader is None or json_log.last_id(reader) == head:
                return
            # Newest first, so the first one of a join stands.
            for change in json_log.above(reader.backward(), head):
                if change.get("change") in _KINDS:
                    values = [change.get(key) for key in _COLUMNS.split(", ")]
                    self._late.execute("insert or ignore into attributions values (?, ?, ?, ?, ?)", values)
