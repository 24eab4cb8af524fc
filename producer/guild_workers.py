"""All guilds' workers: each is made with its guild's first event, and all are stopped together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from producer.evidence import Evidence
from producer.guild_worker import GuildWorker
from producer.looking import Pace
from producer.payloads import Arrival
from producer.ports import Adders, InviteSource
from producer.registrar import Registrar

FETCHES_AT_ONCE = 8  # lists of invites asked for at the same moment, over all guilds


class GuildWorkers:
    """The workers by guild id, and their tasks."""

    def __init__(
        self,
        source: InviteSource,
        registrar: Registrar,
        pace: Pace | None = None,
        evidence: Mapping[str, Evidence] | None = None,
        keep: Callable[[str, Evidence], None] | None = None,
        adders: Adders | None = None,
    ) -> None:
        """`evidence` is what an earlier start left of each guild, `keep` where it goes for the next."""
        self._source, self._registrar, self._pace = source, registrar, pace
        self._evidence, self._keep, self._adders = dict(evidence or {}), keep, adders
        self.born_offline = False  # whether a guild's joins wait until somebody says that all are known
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._workers: dict[str, GuildWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._forgotten: dict[asyncio.Task[None], GuildWorker] = {}  # they finish the joins that wait

    def of(self, guild_id: str) -> GuildWorker:
        """The guild's worker, made at first sight."""
        if guild_id not in self._workers:
            worker = GuildWorker(
                guild_id,
                self._source,
                self._registrar,
                self._pace,
                self._fetching,
                self._evidence.pop(guild_id, None),
                self._keep,
                self._adders,
            )
            if self.born_offline:
                worker.offline()
            self._workers[guild_id] = worker
            self._tasks[guild_id] = asyncio.create_task(worker.run(), name=f"guild {guild_id}")
        return self._workers[guild_id]

    def known(self) -> Iterable[GuildWorker]:
        """Every worker there is."""
        return list(self._workers.values())

    def adopt(self, arrivals: Iterable[Arrival]) -> None:
        """Joins that an earlier start left without a record: they wait for the gateway, then are recorded."""
        for arrival in arrivals:
            known = arrival["guild_id"] in self._workers
            worker = self.of(arrival["guild_id"])
            if not known:
                worker.offline()
            worker.join(arrival, durable=True)

    def forget(self, guild_id: str) -> None:
        """The bot is no longer in this guild; joins that still wait are recorded as they stand, aside.

        Should it come back, that is another worker's, which knows nothing of the time before.
        """
        worker, task = self._workers.pop(guild_id, None), self._tasks.pop(guild_id, None)
        if worker is None or task is None:
            return
        worker.forget()
        if worker.pending == 0:
            task.cancel()
            return
        self._forgotten[task] = worker
        task.add_done_callback(lambda task: self._forgotten.pop(task, None))

    async def stop(self, patience: float) -> int:
        """Finishes the joins that wait within `patience` seconds, then ends; how many remain in the outbox."""
        for worker in self.known():
            worker.hurry()
        workers = [*self.known(), *self._forgotten.values()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(worker.finished() for worker in workers)), patience)
        remaining = sum(worker.pending for worker in workers)
        tasks = [*self._tasks.values(), *self._forgotten]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.clear()
        self._tasks.clear()
        return remaining
