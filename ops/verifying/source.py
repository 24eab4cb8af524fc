"""What every copy is to the verifier: its lines in order, each with its place, byte for byte as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from joins.chain import Record
from joins.erasure import Erasure
from ops.verifying.written import Written


@dataclass(frozen=True, slots=True)
class Line:
    """One record and where it stands."""

    where: str
    record: Record
    proved: bool = False  # it holds, byte for byte, what the source was told to expect


class Source(Protocol):
    """One log of one sink, as it was when opened. Every method raises SinkUnavailable when it cannot be read now."""

    sink: str
    log: str
    shown: str  # the file, bucket or table, for a sentence
    loose: bool  # its records are as they stand there, whether or not in normal form
    expected: Written | None  # what another copy proved to come next, set before each step of `lines`
    head: str | None  # event id of the last record; 0-0 for none, None where it cannot be read

    def lines(self) -> Iterator[Line]:
        """Every record. Raises Flaw at the first thing that is not as it was written; chains are not looked at."""

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """What is amiss beside the records: kind and sentence, of a finding each."""

    def orders(self) -> Iterator[Erasure]:
        """The erasures that a changes log orders, as far as it can be read."""

    def holds(self, event: str) -> bool:
        """Whether that event id stands anywhere in it."""

    def close(self) -> None:
        """Lets go of it."""
