"""Posts what is wrong into the alerts channel: once a trouble and once when it is over, also across restarts.

What was said stands in Redis. A channel that cannot be posted to is said in the log once; joins go on either way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import discord
from redis.exceptions import RedisError

from joins import dead_letters, keys, process_report, verified
from joins.redis_url import Client
from joins.scripts import text
from producer import troubles
from producer.alerts import Known, Memory, decide, restarted
from producer.member_search import SearchState
from producer.outbox_alarm import Backlog
from producer.rest import FAILURES
from producer.troubles import Seen

log = logging.getLogger("producer.alerting")

START = 1.0  # seconds between two glances at whether the client is ready


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between two looks, each of at most one message; and until a channel that refused is tried again."""

    every: float = 10.0
    refused: float = 600.0


class Alerting:
    """The alerts of one process.

    `search_state` tells how a guild's member search is, `backlog` what waits in the outbox.
    """

    def __init__(
        self,
        client: discord.Client,
        redis: Client,
        channel_id: str,
        search_state: Callable[[str], SearchState],
        rhythm: Rhythm | None = None,
        backlog: Callable[[], Backlog] | None = None,
    ) -> None:
        self._client, self._redis, self._channel_id = client, redis, int(channel_id)
        self._search_state, self._rhythm, self._backlog = search_state, rhythm or Rhythm(), backlog
        self._memory: Memory | None = None
        self._notices: list[str] = []  # what is to be said besides
        self._anchored: str | None = None  # the day whose anchors are among them
        self._unsaved = False
        self._redis_away: float | None = None
        self._not_before = 0.0
        self._complained = False

    async def run(self) -> None:
        """Looks and posts until it is cancelled."""
        while True:
            await asyncio.sleep(self._rhythm.every if self._client.is_ready() else min(self._rhythm.every, START))
            try:
                await self._look()
            except Exception:
                log.exception("a fault in looking for troubles")

    async def _look(self) -> None:
        if not self._client.is_ready() or time.time() < self._not_before:
            return
        now, at = self._of_guilds(), time.time()
        if self._backlog is not None:
            now |= troubles.of_outbox(self._backlog())
        try:
            now |= await asyncio.to_thread(self._of_redis)
        except RedisError:
            self._redis_away = self._redis_away or at
        else:
            if self._redis_away is not None and at - self._redis_away >= troubles.REDIS_PATIENCE:
                self._notices.append(troubles.redis_was_away(at - self._redis_away))
            self._redis_away = None
        if self._memory is None:
            return  # what was said before is not known yet
        memory, lines = decide(self._memory, now, at, self._notices)
        if lines and not await self._post("\n".join(lines)):
            return  # nothing was said, so all of it is still to be said
        self._unsaved = self._unsaved or memory != self._memory
        self._memory, self._notices = memory, []
        if self._anchored is not None:
            await asyncio.to_thread(self._note_anchored)
        if self._unsaved and self._redis_away is None:
            await asyncio.to_thread(self._save)

    def _of_guilds(self) -> Seen:
        found: Seen = {}
        for guild in self._client.guilds:
            if guild.unavailable or guild.me is None:
                continue
            guild_id = str(guild.id)
            found |= troubles.of_permissions(guild_id, guild.name, guild.me.guild_permissions.value)
            search = self._search_state(guild_id)
            found |= troubles.of_search(guild_id, guild.name, search.state, search.reason)
        return found

    def _of_redis(self) -> Seen:
        """What Redis tells; takes over what was said before, unless this process knows better."""
        if self._memory is None:
            self._memory = restarted(self._load())
        elif not self._unsaved:
            self._memory = self._load()
        reports, outcome = process_report.read(self._redis, keys.SINKS), verified.read(self._redis)
        if outcome is not None and outcome.anchors and self._anchored is None:
            said = self._redis.get(keys.ANCHORED)
            if said is None or text(said) != outcome.day:
                self._anchored = outcome.day
                self._notices.append(troubles.anchored(outcome))
        found = troubles.of_sinks(reports) | troubles.of_dead_letters(dead_letters.open_count(self._redis))
        return found | troubles.of_verified(outcome, time.time())

    def _note_anchored(self) -> None:
        with contextlib.suppress(RedisError):  # then they are said again
            self._redis.set(keys.ANCHORED, self._anchored or "")
        self._anchored = None

    def _load(self) -> dict[str, Known]:
        try:
            stored: Any = json.loads(text(self._redis.get(keys.ALERTS) or b"{}"))
            return {key: Known(**known) for key, known in stored.items()}
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("what was said before cannot be read, and may be said again: %s", error)
            return {}

    def _save(self) -> None:
        try:
            self._redis.set(keys.ALERTS, json.dumps({key: asdict(k) for key, k in (self._memory or {}).items()}))
            self._unsaved = False
        except RedisError as error:
            log.info("what was said is kept in memory until Redis answers: %s", error)

    async def _post(self, content: str) -> bool:
        """Whether it was posted."""
        channel = self._client.get_partial_messageable(self._channel_id)
        try:
            await channel.send(content, allowed_mentions=discord.AllowedMentions.none(), suppress_embeds=True)
        except FAILURES as error:
            if isinstance(error, discord.HTTPException) and error.status < 429:
                self._not_before = time.time() + self._rhythm.refused
            if not self._complained:
                log.error(
                    "alerts cannot be posted to the channel %s (%s): check ALERTS_CHANNEL_ID, and that the bot has "
                    "View Channel and Send Messages there",
                    self._channel_id,
                    error,
                )
            self._complained = True
            return False
        if self._complained:
            log.info("alerts can be posted again")
        self._complained = False
        return True
