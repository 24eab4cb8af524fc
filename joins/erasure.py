"""Whose names an `erased` change takes out of which records: the one rule that erasing and verifying go by. Pure.

An erasure covers the records of its guild that come before it in the order of event ids, of both logs. In them it
covers the names of the person (group `member`), as staff too (`staff`), and the free text of changes about or by the
person (`reason`). Who comes back later has names again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from joins import event_id
from joins.chain import COMMITTED, Record

KIND = "erased"  # the kind of change
# Changes that are about a staff member, so that their free text is too.
_ABOUT_STAFF = ("staff_set", "staff_retired", "code_assigned")


@dataclass(frozen=True)
class Erasure:
    """What an `erased` change orders: the names of one person in one guild, up to its own event id."""

    guild_id: str
    user_id: str
    event_id: str


def erasure_of(change: Record) -> Erasure | None:
    """The erasure that a change, which has its event id, orders; None when it is of another kind or about nobody."""
    if change.get("change") != KIND or change.get("user_id") is None:
        return None
    return Erasure(str(change["guild_id"]), str(change["user_id"]), str(change["event_id"]))


def persons(record: Record, group: str) -> frozenset[str]:
    """The ids of those whose erasure takes the names of that group out of this record."""
    if group == "member":
        found = [record.get("user_id")]
    elif group == "staff":
        found = [record.get("staff_id")]
    else:
        found = [record.get("user_id"), record.get("actor_id")]
        if record.get("change") in _ABOUT_STAFF:
            found.append(record.get("staff_id"))
    return frozenset(str(one) for one in found if one is not None)


class Erasures:
    """All that was ordered so far, as far as it matters: the last erasure of each person and guild."""

    def __init__(self, erasures: Iterable[Erasure] = ()) -> None:
        self._last: dict[tuple[str, str], str] = {}
        for one in erasures:
            key = (one.guild_id, one.user_id)
            self._last[key] = event_id.latest(one.event_id, self._last.get(key, event_id.ZERO))

    def __bool__(self) -> bool:
        return bool(self._last)

    def covers(self, record: Record, group: str) -> bool:
        """Whether the names of that group in a record, which has its event id, are to be gone."""
        guild, event = str(record.get("guild_id")), str(record["event_id"])
        # The order itself is not covered by itself: who gave it, and why, is kept.
        return any(
            (last := self._last.get((guild, person))) is not None and event_id.is_above(last, event)
            for person in persons(record, group)
        )


def is_erased(record: Record, group: str) -> bool:
    """Whether the record had names of that group, of which only the commitment is left."""
    return group in (record.get("commitments") or {}) and group not in (record.get("salts") or {})


def erased(record: Record, groups: Iterable[str]) -> Record:
    """A copy without the names and salts of those groups; its hash is the same."""
    gone = set(groups)
    names = {key: None for group in gone for key in COMMITTED[group] if key in record}
    salts = {group: salt for group, salt in (record.get("salts") or {}).items() if group not in gone}
    return {key: salts if key == "salts" else names.get(key, value) for key, value in record.items()}


def fault(record: Record, known: Erasures, due: Erasures) -> str | None:
    """What contradicts the erasures in a record whose names match their commitments; None when nothing does.

    `known`: all that any copy knows of, so that names may be gone; `due`: those that this copy holds itself, so that
    they must be.
    """
    for group in record.get("commitments") or {}:
        if is_erased(record, group):
            if not (group in COMMITTED and known.covers(record, group)):
                return f"the names of '{group}' are gone, and no `{KIND}` change orders that"
        elif group in COMMITTED and due.covers(record, group):
            return f"the names of '{group}' stand there, although an `{KIND}` change orders them gone"
    return None
