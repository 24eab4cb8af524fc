"""Up to when each guild was surely listened to: who joined after that and has no record was missed.

The time is kept some minutes behind, because a connection may be dead for that long before anybody notices. That is
harmless: a join that has a record is not recorded again. It never lies before the first start, so members from
before it are only ever recorded by `invitelog backfill`.

The times stand in Redis and in a file beside the outbox, so that neither a server that forgot nor a disk that vanished
takes them away: without them, who joined before the newest record and has none himself would never be looked for.

A second time a guild says up to when every leave is on record, so that of a member who is missed later it can be said
that he left after it. It follows the first one, but stays behind from a gap on, until the gap's leaves are recorded.
Redis alone has it: where that forgot it, less is said of when somebody left, and nothing is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from joins import durable, keys
from joins.errors import SinkUnavailable
from joins.records import moment, timestamp
from joins.redis_url import Client
from joins.scripts import text

log = logging.getLogger("producer")

FIRST = "first"  # the field of the first start of all
MARGIN = timedelta(seconds=180)  # discord.py notices a dead connection within about 100 s: a heartbeat and its patience
EVERY = 30.0  # seconds between two writes
# A write moves a time by no more than this: a machine that slept wakes with a dead connection that nobody has noticed
# yet, and the writes until somebody does must stay within MARGIN.
STRIDE = timedelta(seconds=35)
GATHER = 0.2  # seconds in which guilds that are newly listened to share a write


def in_redis(client: Client, key: str = keys.LISTENED) -> dict[str, datetime]:
    """The times in Redis by guild, and in this hash the first start (`FIRST`). Raises redis errors."""
    return _parsed({text(field): text(value) for field, value in client.hgetall(key).items()})


class Listened:
    """The times by guild, in memory, in Redis, and in the file at `path` where one is given."""

    def __init__(self, client: Client, path: Path | None = None) -> None:
        self._client, self._path = client, path
        self.times: dict[str, datetime] = {}
        self.leaves: dict[str, datetime] = {}
        self._first = datetime.now(UTC)
        self._listening: set[str] = set()
        self._whole: set[str] = set()  # guilds of which every leave up to now is on record, or about to be
        self._wake = asyncio.Event()

    def load(self, began: Callable[[], datetime | None] = lambda: None) -> None:
        """Reads the times; the first start is written here, so this comes before identifying. Raises redis errors.

        `began` tells when the very first record was made, if there is any. It is asked where server and disk know
        nothing: then everybody who joined since and has no record is looked for, since nothing nearer is known.
        """
        kept, server = _parsed(self._read_file()), in_redis(self._client)
        known = [found[FIRST] for found in (kept, server) if FIRST in found]
        first = min([*known, self._first] if known else [began() or self._first, self._first])
        kept.pop(FIRST, None)
        self._client.hsetnx(keys.LISTENED, FIRST, timestamp(first))
        server = in_redis(self._client)
        self._first = server.pop(FIRST, first)
        self.times = kept | {guild: max(time, kept.get(guild, time)) for guild, time in server.items()}
        self._write_file()
        self.leaves = in_redis(self._client, keys.LEFT)

    def since(self, guild_id: str, bot_joined: datetime | None) -> datetime:
        """Who joined after this may have been missed."""
        since = self.times.get(guild_id, self._first)
        return max(since, bot_joined) if bot_joined else since  # before it was added, nobody was to be listened to

    def begin(self, guild_id: str, since: datetime) -> None:
        """The guild is listened to, and nobody who joined up to `since` is missing."""
        self.times[guild_id] = since
        self._listening.add(guild_id)
        self._wake.set()

    def pause(self, guild_id: str) -> None:
        """The guild is not listened to any more, or not everybody is known who joined before."""
        self._listening.discard(guild_id)

    def missed(self, guild_id: str) -> None:
        """Members may leave from now on without being heard."""
        self._whole.discard(guild_id)

    def accounted(self, guild_id: str, until: datetime, whole: bool) -> None:
        """Every leave up to `until` is on record; `whole`: those since then too, as they are heard."""
        self.leaves[guild_id] = max(self.leaves.get(guild_id, until), until)
        if whole:
            self._whole.add(guild_id)

    async def run(self) -> None:
        """Writes the times until it is cancelled."""
        while True:
            self._wake.clear()
            await self.write()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), EVERY)
                await asyncio.sleep(GATHER)

    async def write(self) -> None:
        """Moves the times of the guilds listened to forward. A fault is said; the next write makes up for it."""
        safe = datetime.now(UTC) - MARGIN
        for guild_id in self._listening:
            heard = self.times[guild_id]
            self.times[guild_id] = max(heard, min(safe, heard + STRIDE))
        if not self._listening:
            return
        for guild_id in self._listening & self._whole:
            self.leaves[guild_id] = max(self.leaves[guild_id], self.times[guild_id])
        times: Any = {guild_id: timestamp(self.times[guild_id]) for guild_id in self._listening}
        leaves: Any = {guild_id: timestamp(self.leaves[guild_id]) for guild_id in self._listening & self.leaves.keys()}
        await asyncio.to_thread(self._write_file)
        try:
            await asyncio.to_thread(self._client.hset, keys.LISTENED, mapping=times)
            if leaves:
                await asyncio.to_thread(self._client.hset, keys.LEFT, mapping=leaves)
        except RedisError as error:
            log.info("up to when was listened cannot be kept just now: %s", error)

    def _read_file(self) -> Mapping[str, Any]:
        """What the file says; nothing where there is none, or none that can be read."""
        if self._path is None or not self._path.exists():
            return {}
        try:
            found = json.loads(self._path.read_bytes())
            return found if isinstance(found, dict) else {}
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read and is ignored: %s", self._path, error)
            return {}

    def _write_file(self) -> None:
        """Replaces the file. A full disk is no fault here: Redis has the times too, and the next write makes up."""
        if self._path is None:
            return
        times = {FIRST: timestamp(self._first)} | {guild: timestamp(time) for guild, time in dict(self.times).items()}
        try:
            with durable.disk_errors(self._path):
                durable.replace(self._path, json.dumps(times).encode())
        except SinkUnavailable as error:
            log.info("up to when was listened cannot be kept just now: %s", error)


def _parsed(fields: Mapping[str, Any]) -> dict[str, datetime]:
    times = {}
    for field, value in fields.items():
        try:
            times[field] = moment(str(value))
        except ValueError:
            log.warning("when guild %s was listened to last cannot be read and is ignored", field)
    return times
