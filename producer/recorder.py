"""The asyncio face of the sequencer: what the gateway and the commands call to have something recorded for good."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from redis.exceptions import RedisError

from joins.chain import Record, seal
from joins.durable import FolderLock, folder_id, make_folder
from joins.errors import InvalidRecord
from joins.json_format import to_line
from joins.lease import Lease
from joins.records import JOINS, MAX_RECORD_BYTES, normal
from joins.redis_url import Client
from joins.settings import Settings
from producer.outbox import Arrival, Outbox
from producer.publishing import Publishing
from producer.staff_registry import StaffRegistry

TAKE_OVER = 1.0  # seconds between tries to become the sequencer
STOP_SECONDS = 3.0  # how long `stop` tries to publish what waits
RELEASE_SECONDS = 0.5  # of the time to stop that is kept for giving the lease up
_log = logging.getLogger("producer.recorder")


class Recorder:
    """Records arrivals, joins and changes. What a method returned from is durable."""

    def __init__(self, publishing: Publishing, lock: FolderLock) -> None:
        self.publishing = publishing  # its `details` go into the process's report
        self._lock = lock

    @classmethod
    async def start(cls, settings: Settings, client: Client) -> Recorder:
        """Waits until this process is the one sequencer, and for the server. Raises FolderUnusable, SinkUnavailable."""
        folder = make_folder(settings.invite_logs_dir)
        # The outbox has one writer; and the lease is taken over at once from the same folder, whose lock says that its
        # holder is dead.
        lock = FolderLock(folder, "producer")
        told = False
        while not lock.acquire():
            told = await _wait_for_other(told)
        try:
            outbox = Outbox(folder / "outbox" / "outbox.jsonl")
            lease = Lease(client, "sequencer", folder_id(folder))
            publishing = Publishing(client, outbox, settings, lease)
            while not await _is_sequencer(publishing):
                told = await _wait_for_other(told or publishing.trouble is not None)
        except BaseException:
            lock.release()
            raise
        return cls(publishing, lock)

    async def stop(self, seconds: float = STOP_SECONDS + RELEASE_SECONDS) -> None:
        """Makes durable what was submitted, publishes what waits, for a moment, and gives the lease up."""
        patience = max(min(STOP_SECONDS, seconds - RELEASE_SECONDS), 0.0)
        # A thread of its own: those that others share may all wait for a server that hangs.
        own_thread = ThreadPoolExecutor(1, "stopping")
        await asyncio.get_running_loop().run_in_executor(own_thread, self.publishing.stop, patience)
        self._lock.release()

    def make_durable(self) -> None:
        """Returns when all that was submitted is on this disk; nothing is taken any more. For any thread."""
        self.publishing.sequencer.stop()

    @property
    def registry(self) -> StaffRegistry:
        """Who gets the credit for which code."""
        return self.publishing.registry

    async def arrived(self, arrival: Arrival) -> None:
        """Keeps a raw arrival on this disk, and in Redis as soon as it answers."""
        await asyncio.wrap_future(self.publishing.sequencer.submit_arrival(arrival))

    async def record(self, log: str, record: dict[str, Any]) -> str:
        """Records a join or a change, once however often it is given; gives its event id. Raises InvalidRecord."""
        sealed: Record = seal(normal(log, self.registry.without_erased(record)))
        if "event_id" in sealed or "hash" in sealed:
            raise InvalidRecord("event id and hash are the sequencer's and the sinks' to give")
        if (size := len(to_line(sealed))) > MAX_RECORD_BYTES:
            raise InvalidRecord(f"the record has {size} bytes; no sink takes more than {MAX_RECORD_BYTES}")
        return await asyncio.wrap_future(self.publishing.sequencer.submit(log, sealed))

    def unresolved(self) -> list[Arrival]:
        """Arrivals, from before this start too, that have no record yet."""
        return self.publishing.arrivals()

    def position(self) -> str:
        """The highest event id that any join has been given."""
        return self.publishing.position()

    async def published(self) -> dict[str, str] | None:
        """The last event id of each log's stream; None while a record waits to get there. Raises redis errors."""
        return await asyncio.to_thread(self.publishing.published)

    def recent(self, log: str = JOINS) -> Iterator[tuple[str, Record]]:
        """The records of a log that are in the outbox still, with their event ids, in order."""
        return self.publishing.recent(log)


async def _is_sequencer(publishing: Publishing) -> bool:
    """Whether another producer is not; asks until the server answers, as it may die between two of our questions."""
    told = False
    while True:
        try:
            return await asyncio.to_thread(publishing.start)
        except RedisError as error:
            if not told:
                _log.warning("the Redis server does not answer (%s); this producer begins when it does", error)
            told = True
            await asyncio.sleep(TAKE_OVER)


async def _wait_for_other(told: bool) -> bool:
    if not told:
        _log.warning("another producer is at work; this one takes over when it ends")
    await asyncio.sleep(TAKE_OVER)
    return True
