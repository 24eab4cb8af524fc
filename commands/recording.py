"""How a guild's recording goes: since when, the last join, and how many of the latest are not settled.

Knows no Discord.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from commands import json_log
from commands.database import Database
from commands.refusals import NoDatabase
from joins.event_id import is_above
from joins.records import AMBIGUOUS, JOINS, UNKNOWN

LATEST = 100  # joins by which the share of unsettled ones is measured


@dataclass(frozen=True)
class Recording:
    """Times as the log writes them. `from_log`: read without a database, so later settlements are not counted."""

    begins: str | None
    last: str | None
    counted: int
    ambiguous: int
    unknown: int
    behind: bool = False
    from_log: bool = False


def of_guild(folder: Path, guild_id: str) -> Recording | None:
    """How a guild's recording goes; None before the first join of all."""
    try:
        with Database(folder) as database:
            database.one_moment()
            latest = database.rows(
                "select j.timestamp, iif(a.join_id is null, j.confidence, a.confidence) as confidence "
                "from joins j left join attributions a on a.join_id = j.join_id "
                "where j.guild_id = ? order by j.timestamp desc limit ?",
                guild_id,
                LATEST,
            )
            first = database.row("select min(timestamp) as begins from joins where guild_id = ?", guild_id)
            with json_log.opened(folder, JOINS) as reader:
                behind = is_above(json_log.last_id(reader), database.head(JOINS))
            return _made(
                first["begins"] if first else None, ((r["timestamp"], r["confidence"]) for r in latest), behind
            )
    except NoDatabase:
        return _in_log(folder, guild_id)


def _in_log(folder: Path, guild_id: str) -> Recording | None:
    with json_log.opened(folder, JOINS) as reader:
        if reader is None:
            return None
        try:
            found = list(islice(reader.with_text("guild_id", guild_id), LATEST))
            begins = next((record["timestamp"] for record in reader if record.get("guild_id") == guild_id), None)
        except json_log.UNREADABLE:
            return None
        return _made(begins, ((r["timestamp"], r["confidence"]) for r in found), from_log=True)


def _made(
    begins: str | None, latest: Iterable[tuple[str, str]], behind: bool = False, from_log: bool = False
) -> Recording:
    times_and_confidences = list(latest)
    by_confidence = Counter(confidence for _, confidence in times_and_confidences)
    last = max((time for time, _ in times_and_confidences), default=None)
    count = len(times_and_confidences)
    return Recording(begins, last, count, by_confidence[AMBIGUOUS], by_confidence[UNKNOWN], behind, from_log)
