"""What happened to a record, told by a copy that is sound there; and copies that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from joins import event_id
from joins.chain import NAME_KEYS, Record
from ops.verifying.finding import CHANGED, EDITED, INSERTED, MOVED, REMOVED, REWRITTEN, UNSETTLED, Finding, Flaw
from ops.verifying.following import Walk
from ops.verifying.source import Line, Source

_SECRET = ("salts", "commitments")
_SHOWN = 4  # keys that are named of those that differ


def classify(walk: Walk, others: Sequence[Walk]) -> Finding:
    """What the flaw of a walk is: edited, removed, inserted, moved, or what the chain alone can tell."""
    assert walk.flaw is not None
    flaw, source, before = walk.flaw, walk.source, walk.head[0]
    if flaw.torn:
        return _finding(
            source,
            UNSETTLED,
            flaw,
            "; a crash can leave that, and the sink's next start cuts it off and keeps it aside",
        )
    reference = max((other for other in others if other is not walk), key=_reach, default=None)
    if reference is None or _reach(reference) <= _reach(walk):
        return _finding(
            source,
            CHANGED,
            flaw,
            "; edited, inserted, moved, or the record before it is gone: no other copy reaches as far",
        )
    coming = _after(reference.source, before)
    expected = next(coming)
    wanted = str(expected.record["event_id"])
    if flaw.record is None or not isinstance(flaw.record.get("event_id"), str):
        return _finding(
            source, EDITED, flaw, f"; {expected.where} has record {expected.record['event_id']} there", expected
        )
    found, wanted = flaw.record, str(expected.record["event_id"])
    if found["event_id"] == wanted:
        keys = _differing(found, expected.record)
        how = f"; it differs from {expected.where} in {', '.join(keys)}" if keys else ""
        return _finding(source, EDITED, flaw, how, expected)
    return _misplaced(walk, found, expected, coming)


def _misplaced(walk: Walk, found: Record, expected: Line, coming: Iterator[Line]) -> Finding:
    """Of a record that stands where another one belongs."""
    assert walk.flaw is not None
    source, flaw, wanted = walk.source, walk.flaw, str(expected.record["event_id"])
    try:
        late = event_id.is_above(found["event_id"], wanted)
    except ValueError:
        return _finding(source, EDITED, flaw, f"; {expected.where} has record {wanted} there", expected)
    if not late:
        if walk.head[0] != event_id.ZERO and not event_id.is_above(found["event_id"], walk.head[0]):
            return _finding(source, MOVED, flaw, f"; record {wanted} belongs here", expected)
        return _finding(source, INSERTED, flaw, f"; no other copy has record {found['event_id']}")
    missing = 1
    for line in coming:
        if line.record["event_id"] == found["event_id"]:
            break
        if event_id.is_above(line.record["event_id"], found["event_id"]):
            return _finding(source, INSERTED, flaw, f"; no other copy has record {found['event_id']}")
        missing += 1
    if source.holds(wanted):
        return _finding(source, MOVED, flaw, f"; record {wanted} belongs here, and stands elsewhere", expected)
    more = f" and {missing - 1} more" if missing > 1 else ""
    return _finding(
        source, REMOVED, flaw, f"; record {wanted}{more} is missing before it ({expected.where} has it)", expected
    )


def contradictions(walks: Sequence[Walk]) -> list[Finding]:
    """Of copies that are sound each by itself: those that hold something else than another, where both reach.

    Two copies are compared at the end of the shorter one. Those that more copies contradict than bear out are named,
    or all where neither side has more.
    """
    against = {id(walk): [other for other in walks if _differ(walk, other)] for walk in walks}
    found = []
    for walk in walks:
        opponents = against[id(walk)]
        agreeing = (other for other in walks if other not in opponents)
        allies = [other for other in agreeing if any(one in opponents for one in against[id(other)])]
        if not opponents or len(allies) > len(opponents):  # the walk is among its allies
            continue
        here, there = _first_difference(walk.source, opponents[0].source)
        names = " and ".join(other.source.sink for other in opponents)
        if len(allies) < len(opponents):
            what = f"the chain is sound in itself, but from this record on it is not that of {names} ({there})"
        else:
            what = f"this copy and that of {names} ({there}) are each sound in themselves and differ from here on"
        found.append(Finding(REWRITTEN, walk.source.sink, walk.source.log, here, what))
    return found


def _differ(one: Walk, other: Walk) -> bool:
    """Whether two copies hold something else at the end of the shorter one."""
    shorter, longer = sorted((one, other), key=_reach)
    return shorter.head[0] != event_id.ZERO and longer.hashes.get(shorter.head[0]) != shorter.head[1]


def _first_difference(one: Source, other: Source) -> tuple[str, str]:
    """Where two copies begin to differ, in each."""
    last = (one.shown, other.shown)
    for here, there in zip(one.lines(), other.lines(), strict=False):
        last = here.where, there.where
        if here.record.get("hash") != there.record.get("hash"):
            return last
    return last


def _after(source: Source, event: str) -> Iterator[Line]:
    return (line for line in source.lines() if event_id.is_above(line.record["event_id"], event))


def _reach(walk: Walk) -> tuple[int, int]:
    return event_id.parse(walk.head[0])


def _differing(found: Record, right: Record) -> list[str]:
    """The keys in which two records differ; of names only that they do."""
    keys = [
        key for key in {**right, **found} if found.get(key) != right.get(key) and key not in ("salts", "commitments")
    ]
    names = [key for key in keys if key in NAME_KEYS]
    shown = [*(key for key in keys if key not in NAME_KEYS), *names]
    return shown if len(shown) <= _SHOWN else [*shown[:_SHOWN], f"{len(shown) - _SHOWN} more"]


def _finding(source: Source, kind: str, flaw: Flaw, how: str, expected: Line | None = None) -> Finding:
    event = expected.record["event_id"] if expected is not None else (flaw.record or {}).get("event_id")
    return Finding(kind, source.sink, source.log, flaw.where, f"{kind}: {flaw.what}{how}", event)
