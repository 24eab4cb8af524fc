"""What a reader of an old log finds in it, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """A record as the file has it. `number` is the line on which it begins, from 1."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in the place of a record, and why it is none."""

    number: int
    reason: str
