"""Looking at a guild's invites until the look settles what joins it can, within bounds of time and only while online.

A look is repeated once after a short wait when it settles nothing, and further as long as members keep coming.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from joins.errors import FetchFailed
from producer.evidence import DEBT
from producer.ports import InviteSource
from producer.snapshot import Snapshot

log = logging.getLogger("producer")

BACKOFF_CAP = 15.0  # seconds
OFFLINE_STEP = 0.25  # seconds between two glances at whether the gateway is back


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a guild's worker waits for what, in seconds."""

    hold: float = 0.25  # after a look that settles: the event of a use that it showed may still be on its way
    audit: float = 2.0  # where an invite's end names it: the audit log's entry of a deletion by hand comes after it
    recheck: float = 1.5  # before a second look: `uses`, or an invite that is new, may lag behind the event
    settle: float = 10.0  # the longest that looks are repeated while members keep coming
    retry: float = 60.0  # the longest that joins wait for a list that cannot be fetched
    backoff: float = 1.0  # before a failed list is asked for again; doubled each time
    quiet: tuple[float, ...] = (5.0, 20.0, 45.0, DEBT.total_seconds() + 5)  # between looks while a use is owed
    refused: float = 300.0  # between looks at a guild that withholds its invites


class Looking:
    """One guild's looks. `settles` says of a snapshot whether another could tell more; `count`, how many wait.

    `doubts` says whether the audit log may yet tell against what it settles.
    """

    def __init__(self, guild_id: str, source: InviteSource, pace: Pace, fetching: asyncio.Semaphore) -> None:
        self._guild_id, self._source, self._pace = guild_id, source, pace
        self._fetching = fetching  # shared by all guilds: a start must not be a flood
        self._online, self._hurry = asyncio.Event(), asyncio.Event()
        self._online.set()
        self._outages = 0
        self._failing = self._ended = False

    @property
    def is_online(self) -> bool:
        """Whether the gateway is there; what comes while it is not is a replay of what happened before."""
        return self._online.is_set()

    def offline(self) -> None:
        """The gateway is away: a look could show uses whose joins are not announced yet, so none is given."""
        self._online.clear()
        self._outages += 1

    def online(self) -> None:
        """The gateway is back."""
        if not self._ended:
            self._online.set()

    def hurry(self) -> None:
        """No more waiting for a gateway or a list that is away. What a look must show to prove anything stays."""
        self._hurry.set()

    def end(self) -> None:
        """The bot is no longer in the guild: its events have ended, so no look proves anything any more."""
        self.offline()
        self._ended = True
        self._hurry.set()

    @property
    def has_ended(self) -> bool:
        """Whether the bot is no longer in the guild."""
        return self._ended

    @property
    def gives_up(self) -> bool:
        """Whether a look that is not given is for the next start to take."""
        return self._hurry.is_set() and not self._ended

    async def reached(self) -> bool:
        """Waits for the gateway, within bounds; whether it is there."""
        return await self._is_online(_clock())

    async def look(
        self, settles: Callable[[Snapshot], bool], doubts: Callable[[Snapshot], bool], count: Callable[[], int]
    ) -> Snapshot | None:
        """The first snapshot that settles the matter, or the last within the bounds; None when there is none."""
        began, looks = _clock(), 0
        while await self._is_online(began):
            known, outages = count(), self._outages
            after = await self._fetch_patiently(began)
            if self._outages != outages:
                continue  # it may show uses whose joins the gateway has yet to announce
            looks += 1
            if after is None or (settles(after) and await self._holds(after, settles, doubts, count)):
                return after
            if self._outages != outages:
                continue
            quiet = count() == known
            if (looks > 1 and quiet) or _clock() - began >= self._pace.settle:
                return after
            await asyncio.sleep(self._pace.recheck)
        return None

    async def _holds(
        self,
        after: Snapshot,
        settles: Callable[[Snapshot], bool],
        doubts: Callable[[Snapshot], bool],
        count: Callable[[], int],
    ) -> bool:
        """Whether the look still settles everything once the events that lag behind it had time to come."""
        if not count():
            return True  # there is nobody to name anything for
        outages = self._outages
        await asyncio.sleep(self._pace.hold)  # in full, even when the process stops: less proves nothing
        if after.audited and settles(after) and doubts(after):
            await asyncio.sleep(self._pace.audit)
        return self._outages == outages and settles(after)

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
                    after = await self._source.fetch(self._guild_id)
            except (FetchFailed, TimeoutError) as error:
                if not self._failing:
                    log.warning("%s; trying again", str(error) or f"guild {self._guild_id}: no answer from Discord")
                self._failing = True
            else:
                if self._failing:
                    log.info("guild %s: its invites can be read again", self._guild_id)
                self._failing = False
                return after
            if _clock() - began + delay > self._pace.retry or self._hurry.is_set():
                return None
            await self._pause(delay * random.uniform(0.75, 1.25))
            delay = min(delay * 2, BACKOFF_CAP)

    async def _pause(self, seconds: float) -> None:
        """Sleeps, but not once the process is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return


def _clock() -> float:
    return asyncio.get_running_loop().time()
