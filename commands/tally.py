"""What the database tracked against what Discord counts, invite by invite. Knows no Discord.

An invite may be older than the log: the `uses_before` of its first recorded join says how many uses came before
that. They may also be joins that could not be settled, so they are shown as what they are and not called missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from commands import json_log
from commands.database import Database
from commands.services import InviteCounts
from joins.event_id import is_above
from joins.records import AMBIGUOUS, EXACT, JOINS, UNKNOWN


@dataclass(frozen=True)
class Tracked:
    """What the database holds about one invite."""

    joins: int
    uses_before_first: int | None
    staff_id: str | None
    staff_username: str | None


@dataclass(frozen=True)
class Line:
    """One invite. `uses` is Discord's count, None when Discord no longer lists the invite."""

    code: str
    uses: int | None
    recorded: int
    before_first: int
    staff_id: str | None
    staff_name: str | None
    vanity: bool = False

    @property
    def difference(self) -> int:
        """Discord's count less the recorded joins."""
        return (self.uses or 0) - self.recorded

    @property
    def unexplained(self) -> int:
        """What of the difference did not come before the invite's first recorded join."""
        return self.difference - self.before_first


@dataclass(frozen=True)
class Tally:
    """The comparison: live invites (the largest difference first), invites that are gone, and unsettled joins.

    `behind`: the database does not hold the newest joins yet, so the difference is too large.
    """

    live: list[Line]
    gone: list[Line]
    ambiguous: int
    unknown: int
    no_invite: int
    behind: bool = False


def compare(folder: Path, guild_id: str, counts: InviteCounts) -> Tally:
    """Discord's counts for a guild against the database. Raises NoDatabase."""
    with Database(folder) as database:
        database.one_moment()
        tracked = _tracked(database, guild_id)
        unsettled = _unsettled(database, guild_id)
        with json_log.opened(folder, JOINS) as reader:
            behind = is_above(json_log.last_id(reader), database.head(JOINS))
    live = []
    for code, count in counts.invites.items():
        live.append(_line(code, count.uses, tracked.pop(code, None), count.inviter_id, count.inviter_name))
    vanity = counts.vanity
    if vanity is not None and vanity.code not in counts.invites:
        live.append(_line(vanity.code, vanity.uses, tracked.pop(vanity.code, None), vanity=True))
    live.sort(key=lambda line: (-abs(line.unexplained), -abs(line.difference), -(line.uses or 0), line.code))
    gone = [_line(code, None, seen) for code, seen in tracked.items()]
    gone.sort(key=lambda line: (-line.recorded, line.code))
    by_confidence = (unsettled.get(AMBIGUOUS, 0), unsettled.get(UNKNOWN, 0), unsettled.get(EXACT, 0))
    return Tally(live, gone, *by_confidence, behind)


def _line(
    code: str,
    uses: int | None,
    seen: Tracked | None,
    inviter_id: str | None = None,
    inviter_name: str | None = None,
    vanity: bool = False,
) -> Line:
    if seen is None:
        return Line(code, uses, 0, 0, inviter_id, inviter_name, vanity)
    staff_id, name = seen.staff_id or inviter_id, seen.staff_username
    if name is None and staff_id == inviter_id:
        name = inviter_name
    before = (seen.uses_before_first or 0) if uses is not None else 0
    return Line(code, uses, seen.joins, before, staff_id, name, vanity)


def _tracked(database: Database, guild_id: str) -> dict[str, Tracked]:
    # max() makes SQLite take the bare columns from the row that holds it: the latest join's staff.
    rows = database.rows(
        """
        select code, count(*) as joins, min(uses_before) as before, max(position), staff_id, staff_username
        from (select iif(a.join_id is null, j.invite_code, a.invite_code) as code, j.position,
                     iif(a.join_id is null or a.invite_code is j.invite_code, j.uses_before, null) as uses_before,
                     iif(a.join_id is null, j.staff_id, a.staff_id) as staff_id,
                     iif(a.join_id is null, j.staff_username, a.staff_username) as staff_username
              from joins j left join attributions a on a.join_id = j.join_id where j.guild_id = ?)
        where code is not null group by code
        """,
        guild_id,
    )
    return {row["code"]: Tracked(row["joins"], row["before"], row["staff_id"], row["staff_username"]) for row in rows}


def _unsettled(database: Database, guild_id: str) -> dict[str, int]:
    """Joins to which no code belongs, by confidence; `exact` ones are known to have used none."""
    rows = database.rows(
        """
        select iif(a.join_id is null, j.confidence, a.confidence) as confidence, count(*) as n
        from joins j left join attributions a on a.join_id = j.join_id
        where j.guild_id = ? and iif(a.join_id is null, j.invite_code, a.invite_code) is null group by 1
        """,
        guild_id,
    )
    return {row["confidence"]: row["n"] for row in rows}
