"""The whole producer in this process, to be stopped and started again while a sandbox Discord goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from joins import keys
from joins.chain import Record
from joins.records import JOINS
from joins.redis_url import Client
from joins.settings import Settings
from ops.sandbox import Sandbox
from producer import __main__ as process
from producer.reconciling import Reconciling


class Bot:
    """`start` and `stop` as often as a test likes."""

    def __init__(self, sandbox: Sandbox, client: Client, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.sandbox, self._client, self._settings = sandbox, client, settings
        self.reconciling: Reconciling
        self._stopping: process.Stopping
        self._task: asyncio.Task[None] | None = None
        bot = self

        class Seen(Reconciling):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                bot.reconciling = self

        patch.setattr(process, "Reconciling", Seen)

    async def start(self) -> None:
        """Runs it until every guild is reconciled."""
        self._stopping = process.Stopping()
        self._task = asyncio.create_task(process.serve(self._settings, self._stopping))
        await self.sandbox.wait_connected(timeout=20)
        await self.reconciled()

    async def reconciled(self) -> None:
        """Until every guild is reconciled and has been looked at."""
        async with asyncio.timeout(20):
            while not all(self._is_ready(guild) for guild in self.sandbox.world.guilds):
                assert self._task is None or not self._task.done(), self._task
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Ends it as SIGTERM does."""
        if self._task:
            self._stopping.set()
            await self._task
            await self.sandbox.wait_disconnected()
        self._task = None

    async def records(self, count: int) -> dict[str, Record]:
        """The joins in the stream by the member's name, once there are so many."""
        async with asyncio.timeout(30):
            while self._client.xlen(keys.stream(JOINS)) < count:  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.05)
        entries: Any = self._client.xrange(keys.stream(JOINS))
        records = [json.loads(fields[b"r"]) for _, fields in entries]
        assert len(records) == count
        return {record["username"]: record for record in records}

    def _is_ready(self, guild_id: int) -> bool:
        presence = self.reconciling._present.get(str(guild_id))
        if presence is None or not presence.reconciled:
            return False
        return self.reconciling._workers.of(str(guild_id)).evidence.baseline is not None


def settings_for(sandbox: Sandbox, server_url: str, folder: Path, **more: Any) -> Settings:
    """As the environment would give them."""
    return Settings(
        discord_token=sandbox.token,
        discord_api_url=sandbox.api_url,
        redis_url=server_url,
        invite_logs_dir=folder,
        **more,
    )
