"""Who added a bot: the audit log says so, as an event around the time at which the bot joins, and on being asked.

The event may come before the bot, after it, or never; without *View Audit Log* neither says anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import discord

from joins.records import moment
from producer import payloads
from producer.payloads import Arrival
from producer.rest import FAILURES

WAIT = 2.0  # seconds that the event may come after the bot
ANSWER = 10.0  # seconds that Discord may take to show the audit log
SAME = timedelta(minutes=1)  # an entry further from the bot's joining is about an earlier stay
ENTRIES = 50  # looked at, newest first
REMEMBERED = 256  # events kept for bots that are yet to come
log = logging.getLogger("producer")

Key = tuple[str, str]


class BotAdders:
    """For all guilds of `client`. `audited` takes the events; `of` answers for one bot."""

    def __init__(self, client: discord.Client, wait: float = WAIT) -> None:
        self._client, self._wait = client, wait
        self._heard: OrderedDict[Key, tuple[str, datetime]] = OrderedDict()
        self._asking: dict[Key, asyncio.Event] = {}

    def audited(self, entry: Mapping[str, Any]) -> None:
        """GUILD_AUDIT_LOG_ENTRY_CREATE, of any kind."""
        added = payloads.added_bot(entry)
        if added is None:
            return
        bot_id, adder_id, at = added
        key = (str(entry["guild_id"]), bot_id)
        self._heard[key] = (adder_id, at)
        if len(self._heard) > REMEMBERED:
            self._heard.popitem(last=False)
        if asking := self._asking.get(key):
            asking.set()

    async def of(self, arrival: Arrival) -> str | None:
        """The id of whoever added this bot, or None when that cannot be known. Takes some seconds; never raises."""
        key, joined_at = (arrival["guild_id"], arrival["user_id"]), moment(arrival["timestamp"])
        if not self._may_look(arrival["guild_id"]):
            return None
        if adder := self._told(key, joined_at):
            return adder
        asking = self._asking.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(self._wait):
                await asking.wait()
        except TimeoutError:
            pass
        finally:
            self._asking.pop(key, None)
        return self._told(key, joined_at) or await self._looked_up(key, joined_at)

    def _told(self, key: Key, joined_at: datetime) -> str | None:
        adder_id, at = self._heard.get(key, (None, joined_at))
        return adder_id if abs(at - joined_at) <= SAME else None

    async def _looked_up(self, key: Key, joined_at: datetime) -> str | None:
        guild_id, bot_id = key
        try:
            async with asyncio.timeout(ANSWER):
                answer: Any = await self._client.http.get_audit_logs(
                    int(guild_id), limit=ENTRIES, action_type=payloads.BOT_ADDED
                )
            added = map(payloads.added_bot, answer["audit_log_entries"])
            fitting = (one[1] for one in added if one and one[0] == bot_id and abs(one[2] - joined_at) <= SAME)
            return next(fitting, None)
        except (*FAILURES, KeyError, TypeError, ValueError) as error:
            log.info("guild %s: who added bot %s is not known: %s", guild_id, bot_id, error or type(error).__name__)
            return None

    def _may_look(self, guild_id: str) -> bool:
        guild = self._client.get_guild(int(guild_id))
        return guild is None or guild.me is None or guild.me.guild_permissions.view_audit_log
