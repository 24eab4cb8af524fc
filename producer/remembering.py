"""What a producer takes over from the one before it, and keeps for the next: evidence, and up to when was listened."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from redis.exceptions import RedisError

from joins import event_id
from joins.copies import finding
from joins.event_id import ZERO
from joins.records import JOINS
from joins.redis_url import Client
from joins.settings import Settings
from producer import evidence_store
from producer.evidence import Evidence
from producer.evidence_store import EvidenceStore
from producer.listened import Listened
from producer.recorder import Recorder

log = logging.getLogger("producer")

RETRY = 1.0  # seconds between tries while Redis is away


class Remembering:
    """One for all guilds. It is read before the gateway is asked for anything."""

    def __init__(self, client: Client, recorder: Recorder, settings: Settings) -> None:
        """A copy of what is needed most is kept beside the outbox."""
        self._client, self._recorder, self._settings = client, recorder, settings
        self.listened = Listened(client, settings.invite_logs_dir / "outbox" / "listened.json")
        self._evidence: Mapping[str, Evidence] = {}
        self._store = EvidenceStore(client)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Reads what is kept, waiting for Redis, and begins to keep more."""
        while True:
            try:
                await asyncio.to_thread(self._load)
                break
            except RedisError as error:
                log.warning("what was kept of earlier starts cannot be read yet: %s", error)
                await asyncio.sleep(RETRY)
        self._tasks = [asyncio.create_task(self._store.run()), asyncio.create_task(self.listened.run())]

    async def stop(self) -> None:
        """Writes what waits, once, unless Redis took nothing last time, and ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RedisError):
            if not self._store.failing and await self._store.write():
                await self.listened.write()

    def take(self) -> Mapping[str, Evidence]:
        """Every guild's evidence of the last start, handed over once."""
        evidence, self._evidence = self._evidence, {}
        return evidence

    def keep(self, guild_id: str, evidence: Evidence) -> None:
        """Keeps a guild's evidence, whose joins have been recorded."""
        self._store.keep(guild_id, evidence, self._recorder.position())

    def _began(self) -> datetime | None:
        """When the first record was made, by the copy that reaches furthest, the cloud's included."""
        copy = finding.longest(finding.readable(JOINS, self._settings))
        first = next(copy.after(ZERO), None) if copy is not None else None
        if first is None:
            return None
        log.warning("server and disk forgot up to when was listened: all who joined since the log began are looked for")
        return datetime.fromtimestamp(event_id.milliseconds(first["event_id"]) / 1000, UTC)

    def _load(self) -> None:
        self.listened.load(self._began)
        self._evidence = evidence_store.load(
            self._client, self._recorder.recent(), self.listened.times, datetime.now(UTC)
        )
        if self._evidence:
            log.info("the invites of %d guilds are known from the last start", len(self._evidence))
