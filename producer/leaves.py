"""Members who leave: each a change that names the join it ends, where that is known, and the time spent.

Here come those whose leave was heard; of whoever left while nobody listened `unheard_leaves` knows less.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from joins.chain import Record
from joins.errors import PermanentError
from joins.records import CHANGES, moment, timestamp
from producer.known_joins import Known, KnownJoins
from producer.ports import Recorder

DOUBLED = timedelta(minutes=1)  # a second event about the same member within this is the same leave
REMEMBERED = 4096  # leaves kept to tell a doubled event
BACKOFF_CAP = 10.0  # seconds
log = logging.getLogger("producer")


@dataclass(frozen=True, slots=True)
class _Leave:
    guild_id: str
    user_id: str
    at: datetime
    join: Known | None  # what was in memory when the member left


class Leaves:
    """Takes leaves, at once and in any number; `run` records them one by one.

    `told` is called with the guild and the user of every leave, before it is recorded.
    """

    def __init__(self, recorder: Recorder, known: KnownJoins, told: Callable[[str, str], None] | None = None) -> None:
        self._recorder, self._known, self._told = recorder, known, told
        self._queue: asyncio.Queue[_Leave] = asyncio.Queue()
        self._left: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._complained = False

    def left(self, guild_id: str, user_id: str, at: datetime) -> None:
        """GUILD_MEMBER_REMOVE."""
        before = self._left.pop((guild_id, user_id), None)
        self._left[guild_id, user_id] = at
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if before is not None and at - before < DOUBLED:
            return
        if self._told:
            self._told(guild_id, user_id)
        # Now, since a member may be back before this leave is recorded.
        self._queue.put_nowait(_Leave(guild_id, user_id, at, self._known.recent(guild_id, user_id)))

    def came(self, guild_id: str, user_id: str) -> None:
        """GUILD_MEMBER_ADD: the member's next leave is another one."""
        self._left.pop((guild_id, user_id), None)

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            leave = await self._queue.get()
            try:
                await self._record(leave)
            except Exception:
                log.exception("guild %s: a fault in recording that %s left", leave.guild_id, leave.user_id)
            finally:
                self._queue.task_done()

    async def finished(self) -> None:
        """Until every leave is recorded."""
        await self._queue.join()

    def has_heard(self, join: Known) -> bool:
        """Whether the end of this stay was heard, as far as is remembered: its change is recorded here."""
        at = self._left.get((join.guild_id, join.user_id))
        return at is not None and at >= moment(join.timestamp)

    async def unheard(self, change: Record) -> None:
        """Records a leave that no event told; returns when it is durable."""
        if self._told:
            self._told(change["guild_id"], change["user_id"])
        await self._keep(change)

    async def _record(self, leave: _Leave) -> None:
        join = leave.join or await self._known.latest(leave.guild_id, leave.user_id)
        await self._keep(_change(leave, join))

    async def _keep(self, change: Record) -> None:
        delay = 0.25
        while True:
            try:
                await self._recorder.record(CHANGES, change)
            except PermanentError:
                raise
            except Exception as error:
                if not self._complained:
                    log.error("leaves cannot be recorded just now, and wait: %s", error)
                self._complained = True
                delay = min(delay * 2, BACKOFF_CAP)
                await asyncio.sleep(delay * random.uniform(0.75, 1.25))
            else:
                self._complained = False
                return


def change_id(ends: str) -> str:
    """The id of the leave that ends a stay, named by its join's id: whoever finds it, it is one change."""
    return sha256(f"{ends}/member_left".encode()).hexdigest()[:32]


def _change(leave: _Leave, join: Known | None) -> Record:
    """A join ends once, so the change of a known one follows from it: the same event twice is one change."""
    left_at = timestamp(leave.at)
    ends = join.join_id if join else f"{leave.guild_id}/{leave.user_id}/{left_at}"
    change: Record = {
        "recorded_at": timestamp(datetime.now(UTC)),
        "change": "member_left",
        "change_id": change_id(ends),
        "join_id": join.join_id if join else None,
        "guild_id": leave.guild_id,
        "user_id": leave.user_id,
        "left_at": left_at,
    }
    if join:
        # Discord's clock and ours may differ a little.
        change["time_spent_seconds"] = max(int((leave.at - moment(join.timestamp)).total_seconds()), 0)
    return change
