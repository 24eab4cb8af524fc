"""A log folder written by the real sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import discord
import pytest
import yarl
from command_logs import Logs
from discord.gateway import DiscordWebSocket
from slash_bot import Scene, scene

from joins.redis_url import Client
from ops.sandbox import Sandbox


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    """An empty log folder; the files appear with the first record, the database at once."""
    made = Logs(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """The sandbox Discord, to which the library's addresses lead."""
    async with Sandbox() as sandbox:
        monkeypatch.setattr(discord.http.Route, "BASE", sandbox.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(sandbox.gateway_url))
        yield sandbox


@pytest.fixture
async def discord_scene(logs: Logs, api: Sandbox, redis_client: Client) -> AsyncIterator[Scene]:
    """A guild in the sandbox Discord, with the real client and the commands in it."""
    async with scene(logs, api, redis_client) as made:
        yield made
