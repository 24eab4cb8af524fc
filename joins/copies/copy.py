"""What every copy is to a reader, and its errors as sentences."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from joins.chain import Record
from joins.errors import InvalidRecord, LogDamaged, SinkUnavailable
from joins.tail import Head


class Copy(Protocol):
    """One log as one sink holds it, as it was when opened. Records are in normal form, but no hash is checked.

    Every method raises SinkUnavailable when it cannot be read now, LogDamaged when it never will, and NewerVersion.
    """

    sink: str
    head: Head  # event id and hash of the last record

    def count(self) -> int:
        """How many records it holds."""

    def before_newest(self, count: int) -> str:
        """The event id above which at most `count` records lie."""

    def at(self, event: str) -> Record | None:
        """The record with that event id, or None."""

    def after(self, event: str) -> Iterator[Record]:
        """The records above an event id, in order, one at a time."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what reading `what` may raise into SinkUnavailable or LogDamaged."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise SinkUnavailable(f"{what} cannot be read: {error}") from error
    except (InvalidRecord, ValueError, KeyError, TypeError, IndexError, sqlite3.Error) as error:
        raise LogDamaged(f"{what} cannot be read: {error}") from error
