"""One serial worker a guild: joins that wait are one batch with one look at the invites; no join is ever dropped.

While a use is still owed after that, the worker looks again in quiet moments, so that a late use is not taken for the
next member's. The evidence moves forward only when its joins are recorded.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from producer import attribution as attributions
from producer import payloads
from producer.attribution import Attribution, attribute, is_settled, rests_on_a_deletion
from producer.evidence import Evidence, Waiting
from producer.looking import Looking, Pace
from producer.payloads import Arrival
from producer.ports import Adders, InviteSource
from producer.registrar import Registrar
from producer.snapshot import Invite, Snapshot

log = logging.getLogger("producer")

REMEMBERED_JOINS = 4096  # join ids kept to tell a doubled event from a second join


@dataclass(slots=True)
class _Joining:
    arrival: Arrival
    waiting: Waiting
    durable: asyncio.Task[None]
    settled: Attribution | None = None  # not by the difference, of which it claims a use all the same


class GuildWorker:
    """The joins of one guild. Its methods take gateway events, at once and in any number; `run` works them off."""

    def __init__(
        self,
        guild_id: str,
        source: InviteSource,
        registrar: Registrar,
        pace: Pace | None = None,
        fetching: asyncio.Semaphore | None = None,
        evidence: Evidence | None = None,
        keep: Callable[[str, Evidence], None] | None = None,
        adders: Adders | None = None,
    ) -> None:
        """`keep` is given the evidence whenever the joins judged with it are durable; `adders` know who added a bot."""
        self.guild_id = guild_id
        self.evidence, self._keep = evidence or Evidence(), keep
        self._registrar, self._pace = registrar, pace or Pace()
        self._looking = Looking(guild_id, source, self._pace, fetching or asyncio.Semaphore())
        self._joins: list[_Joining] = []
        self._bots: list[_Joining] = []
        self._adders, self._recording_bots = adders, set[asyncio.Task[None]]()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._news: list[Callable[[Evidence], Evidence]] = []
        self._wake, self._empty = asyncio.Event(), asyncio.Event()
        self._empty.set()
        self._left = False  # whether the joins that wait are the next start's
        self._quiet_looks = 0
        self._next_look: float | None = None
        self._permitted_at: datetime | None = None  # when the bot was last seen to have the permission

    @property
    def pending(self) -> int:
        """How many joins wait to be recorded."""
        return len(self._joins) + len(self._bots)

    async def finished(self) -> None:
        """Until no join waits to be recorded, or those that wait are left to the next start."""
        await self._empty.wait()

    def join(self, arrival: Arrival, durable: bool = False, settled: Attribution | None = None) -> None:
        """GUILD_MEMBER_ADD. `durable`: it is one that an earlier start left in the outbox."""
        if arrival["join_id"] in self._seen:
            return
        self._seen[arrival["join_id"]] = None
        if len(self._seen) > REMEMBERED_JOINS:
            self._seen.popitem(last=False)
        self._registrar.heard(arrival)
        task = asyncio.create_task(asyncio.sleep(0) if durable else self._registrar.arrived(arrival))
        joining = _Joining(arrival, payloads.waiting(arrival), task, settled)
        if not self._left:
            self._empty.clear()
        if arrival["bot"]:
            self._bots.append(joining)
            recording = asyncio.create_task(self._record_bot(joining))
            self._recording_bots.add(recording)
            recording.add_done_callback(self._recording_bots.discard)
            return
        self._joins.append(joining)
        self._wake.set()

    async def found(self, missed: Sequence[tuple[Arrival, Attribution | None]], at: datetime | None) -> None:
        """Members whom no event announced; `at`: with them everybody is known who joined until then.

        Returns when they are durable.
        """
        for arrival, settled in missed:
            self.join(arrival, settled=settled)
        if at is not None:
            self._note(lambda evidence: evidence.reconciled(at))
        await self._durable([*self._bots, *self._joins])

    def invite_created(self, invite: Invite) -> None:
        """INVITE_CREATE."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.created(invite, at))

    def invite_deleted(self, code: str, by_hand: bool = False) -> None:
        """INVITE_DELETE, or (`by_hand`) the audit log's entry of it."""
        at, replayed = datetime.now(UTC), not self._looking.is_online
        # When a replayed deletion happened is not known, so it is no proof that the invite was used up.
        self._note(lambda evidence: evidence.deleted(code, at, by_hand or replayed))

    def channel_deleted(self, channel_id: str) -> None:
        """CHANNEL_DELETE: its invites go silently."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.channel_deleted(channel_id, at))

    def unwatched(self) -> None:
        """The bot may not hear of every deletion now."""
        at = datetime.now(UTC)
        self._note(lambda evidence: evidence.unwatched(at))

    def offline(self) -> None:
        """The gateway is away: a look could show uses whose joins are not announced yet, so none is judged."""
        self._looking.offline()

    def online(self) -> None:
        """The gateway is back."""
        self._looking.online()

    def resync(self, missed: bool) -> None:
        """Look soon. `missed`: the session is new, so events since the last look may be lost."""
        if missed:
            at = datetime.now(UTC)
            self._note(lambda evidence: evidence.missed(at))
        self._next_look = 0.0
        self._wake.set()

    def permitted(self) -> None:
        """The bot may read the invites: a look that was refused is repeated at once, so that the next join is known."""
        self._permitted_at = datetime.now(UTC)
        if self.evidence.baseline is not None and not self.evidence.baseline.permitted:
            self.resync(missed=False)

    def hurry(self) -> None:
        """The process stops: joins that cannot be judged now are left to the next start; the proof asked for stays."""
        self._looking.hurry()

    def forget(self) -> None:
        """The bot is no longer in the guild: joins that wait are recorded, proving nothing, and `run` ends."""
        self._keep = None  # the evidence of the guild is another worker's, should the bot come back
        self._looking.end()
        self._wake.set()

    async def run(self) -> None:
        """Works until it is cancelled, or the guild is forgotten or the process stops and there is no more to do."""
        try:
            while not self._left and (self.pending or not self._looking.has_ended):
                await self._due()
                try:
                    await self._round()
                except Exception:
                    log.exception("guild %s: a fault in attributing joins; they are recorded as unknown", self.guild_id)
                    await self._record_unknown()
        finally:
            for recording in self._recording_bots:
                recording.cancel()

    async def _due(self) -> None:
        """Until a join waits, an event has come, or a look is due."""
        if self._joins or self._news:
            return
        self._wake.clear()
        if self._next_look is None:
            await self._wake.wait()
            return
        try:
            # Not `wait_for`: up to Python 3.11 it may swallow a cancellation that comes together with the event.
            async with asyncio.timeout(max(self._next_look - self._clock(), 0)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _round(self) -> None:
        self._take_news()
        await self._durable(list(self._joins))
        if not self._joins and (self._next_look is None or self._next_look > self._clock()):
            return
        alone = not self._joins
        after = await self._looking.look(self._settles, self._doubts, lambda: len(self._joins))
        if after is None and self._looking.gives_up:
            self._leave()
            return
        batch = list(self._joins)
        # No await between counting the joins and judging them: whoever has been announced by now is a claimant.
        found, moved = attribute(self.evidence, after, [joining.waiting for joining in batch])
        await self._durable(batch)
        found = [joining.settled or attribution for joining, attribution in zip(batch, found, strict=True)]
        await self._record(batch, found)
        self._move_on(moved)
        self._plan(after, alone)

    async def _record(self, batch: list[_Joining], found: list[Attribution]) -> None:
        await self._registrar.record([(j.arrival, a) for j, a in zip(batch, found, strict=True)])
        self._done(len(batch))
        for (method, confidence), count in Counter((a.method, a.confidence) for a in found).items():
            log.info("guild %s: %d joined (%s, %s)", self.guild_id, count, confidence, method)

    async def _record_unknown(self) -> None:
        batch = list(self._joins)
        await self._durable(batch)
        await self._registrar.record([(j.arrival, attributions.unknown(j.waiting, attributions.ERROR)) for j in batch])
        owing = tuple(joining.waiting for joining in batch)
        self._move_on(Evidence(debtors=(*self.evidence.debtors, *owing)))  # a baseline made of a fault proves nothing
        self._done(len(batch))
        self._news.clear()
        self._next_look = self._clock() + self._pace.quiet[0]

    def _move_on(self, evidence: Evidence) -> None:
        self.evidence = evidence
        if self._keep:
            self._keep(self.guild_id, evidence)

    async def _record_bot(self, bot: _Joining) -> None:
        """A bot uses no invite, so nobody waits for it while it is found out who added it."""
        await self._durable([bot])
        if not await self._looking.reached() and self._looking.gives_up:
            self._leave()
            return
        added_by = None
        try:
            added_by = await self._adders.of(bot.arrival) if self._adders else None
        except Exception:
            log.exception("guild %s: a fault in finding who added a bot", self.guild_id)
        await self._registrar.record([(bot.arrival, attributions.bot(bot.waiting, added_by))])
        self._bots.remove(bot)
        log.info("guild %s: a bot was added by %s", self.guild_id, added_by or "somebody not known")
        self._done(0)

    def _done(self, count: int) -> None:
        del self._joins[:count]
        if self.pending == 0:
            self._empty.set()
            self._wake.set()

    def _leave(self) -> None:
        self._left = True
        self._empty.set()
        self._wake.set()

    async def _durable(self, batch: list[_Joining]) -> None:
        if batch:
            await asyncio.wait([joining.durable for joining in batch])

    def _settles(self, after: Snapshot) -> bool:
        """Whether `after` tells all there is to tell, with every event that has come by now."""
        self._take_news()
        return is_settled(self.evidence, after, [joining.waiting for joining in self._joins])

    def _doubts(self, after: Snapshot) -> bool:
        """Whether the audit log may yet tell against what `after` settles."""
        return rests_on_a_deletion(self.evidence, after, [joining.waiting for joining in self._joins])

    def _note(self, change: Callable[[Evidence], Evidence]) -> None:
        self._news.append(change)
        self._wake.set()

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    def _take_news(self) -> None:
        news, self._news = self._news, []
        for change in news:
            self.evidence = change(self.evidence)

    def _plan(self, after: Snapshot | None, alone: bool) -> None:
        """When to look again although nobody has joined."""
        self._quiet_looks = self._quiet_looks + 1 if alone else 0
        delay = self._pace.quiet[min(self._quiet_looks, len(self._pace.quiet) - 1)]
        if after is not None and not after.permitted:
            granted_meanwhile = self._permitted_at is not None and after.taken_at <= self._permitted_at
            self._next_look = 0.0 if granted_meanwhile else self._clock() + self._pace.refused
        elif after is None or self.evidence.debtors or self.evidence.gap:
            self._next_look = self._clock() + delay
        else:
            self._next_look = None
