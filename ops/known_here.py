"""Which records of an old log are here already: by guild, user and nearness in time.

Compared with the database, and with what is on its way into it (arrivals, inbox, stream) as of the beginning: whatever
the old log tells of had happened by then. And with the lines of the old log before, in a database of their own on disk
that is gone afterwards, so that memory stays flat.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joins import keys
from joins.errors import InvalidRecord
from joins.json_format import from_line
from joins.records import JOINS, moment
from joins.redis_url import Client
from joins.scripts import text
from ops import recorded_joins
from ops.old_record import Old
from ops.old_times import LARGEST_OFFSET
from ops.recorded_joins import Recorded

PAGE = 500  # entries in one read
QUARTER = timedelta(minutes=15)  # of which every time zone's offset is a multiple
UNLIKELY = timedelta(minutes=1)  # nobody joins, leaves and joins again within it, but by chance
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a line's join: whether it has a record here, or repeats a line of the file.

    `differs`: that record, or line, names another invite. `shift`: the join has no record, but would be one of ours if
    the clock had been that much ahead or behind, by another time zone. `apart`: it has none, but one of the same member
    is so little further away that two joins are unlikely.
    """

    here: bool = False
    repeats: int | None = None
    differs: bool = False
    shift: timedelta | None = None
    apart: timedelta | None = None

    @property
    def new(self) -> bool:
        """Whether it is to be recorded."""
        return not self.here and self.repeats is None


class KnownHere:
    """Use as a context manager."""

    def __init__(self, client: Client | None, folder: Path, within: timedelta) -> None:
        """Without a client only the database is asked. Raises InviteLogError where it cannot tell, redis errors."""
        self._client, self._folder, self._within = client, folder, within
        self._index = sqlite3.connect("", isolation_level=None)  # a private file, deleted when it is closed
        self._index.execute("create table joins (guild_id, user_id, at integer, invite_code, line integer)")
        self._index.execute("create index by_user on joins (guild_id, user_id, at)")
        self._index.execute("begin")  # never committed: nothing of it is to last
        if client is not None:
            recorded_joins.demand_database(client, folder)
            self._note(_on_their_way(client, recorded_joins.head(folder)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()

    def begin(self) -> None:
        """Forgets the lines of the old log, to read it once more."""
        self._index.execute("delete from joins where line is not null")

    def look(self, lines: Sequence[Old]) -> list[Known]:
        """What is known of each of some lines that follow each other. Raises redis errors."""
        exact = self._published([str(old.record["join_id"]) for old in lines])
        recorded = self._recorded(lines)
        found = []
        for old in lines:
            found.append(self._of(old, recorded[_who(old.record)], old.record["join_id"] in exact))
            if found[-1].new:
                self._note([(old.record, old.line)])
        return found

    def _of(self, old: Old, recorded: Sequence[Recorded], published: bool) -> Known:
        code = old.record["invite_code"]
        times = [*recorded, *(join for join, line in self._noted(old, LARGEST_OFFSET) if line is None)]
        near = [join for join in times if self._is_near(old, join.at)]
        if near:
            return Known(here=True, differs=all(join.invite_code not in (None, code) for join in near))
        if published:
            return Known(here=True)
        for join, line in self._noted(old, self._within):
            if line is not None and self._is_near(old, join.at):
                return Known(repeats=line, differs=join.invite_code != code)
        distances = [join.at - moment for join in times for moment in old.moments]
        apart = min(map(abs, distances), default=UNLIKELY)
        if apart < UNLIKELY:
            return Known(apart=apart)
        shifts = (self._shift(distance) for distance in distances)
        return Known(shift=next((shift for shift in shifts if shift is not None), None))

    def _is_near(self, old: Old, at: datetime) -> bool:
        return any(abs(at - moment) <= self._within for moment in old.moments)

    def _shift(self, distance: timedelta) -> timedelta | None:
        """The difference of two time zones that would explain the distance."""
        quarters = round(distance / QUARTER)
        shift = quarters * QUARTER
        explains = quarters and abs(shift) <= LARGEST_OFFSET and abs(distance - shift) <= self._within
        return shift if explains else None

    def _recorded(self, lines: Sequence[Old]) -> Mapping[tuple[str, str], list[Recorded]]:
        users: dict[str, set[str]] = defaultdict(set)
        for old in lines:
            users[old.record["guild_id"]].add(old.record["user_id"])
        found: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
        for guild_id, user_ids in users.items():
            for user_id, joins in recorded_joins.of_users(self._folder, guild_id, sorted(user_ids)).items():
                found[guild_id, user_id] = joins
        return found

    def _published(self, join_ids: Sequence[str]) -> set[str]:
        """Those that the stream has, or that wait for a record: also what has come on its way since the beginning."""
        if self._client is None or not join_ids:
            return set()
        found: list[Any] = [*self._client.hmget(keys.PUBLISHED, join_ids)]
        about: list[Any] = [*self._client.hmget(keys.ARRIVALS, join_ids)]
        return {join_id for join_id, *values in zip(join_ids, found, about, strict=True) if any(values)}

    def _note(
        self, joins: Iterator[tuple[Mapping[str, Any], int | None]] | list[tuple[Mapping[str, Any], int]]
    ) -> None:
        rows = (
            (*_who(join), _micros(moment(join["timestamp"])), join.get("invite_code"), line) for join, line in joins
        )
        self._index.executemany("insert into joins values (?, ?, ?, ?, ?)", rows)

    def _noted(self, old: Old, around: timedelta) -> list[tuple[Recorded, int | None]]:
        margin = (around + self._within) // _MICROSECOND
        span = _micros(old.moments[0]) - margin, _micros(old.moments[-1]) + margin
        where = "guild_id = ? and user_id = ? and at between ? and ?"
        sql = f"select at, invite_code, line from joins where {where} order by at"
        rows = self._index.execute(sql, (*_who(old.record), *span))
        return [(Recorded(_EPOCH + at * _MICROSECOND, code), line) for at, code, line in rows]


def counted(shifts: Counter[timedelta]) -> str:
    """The shifts, the most frequent first, such as `+2:00 (17)`."""
    parts = []
    for shift, count in shifts.most_common():
        minutes = int(abs(shift).total_seconds()) // 60
        sign = "-" if shift < timedelta(0) else "+"
        parts.append(f"{sign}{minutes // 60}:{minutes % 60:02d} ({count:,})")
    return ", ".join(parts)


def _who(join: Mapping[str, Any]) -> tuple[str, str]:
    return join["guild_id"], join["user_id"]


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _on_their_way(client: Client, head: str) -> Iterator[tuple[Mapping[str, Any], None]]:
    """Arrivals, and records of the inbox and the stream, in the order of their way: none passes by unseen."""
    untyped: Any = client  # redis-py's types allow for replies that this client never gives
    arrivals = (arrival for _, arrival in client.hscan_iter(keys.ARRIVALS, count=PAGE))
    for item in chain(arrivals, _inbox(untyped)):
        try:
            content = json.loads(item)
            join = content.get("record", content)
            moment(join["timestamp"])
            yield (
                {key: join[key] for key in ("guild_id", "user_id", "timestamp")}
                | {"invite_code": join.get("invite_code")},
                None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # a change, or what the producer refuses
    while entries := untyped.xrange(keys.stream(JOINS), f"({head}", count=PAGE):
        for name, fields in entries:
            head = text(name)
            try:
                yield from_line(JOINS, fields[b"r"]), None
            except (InvalidRecord, KeyError):
                continue  # the sinks condemn it


def _inbox(client: Any) -> Iterator[bytes]:
    """What waits, from its end: the producer takes from the front meanwhile."""
    last = -1
    while items := client.lrange(keys.INBOX, last - PAGE + 1, last):
        yield from reversed(items)
        last -= PAGE
