"""How this process and its guilds stand, for `/invite_status`: permissions, the last look, member search, the sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import discord
from redis.exceptions import RedisError

import commands
from joins import keys, permissions, process_report
from joins.redis_url import Client
from producer.guild_workers import GuildWorkers
from producer.member_search import SearchState


class Condition:
    """`search_state` tells how a guild's member search is."""

    def __init__(
        self,
        client: discord.Client,
        workers: GuildWorkers,
        redis: Client,
        search_state: Callable[[str], SearchState],
    ) -> None:
        self._client, self._workers, self._redis, self._search_state = client, workers, redis, search_state

    def guild(self, guild_id: str) -> commands.GuildState:
        """What is known of a guild now."""
        guild = self._client.get_guild(int(guild_id))
        missing = permissions.missing(guild.me.guild_permissions.value) if guild and guild.me else None
        worker = next((worker for worker in self._workers.known() if worker.guild_id == guild_id), None)
        baseline = worker.evidence.baseline if worker else None
        read_at = baseline.taken_at if baseline and baseline.permitted else None
        search = self._search_state(guild_id)
        return commands.GuildState(missing, read_at, search.state, search.reason)

    async def sinks(self) -> Sequence[commands.SinkState] | None:
        """How the four copies are; None when Redis does not answer."""
        try:
            reports = await asyncio.to_thread(process_report.read, self._redis, keys.SINKS)
        except RedisError:
            return None
        return [
            commands.SinkState(name, report.state, report.reason or report.details.get("undone"), report.since)
            if (report := reports.get(name))
            else commands.SinkState(name, "gone", "no consumer reports")
            for name in keys.SINKS
        ]
