"""One copy followed from its first record to its last: order, chain, names, and what was ordered to be erased."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from joins import erasure, event_id
from joins.chain import COMMITTED, Record
from joins.erasure import Erasures
from joins.errors import NewerVersion, PermanentError, SinkUnavailable
from joins.records import VERSION, normal
from joins.tail import Head, empty_head, followed
from ops.verifying.finding import Flaw
from ops.verifying.source import Line, Source
from ops.verifying.written import Written


@dataclass
class Walk:
    """What was found. Up to `head` all is sound; `flaw` is what comes next, if anything is wrong."""

    source: Source
    head: Head
    records: int = 0
    flaw: Flaw | None = None
    hashes: dict[str, str] = field(default_factory=dict)  # event id -> hash, of those that were wanted


@dataclass(frozen=True)
class Orders:
    """The erasures that any copy knows of, and those that this one holds in its own changes log."""

    known: Erasures
    due: Erasures


class Following:
    """One copy on its way, a record at a time: what another proved at the same place is not proved again."""

    def __init__(self, source: Source, orders: Orders, wanted: Iterable[str]) -> None:
        """`wanted`: the event ids whose hashes are to be noted."""
        self.walk = Walk(source, empty_head(source.log))
        self._source, self._orders, self._wanted = source, orders, frozenset(wanted)
        self._lines = source.lines()

    def next(self, proved: Written | None) -> Written | None:
        """Goes one record further; gives what is proved then, None where the copy ends or has a flaw.

        Raises SinkUnavailable.
        """
        walk, source = self.walk, self._source
        source.expected = proved if proved is not None and proved.before == walk.head else None
        try:
            line = next(self._lines, None)
            if line is None:
                source.expected = None
                return None
            before, record = walk.head, line.record
            if line.proved:
                _check_names(line, self._orders)
                walk.head = record["event_id"], record["hash"]
            else:
                walk.head = _next(before, line, self._orders, source)
        except Flaw as flaw:
            walk.flaw = flaw
            return None
        walk.records += 1
        if walk.head[0] in self._wanted:
            walk.hashes[walk.head[0]] = walk.head[1]
        return source.expected if line.proved else Written(source.log, before, record)


def follow(source: Source, orders: Orders, wanted: Iterable[str], step: Callable[[], object]) -> Walk:
    """Follows a copy by itself, to its end; `step` is called at each record. Raises SinkUnavailable."""
    following = Following(source, orders, wanted)
    while following.next(None) is not None:
        step()
    return following.walk


def _next(head: Head, line: Line, orders: Orders, source: Source) -> Head:
    """The head that a line makes. Raises Flaw."""
    record = line.record
    try:
        after = followed(head, record)
        if not event_id.is_above(after[0], head[0]):
            raise Flaw(line.where, f"its event id {after[0]} is not above the one before it, {head[0]}", record)
        if source.loose or record.get("v") != VERSION:
            _check_form(record, line, source.log)
    except NewerVersion as error:
        raise SinkUnavailable(f"{line.where}: {error}") from error
    except PermanentError as error:
        raise Flaw(line.where, str(error), record) from error
    commitments = record.get("commitments") or {}
    if strange := [group for group in record.get("salts") or {} if group not in commitments or group not in COMMITTED]:
        raise Flaw(line.where, f"there is a salt for {strange[0][:80]!r}, which no name needs", record)
    _check_names(line, orders)
    return after


def _check_names(line: Line, orders: Orders) -> None:
    if (fault := erasure.fault(line.record, orders.known, orders.due)) is not None:
        raise Flaw(line.where, fault, line.record)


def _check_form(record: Record, line: Line, log: str) -> None:
    """What no hash covers: the order of the keys, and which of them are null or absent. Raises Flaw, InvalidRecord."""
    form = normal(log, record)
    if list(form) != list(record) or form != record:
        raise Flaw(line.where, "the record's keys are not those that this program writes, in its order", record)
