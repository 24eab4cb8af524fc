"""Taking erased names out of what is stored: the log files, and anything else that is JSON.

Whose names, and out of which records, is joins/erasure.py's rule. The hash chain holds: names enter it only through
commitments, which stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from joins.chain import COMMITTED, NAME_KEYS, Record
from joins.erasure import Erasure, Erasures, erased
from joins.form import Form
from joins.log_reader import LogReader
from joins.records import normal

# Beside a person's id in one object, what stands under these keys is that person's.
_IDS = ("user_id", "staff_id", "inviter_id", "actor_id", "id")
_NAMES = NAME_KEYS | {"inviter_name", "global_name", "nick"}


def scrubbed(record: Record, erasures: Erasures) -> Record | None:
    """The record without the names that are to be gone; None where it has none of them."""
    covered = [group for group in COMMITTED if _has(record, group) and erasures.covers(record, group)]
    return erased(record, covered) if covered else None


def needles(erasures: Iterable[Erasure]) -> list[bytes]:
    """The bytes without which a line holds none of these persons."""
    return sorted({erasure.user_id.encode() for erasure in erasures})


def scrub(path: Path, form: Form, erasures: Sequence[Erasure]) -> bool:
    """Takes names out of a log file, whole or not at all; whether there were any.

    Raises SinkUnavailable; ValueError, InvalidRecord where a line is no record.
    """
    with form.reader(path) as reader:
        lines = _without(reader, form, erasures)
        if lines is not None:
            form.write_whole(path, lines)
        return lines is not None


def scrub_value(value: Any, user_ids: frozenset[str]) -> Any:
    """Anything that is JSON without these persons' names: those that stand in an object together with their id."""
    if isinstance(value, list):
        return [scrub_value(item, user_ids) for item in value]
    if not isinstance(value, dict):
        return value
    found = any(str(value.get(key)) in user_ids for key in _IDS)
    return {
        key: None if found and key in _NAMES else scrub_value(item, user_ids)
        for key, item in value.items()
        if not (found and key == "salts")
    }


def _without(reader: LogReader, form: Form, erasures: Sequence[Erasure]) -> Iterator[bytes] | None:
    """The lines of a log without those names; None when it holds none of them."""
    rule, wanted = Erasures(erasures), needles(erasures)
    mentioned = (record for needle in wanted for record in reader.containing(needle))
    if all(scrubbed(normal(form.log, record), rule) is None for record in mentioned):
        return None

    def lines() -> Iterator[bytes]:
        for line in map(form.bare, reader.lines()):
            new = scrubbed(normal(form.log, form.parse(line)), rule) if any(n in line for n in wanted) else None
            yield line if new is None else form.encode(new)

    return lines()


def _has(record: Record, group: str) -> bool:
    return group in (record.get("salts") or {}) or any(record.get(key) is not None for key in COMMITTED[group])
