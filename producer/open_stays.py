"""Whose stay in a guild is on record without an end, out of the database, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commands.database import Database
from commands.refusals import NoDatabase
from joins.event_id import ZERO
from joins.records import LOGS
from producer.known_joins import Known

PAGE = 1000  # members in one answer of the database: it is held for some milliseconds

# A member's latest join is his stay. A leave ends the one it names; where it could name none, the latest before it.
_STAYS = """
    with latest as (
        select join_id, guild_id, user_id, max(timestamp) as timestamp, recorded_at from joins
        where guild_id = ? and user_id > ? group by user_id order by user_id limit ?
    )
    select latest.*,
        exists (select 1 from changes c where c.join_id = latest.join_id and c.change = 'member_left')
        or exists (
            select 1 from changes c where c.guild_id = latest.guild_id and c.user_id = latest.user_id
            and c.change = 'member_left' and c.join_id is null and c.recorded_at >= latest.timestamp
        ) as ended
    from latest order by user_id
"""


@dataclass(frozen=True, slots=True)
class Stay:
    """A join that no leave ends, and when its record was made: by our clock, where the join's time is Discord's."""

    join: Known
    recorded_at: str


def heads(folder: Path) -> dict[str, str]:
    """Up to which event id the database has each log; there is none yet, or it is being rebuilt: zero then."""
    try:
        with Database(folder) as database:
            database.one_moment()
            return {log: database.head(log) for log in LOGS}
    except NoDatabase:
        return dict.fromkeys(LOGS, ZERO)


def pages(folder: Path, guild_id: str) -> Iterator[list[Stay]]:
    """The open stays in a guild, by the text of the user's id. Raises NoDatabase.

    Each page is read anew, so that no reader holds the database while its page is worked off. For any thread.
    """
    after = ""
    while True:
        with Database(folder) as database:
            rows = database.rows(_STAYS, guild_id, after, PAGE)
        yield [Stay(Known(*row[:4]), row["recorded_at"]) for row in rows if not row["ended"]]
        if len(rows) < PAGE:
            return
        after = rows[-1]["user_id"]
