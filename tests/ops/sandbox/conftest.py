"""A sandbox and real discord.py clients that talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_bot import Bot, Connect, point_at

from ops.sandbox import Sandbox


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A running sandbox that discord.py talks to."""
    async with Sandbox() as running:
        point_at(running, monkeypatch)
        yield running


@pytest.fixture
async def connect(sandbox: Sandbox) -> AsyncIterator[Connect]:
    """Connects a bot and waits until it is ready; every bot is closed at the end."""
    bots: list[Bot] = []

    async def start(bot: Bot | None = None, **options: Any) -> Bot:
        bot = bot or Bot(**options)
        bots.append(bot)
        bot.running = asyncio.create_task(bot.start(sandbox.token))
        ready = asyncio.create_task(bot.is_up.wait())
        done, _ = await asyncio.wait({bot.running, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if bot.running in done:
            await bot.running
        assert bot.is_up.is_set(), "the bot is not ready after 10 s"
        return bot

    yield start
    for bot in bots:
        await bot.close()
        if bot.running is not None:
            await asyncio.gather(bot.running, return_exceptions=True)
