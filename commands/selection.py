"""A guild's joins as rows of cells, streamed from the CSV log, with the attribution that holds now. Knows no Discord.

The cells are the log's own, guarded against formulas. `Extra` is left out: it holds the salts that hide erased names.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from commands import json_log
from commands.effective import Attribution, Attributions
from commands.refusals import NO_LOGS, Refused
from joins.columns import COLUMNS, HEADERS
from joins.csv_format import guarded, to_row, unguarded
from joins.errors import InvalidRecord, LogDamaged
from joins.form import csv_form
from joins.records import JOINS
from joins.whole_log import WholeLog

EFFECTIVE = ("Effective Invite Code", "Effective Staff ID", "Effective Staff Username", "Effective Confidence")
HEADER = (*HEADERS[JOINS][:-1], *EFFECTIVE)
NUMBERS = frozenset({"Uses Before", "Uses After"})
TIMES = frozenset({"Timestamp", "Recorded At"})
WIDTHS = {"Timestamp": 24, "Recorded At": 24, "User ID": 22, "Staff ID": 22, "Guild ID": 22, "Username": 20,
          "Display Name": 20, "Invite Code": 14, "Staff Username": 20, "Guild Name": 20, "Join ID": 36,
          "Event ID": 20, "Hash": 40, "Effective Staff ID": 22}  # fmt: skip

_BATCH = 400  # rows a look at the attributions; SQLite allows some thousands of parameters
_TIME_BYTES = len("2025-10-31T14:30:45.123456")
_AT = {key: index for index, key in enumerate(COLUMNS[JOINS])}
_log = logging.getLogger("commands.selection")


@dataclass(frozen=True)
class Wanted:
    """Which joins: those that fulfil all that is given. Times as the log writes them; `until` is exclusive.

    Code and staff are compared with the attribution that holds now.
    """

    guild_id: str
    since: str | None = None
    until: str | None = None
    invite_code: str | None = None
    staff_id: str | None = None


class Selection:
    """The rows that are wanted. Iterate once; the counts are right afterwards."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        """Nothing is read until it is iterated."""
        self._folder = folder
        self._wanted = wanted
        self.rows = 0
        self.unreadable = 0
        self.first: str | None = None
        self.last: str | None = None

    def __iter__(self) -> Iterator[list[str]]:
        """The rows, in the log's order. Raises Refused when there is no log."""
        with ExitStack() as stack:
            lines = _lines(self._folder, stack)
            attributions = stack.enter_context(Attributions(self._folder))
            batch: list[list[str]] = []
            for cells in self._of_guild(lines):
                batch.append(cells)
                if len(batch) == _BATCH:
                    yield from self._attributed(batch, attributions)
                    batch = []
            yield from self._attributed(batch, attributions)

    def _of_guild(self, lines: Iterator[bytes]) -> Iterator[list[str]]:
        wanted = self._wanted
        since, until = ((wanted.since or "").encode(), (wanted.until or "~").encode())
        for line in lines:
            # The first cell is the time; looking at its bytes spares the rest of a row outside the period.
            if not since <= line[:_TIME_BYTES] < until:
                continue
            cells = _cells(line)
            if cells is None:
                self.unreadable += 1
                continue
            if cells[_AT["guild_id"]] == wanted.guild_id:
                yield cells

    def _attributed(self, batch: list[list[str]], attributions: Attributions) -> Iterator[list[str]]:
        changes = attributions.of([cells[_AT["join_id"]] for cells in batch]) if batch else {}
        for cells in batch:
            effective = _effective(cells, changes.get(cells[_AT["join_id"]]))
            code, staff_id = effective[0], effective[1]
            if self._wanted.invite_code is not None and self._wanted.invite_code != _text(code):
                continue
            if self._wanted.staff_id not in (None, staff_id):
                continue
            self.rows += 1
            time = cells[_AT["timestamp"]]
            self.first, self.last = min(self.first or time, time), max(self.last or time, time)
            yield [*cells, *effective]


def _effective(cells: list[str], change: Attribution | None) -> list[str]:
    if change is None:
        return [cells[_AT[key]] for key in ("invite_code", "staff_id", "staff_username", "confidence")]
    values = (change.invite_code, change.staff_id, change.staff_username, change.confidence)
    return [guarded(value or "") for value in values]


def _text(cell: str) -> str:
    try:
        return unguarded(cell)
    except InvalidRecord:
        return cell


def _cells(line: bytes) -> list[str] | None:
    """The cells of a line but `Extra`; None when it is not a row of the log."""
    try:
        rows = list(csv.reader([line.decode()], strict=True))
    except (csv.Error, UnicodeDecodeError):
        return None
    if len(rows) != 1 or len(rows[0]) != len(HEADERS[JOINS]):
        return None
    return rows[0][:-1]


def _lines(folder: Path, stack: ExitStack) -> Iterator[bytes]:
    """The lines of the CSV log, its archives included; where there is none, those that it would have."""
    try:
        return stack.enter_context(WholeLog(folder, csv_form(JOINS))).lines()
    except (OSError, LogDamaged) as error:
        reader = stack.enter_context(json_log.opened(folder, JOINS))
        if reader is None:
            raise Refused(NO_LOGS) from None
        _log.warning("the CSV log cannot be read (%s); the export is made from the JSON log", error)
        return (to_row(JOINS, record) for record in reader)
