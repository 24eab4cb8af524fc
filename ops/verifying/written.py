"""A record that one copy proved, in each form in which the others have to hold it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from joins import schema
from joins.chain import Record
from joins.csv_format import to_row
from joins.json_format import to_line
from joins.tail import Head


class Written:
    """A record in normal form, and the head that it follows. Each form is made when it is first asked for."""

    def __init__(self, log: str, before: Head, record: Record) -> None:
        self._log, self.before, self.record = log, before, record

    @cached_property
    def json(self) -> bytes:
        """As a line of the JSON log, or of an object in the cloud."""
        return to_line(self.record)

    @cached_property
    def csv(self) -> bytes:
        """As a line of the CSV log, without its newline."""
        return to_row(self._log, self.record).removesuffix(b"\n")

    @cached_property
    def row(self) -> dict[str, Any]:
        """As a row of the database."""
        return schema.row(self._log, self.record)
