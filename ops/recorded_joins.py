"""Which joins the database holds, for commands that must not record one a second time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from commands.database import Database
from commands.refusals import NoDatabase
from joins import event_id, keys
from joins.errors import InviteLogError
from joins.event_id import ZERO
from joins.records import JOINS, moment
from joins.redis_url import Client
from joins.scripts import text


@dataclass(frozen=True, slots=True)
class Recorded:
    """A join that has a record: when it was, and the invite that the record names."""

    at: datetime
    invite_code: str | None


def head(folder: Path) -> str:
    """The event id up to which the database holds the joins; `0-0` where there is no database."""
    try:
        with Database(folder) as database:
            return database.head(JOINS)
    except NoDatabase:
        return ZERO


def demand_database(client: Client, folder: Path) -> None:
    """Raises InviteLogError where neither the database nor the stream tells of some joins. Raises redis errors."""
    trimmed = client.hget(keys.TRIMMED, JOINS)
    if trimmed is None or not event_id.is_above(text(trimmed), head(folder)):
        return
    raise InviteLogError(
        f"{folder} holds no database of all joins, so which members have a record cannot be seen from here: "
        "run this on the machine of the sqlite consumer, with its INVITE_LOGS_DIR, and once it has caught up."
    )


def of_users(folder: Path, guild_id: str, user_ids: Sequence[str]) -> dict[str, list[Recorded]]:
    """The joins of each of these users in a guild; nothing where there is no database."""
    marks = ", ".join("?" * len(user_ids))
    sql = f"select user_id, timestamp, invite_code from joins where guild_id = ? and user_id in ({marks})"
    joins: dict[str, list[Recorded]] = {}
    try:
        with Database(folder) as database:
            for user_id, time, code in database.rows(sql, guild_id, *user_ids):
                joins.setdefault(user_id, []).append(Recorded(moment(time), code))
    except NoDatabase:
        return {}  # nothing was trimmed from the stream yet, so it tells of every join
    return joins
