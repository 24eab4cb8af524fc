"""One serial worker a guild: joins that wait are one batch with one look at the invites; no join is ever dropped.

A look is repeated once after a short wait when it settles nothing, and as long as members keep coming, within bounds.
Afterwards, while a use is still owed, the worker looks again in quiet moments, so that a late use is not taken for
the next member's. The evidence moves forward only when its joins are recorded.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from producer import attribution as attributions
from producer import payloads
from producer.attribution import Attribution, attribute, is_settled
from producer.evidence import DEBT, Evidence, Waiting
from producer.payloads import Arrival
from producer.ports import FetchFailed, InviteSource
from producer.registrar import Registrar
from producer.snapshot import Invite, Snapshot

log = logging.getLogger("producer")

REMEMBERED_JOINS = 4096  # join ids kept to tell a doubled event from a second join
BACKOFF_CAP = 15.0  # seconds
OFFLINE_STEP = 0.1  # seconds between two glances at whether the gateway is back


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the worker waits for what, in seconds."""

    hold: float = 0.25  # after a look that settles: the event of a use that it showed may still be on its way
    recheck: float = 1.5  # before a second look: `uses` may lag behind the event
    settle: float = 10.0  # the longest that looks are repeated while members keep coming
    retry: float = 60.0  # the longest that joins wait for a list that cannot be fetched
    backoff: float = 1.0  # before a failed list is asked for again; doubled each time
    quiet: tuple[float, ...] = (5.0, 20.0, 45.0, DEBT.total_seconds() + 5)  # between looks while a use is owed
    refused: float = 300.0  # between looks at a guild that withholds its invites


@dataclass(slots=True)
class _Joining:
    arrival: Arrival
    waiting: Waiting
    durable: asyncio.Task[None]


class GuildWorker:
    """The joins of one guild. Its methods take gateway events, at once and in any number; `run` works them off."""

    def __init__(
        self,
        guild_id: str,
        source: InviteSource,
        registrar: Registrar,
        pace: Pace | None = None,
        fetching: asyncio.Semaphore | None = None,
    ) -> None:
        self.guild_id = guild_id
        self.evidence = Evidence()
        self._source, self._registrar, self._pace = source, registrar, pace or Pace()
        self._fetching = fetching or asyncio.Semaphore()  # shared by all guilds: a start must not be a flood
        self._joins: list[_Joining] = []
        self._bots: list[_Joining] = []
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._news: list[Callable[[Evidence], Evidence]] = []
        self._wake, self._hurry, self._online = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._empty = asyncio.Event()
        self._online.set()
        self._empty.set()
        self._outages = self._quiet_looks = 0
        self._next_look: float | None = None
        self._failing = False

    @property
    def pending(self) -> int:
        """How many joins wait to be recorded."""
        return len(self._joins) + len(self._bots)

    async def finished(self) -> None:
        """Until no join waits to be recorded."""
        await self._empty.wait()

    def join(self, arrival: Arrival, durable: bool = False) -> None:
        """GUILD_MEMBER_ADD. `durable`: it is one that an earlier start left in the outbox."""
        if arrival["join_id"] in self._seen:
            return
        self._seen[arrival["join_id"]] = None
        if len(self._seen) > REMEMBERED_JOINS:
            self._seen.popitem(last=False)
        task = asyncio.create_task(asyncio.sleep(0) if durable else self._registrar.arrived(arrival))
        (self._bots if arrival["bot"] else self._joins).append(_Joining(arrival, payloads.waiting(arrival), task))
        self._empty.clear()
        self._wake.set()

    def invite_created(self, invite: Invite) -> None:
        """INVITE_CREATE."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.created(invite, at))

    def invite_deleted(self, code: str, by_hand: bool = False) -> None:
        """INVITE_DELETE, or (`by_hand`) the audit log's entry of it."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.deleted(code, at, by_hand))

    def channel_deleted(self, channel_id: str) -> None:
        """CHANNEL_DELETE: its invites go silently."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.channel_deleted(channel_id, at))

    def offline(self) -> None:
        """The gateway is away: a look could show uses whose joins are not announced yet, so none is judged."""
        self._online.clear()
        self._outages += 1

    def online(self) -> None:
        """The gateway is back."""
        self._online.set()

    def resync(self, missed: bool) -> None:
        """Look soon. `missed`: the session is new, so events since the last look may be lost."""
        if missed:
            at = datetime.now(UTC)
            self._note(lambda evidence: evidence.missed(at))
        self._next_look = 0.0
        self._wake.set()

    def hurry(self) -> None:
        """The process stops: no more waiting for better evidence."""
        self._hurry.set()

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._due()
            try:
                await self._round()
            except Exception:
                log.exception("guild %s: a fault in attributing joins; they are recorded as unknown", self.guild_id)
                await self._record_unknown()

    async def _due(self) -> None:
        """Until a join waits, an event has come, or a look is due."""
        if self._joins or self._bots or self._news:
            return
        self._wake.clear()
        if self._next_look is None:
            await self._wake.wait()
            return
        try:
            await asyncio.wait_for(self._wake.wait(), max(self._next_look - _clock(), 0))
        except TimeoutError:
            return

    async def _round(self) -> None:
        self._take_news()
        await self._durable([*self._bots, *self._joins])
        if bots := list(self._bots):
            await self._registrar.record([(bot.arrival, attributions.bot(bot.waiting)) for bot in bots])
            self._done(self._bots, len(bots))
        if not self._joins and (self._next_look is None or self._next_look > _clock()):
            return
        alone = not self._joins
        after = await self._look()
        batch = list(self._joins)
        # No await between counting the joins and judging them: whoever has been announced by now is a claimant.
        found, moved = attribute(self.evidence, after, [joining.waiting for joining in batch])
        await self._durable(batch)
        await self._record(batch, found)
        self.evidence = moved
        self._plan(after, alone)

    async def _record(self, batch: list[_Joining], found: list[Attribution]) -> None:
        await self._registrar.record([(j.arrival, a) for j, a in zip(batch, found, strict=True)])
        self._done(self._joins, len(batch))

    async def _record_unknown(self) -> None:
        batch, bots, joins = [*self._bots, *self._joins], len(self._bots), len(self._joins)
        await self._durable(batch)
        await self._registrar.record([(j.arrival, attributions.unknown(j.waiting, attributions.ERROR)) for j in batch])
        owing = tuple(joining.waiting for joining in self._joins[:joins])
        self.evidence = Evidence(debtors=(*self.evidence.debtors, *owing))  # a baseline made of a fault proves nothing
        self._done(self._bots, bots)
        self._done(self._joins, joins)
        self._news.clear()
        self._next_look = _clock() + self._pace.quiet[0]

    def _done(self, joins: list[_Joining], count: int) -> None:
        del joins[:count]
        if self.pending == 0:
            self._empty.set()

    async def _durable(self, batch: list[_Joining]) -> None:
        if batch:
            await asyncio.wait([joining.durable for joining in batch])

    async def _look(self) -> Snapshot | None:
        """The snapshot to judge by: the first that settles the matter, or the last within the bounds."""
        began, looks = _clock(), 0
        while await self._is_online(began):
            known, outages = len(self._joins), self._outages
            after = await self._fetch_patiently(began)
            self._take_news()
            if self._outages != outages:
                continue  # it may show uses whose joins the gateway has yet to announce
            looks += 1
            if after is None or (self._settles(after) and await self._holds(after)):
                return after
            quiet = len(self._joins) == known
            if (looks > 1 and quiet) or _clock() - began >= self._pace.settle or self._hurry.is_set():
                return after
            await self._pause(self._pace.recheck)
        return None

    def _settles(self, after: Snapshot) -> bool:
        return is_settled(self.evidence, after, [joining.waiting for joining in self._joins])

    async def _holds(self, after: Snapshot) -> bool:
        """Whether the look still settles everything once the events that lag behind it had time to come."""
        if not self.evidence.baseline or not self._joins:
            return True  # there is nobody to name anything for
        outages = self._outages
        await self._pause(self._pace.hold)
        self._take_news()
        return self._outages == outages and self._settles(after)

    async def _is_online(self, began: float) -> bool:
        """Waits for the gateway, within bounds; whether it is there."""
        while not self._online.is_set() and not self._hurry.is_set() and _clock() - began < self._pace.retry:
            await self._pause(OFFLINE_STEP)
        return self._online.is_set()

    async def _fetch_patiently(self, began: float) -> Snapshot | None:
        """The invites, asked for again and again until `retry` seconds have passed; then None."""
        delay = self._pace.backoff
        while True:
            left = self._pace.retry - (_clock() - began)
            try:
                async with self._fetching, asyncio.timeout(max(left, 1.0)):
                    after = await self._source.fetch(self.guild_id)
            except (FetchFailed, TimeoutError) as error:
                if not self._failing:
                    log.warning("%s; trying again", str(error) or f"guild {self.guild_id}: no answer from Discord")
                self._failing = True
            else:
                if self._failing:
                    log.info("guild %s: its invites can be read again", self.guild_id)
                self._failing = False
                return after
            if _clock() - began + delay > self._pace.retry or self._hurry.is_set():
                return None
            await self._pause(delay * random.uniform(0.75, 1.25))
            delay = min(delay * 2, BACKOFF_CAP)

    def _note(self, change: Callable[[Evidence], Evidence]) -> None:
        self._news.append(change)
        self._wake.set()

    def _take_news(self) -> None:
        news, self._news = self._news, []
        for change in news:
            self.evidence = change(self.evidence)

    def _plan(self, after: Snapshot | None, alone: bool) -> None:
        """When to look again although nobody has joined."""
        self._quiet_looks = self._quiet_looks + 1 if alone else 0
        delay = self._pace.quiet[min(self._quiet_looks, len(self._pace.quiet) - 1)]
        if after is not None and not after.permitted:
            self._next_look = _clock() + self._pace.refused
        elif after is None or self.evidence.debtors or self.evidence.gap:
            self._next_look = _clock() + delay
        else:
            self._next_look = None

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but not once the process is told to stop."""
        try:
            await asyncio.wait_for(self._hurry.wait(), seconds)
        except TimeoutError:
            return


def _clock() -> float:
    return asyncio.get_running_loop().time()
