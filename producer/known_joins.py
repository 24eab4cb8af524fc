"""Which joins are known already: those of this process in memory, all others in the database and the JSON log.

A join counts as known from its arrival on, since its id is fixed then and its record is sure to follow. While neither
the database nor the JSON log reaches what the stream no longer holds (both are being filled again), nobody can tell,
and to guess would record joins twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from commands import json_log
from commands.database import Database
from commands.refusals import NoDatabase
from joins import event_id, keys
from joins.errors import SinkUnavailable
from joins.event_id import ZERO
from joins.records import JOINS
from joins.redis_url import Client
from joins.scripts import text

REMEMBERED = 10_000  # joins in memory; as many as a stream keeps by default
log = logging.getLogger("producer")


@dataclass(frozen=True, slots=True)
class Known:
    """One join: enough to name it and to say when it was."""

    join_id: str
    guild_id: str
    user_id: str
    timestamp: str


class KnownJoins:
    """`folder` is the log folder; `client` says which joins are in the stream, also those that no sink has yet."""

    def __init__(self, folder: Path | None = None, client: Client | None = None) -> None:
        self._folder, self._client = folder, client
        self._recent: OrderedDict[str, Known] = OrderedDict()
        self._of_user: dict[tuple[str, str], list[Known]] = {}
        self._trimmed = ZERO
        self._fault: str | None = None  # why the JSON log could not be searched last time, if it could not

    def learn(self, join: Mapping[str, Any]) -> None:
        """Takes over an arrival, or the record of a join."""
        known = Known(join["join_id"], join["guild_id"], join["user_id"], join["timestamp"])
        if known.join_id in self._recent:
            return
        self._recent[known.join_id] = known
        self._of_user.setdefault((known.guild_id, known.user_id), []).append(known)
        if len(self._recent) > REMEMBERED:
            _, oldest = self._recent.popitem(last=False)
            rest = self._of_user[oldest.guild_id, oldest.user_id]
            rest.remove(oldest)
            if not rest:
                del self._of_user[oldest.guild_id, oldest.user_id]

    def recent(self, guild_id: str, user_id: str) -> Known | None:
        """The latest join of a user in a guild of which this process knows without asking anybody."""
        found = self._of_user.get((guild_id, user_id), ())
        return max(found, key=lambda known: known.timestamp, default=None)

    async def latest(self, guild_id: str, user_id: str, before: str | None = None) -> Known | None:
        """The latest join of a user in a guild, of those earlier than the timestamp `before` where that is given."""
        found = list(self._of_user.get((guild_id, user_id), ()))
        if self._folder is not None:
            found += await asyncio.to_thread(self._of_logs, guild_id, user_id)
        earlier = (known for known in found if before is None or known.timestamp < before)
        return max(earlier, key=lambda known: known.timestamp, default=None)

    async def has(self, join_id: str) -> bool:
        """Whether this join has a record, or is about to have one. Raises SinkUnavailable while no copy can tell."""
        if join_id in self._recent:
            return True
        if self._client is not None and await asyncio.to_thread(self._in_stream, self._client, join_id):
            return True
        return self._folder is not None and await asyncio.to_thread(self._in_logs, join_id)

    def _of_logs(self, guild_id: str, user_id: str) -> list[Known]:
        """In a thread: the joins of a user that the database has, and those that the JSON log has above it."""
        rows, head = self._rows("guild_id = ? and user_id = ?", guild_id, user_id)
        late, _ = self._late(head, "user_id", user_id)
        return [*rows, *(known for known in late if known.guild_id == guild_id)]

    def _in_logs(self, join_id: str) -> bool:
        rows, head = self._rows("join_id = ?", join_id)
        if rows:
            return True
        late, reach = self._late(head, "join_id", join_id)
        if not late and event_id.is_above(self._known_trimmed(), reach):
            raise SinkUnavailable(
                "who has a record cannot be told while the database and the JSON log lack what the stream dropped"
            )
        return bool(late)

    def _known_trimmed(self) -> str:
        """The highest event id known to be gone from the stream, so that only a copy can have it."""
        try:
            found = self._client.hget(keys.TRIMMED, JOINS) if self._client is not None else None
        except RedisError:  # what is trimmed meanwhile, every sink has
            found = None
        self._trimmed = event_id.latest(self._trimmed, text(found) if found else ZERO)
        return self._trimmed

    def _rows(self, where: str, *values: str) -> tuple[list[Known], str]:
        assert self._folder is not None
        try:
            with Database(self._folder) as database:
                database.one_moment()
                rows = database.rows(f"select join_id, guild_id, user_id, timestamp from joins where {where}", *values)
                return [Known(*row) for row in rows], database.head(JOINS)
        except NoDatabase:
            return [], ZERO  # there is none yet, or it is being rebuilt: the JSON log is searched as a whole

    def _late(self, head: str, key: str, value: str) -> tuple[list[Known], str]:
        """The joins that the JSON log has above `head`, and the event id up to which nothing is missing then."""
        assert self._folder is not None
        try:
            with json_log.opened(self._folder, JOINS) as reader:
                records: Iterable[Mapping[str, Any]] = json_log.late(reader, head, key, value)
                found = [Known(r["join_id"], r["guild_id"], r["user_id"], r["timestamp"]) for r in records]
                reach = event_id.latest(head, json_log.last_id(reader))
            self._fault = None
            return found, reach
        except json_log.UNREADABLE as error:
            if str(error) != self._fault:  # once, not for each of a thousand members
                log.warning("the JSON log of joins cannot be searched: %s", error)
            self._fault = str(error)
            return [], head

    @staticmethod
    def _in_stream(client: Client, join_id: str) -> bool:
        try:
            return bool(client.hexists(keys.PUBLISHED, join_id))
        except RedisError:
            return False
