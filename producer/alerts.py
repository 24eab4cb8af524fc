"""What is to be said of troubles, and when: once each, and once when it is over. Pure: no clock, no I/O, no Discord.

Each server's trouble is remembered on its own; those that begin or end together are one line, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

AGAIN = 600.0  # seconds between two times that the same trouble is said, however often it comes and goes
ROOM = 1900  # characters of one message; Discord allows 2000
NAMED = 3  # servers of one line that are named; the others are counted


WHERE = "{where}"
"""What stands in a trouble's sentences for the servers that have it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now. `patience`: seconds that it has to last before it is worth a message.

    `where`: the server that has it, as it is shown; all that begin, or end, in the same words are said in one line.
    """

    begun: str
    over: str
    patience: float = 0.0
    where: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a trouble. Times are seconds since 1970 UTC.

    `since`: when it was first seen, None once it is over; `said`: it was announced; `last`: when that was.
    """

    since: float | None
    over: str = ""
    said: bool = False
    last: float | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class _Due:
    """Something to be said of one server, or of none, and what is remembered once it is."""

    key: str
    known: Known
    sentence: str
    where: str


Memory = Mapping[str, Known]
# Troubles by what they are about; None: looked at, and all is well. What is left out could not be looked at.
Seen = Mapping[str, Trouble | None]


def decide(before: Memory, now: Seen, at: float, notices: Iterable[str] = ()) -> tuple[dict[str, Known], list[str]]:
    """What to remember, and the lines of at most one message; what finds no room in it is said another time.

    `notices` come first and are no troubles that could go on: each is said as it stands.
    """
    memory, lines = dict(before), list(notices)
    together: dict[tuple[str, str], list[_Due]] = {}
    for key in sorted(now):
        known, sentence = _one(memory.get(key), now[key], at)
        if known is not None and sentence is not None:
            where = (now[key] or memory[key]).where
            together.setdefault((sentence, "" if where else key), []).append(_Due(key, known, sentence, where))
        elif known is not None:
            memory[key] = known
        else:
            memory.pop(key, None)
    room = ROOM - sum(len(line) + 1 for line in lines)
    for due in together.values():
        line = due[0].sentence.replace(WHERE, _servers([one.where for one in due]), 1)
        if len(line) >= room:
            continue  # as it was, so that the next look says it
        lines.append(line)
        room -= len(line) + 1
        memory |= {one.key: one.known for one in due}
    return memory, lines


def restarted(memory: Memory) -> dict[str, Known]:
    """What an earlier process remembered, less the troubles that it had not said: their patience begins anew."""
    kept = {key: known if known.said else replace(known, since=None) for key, known in memory.items()}
    return {key: known for key, known in kept.items() if known.said or known.last is not None}


def _servers(names: list[str]) -> str:
    """One server by its name; several by their number and the first few names."""
    if len(names) == 1:
        return names[0]
    first, more = ", ".join(names[:NAMED]), len(names) - NAMED
    return f"{len(names):,} servers ({first}{f' and {more:,} more' if more > 0 else ''})"


def _one(known: Known | None, trouble: Trouble | None, at: float) -> tuple[Known | None, str | None]:
    """What to remember of one matter, and what to say."""
    if trouble is None:
        if known is None or (known.since is None and (known.last is None or at - known.last >= AGAIN)):
            return None, None
        if known.said:
            return Known(None, last=known.last), f"✅ {known.over}"
        return (replace(known, since=None) if known.last is not None else None), None
    since = known.since if known is not None and known.since is not None else at
    said, last = (known.said, known.last) if known else (False, None)
    if said or at - since < trouble.patience or (last is not None and at - last < AGAIN):
        # In today's words, so that what an earlier version said of each server ends in one line too.
        return Known(since, trouble.over, said, last, trouble.where), None
    return Known(since, trouble.over, said=True, last=at, where=trouble.where), f"⚠️ {trouble.begun}"
