"""discord.py's private seam, by which no join is dropped. A failure here means: read producer/gateway.py."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from producer_fakes import FakeInvites, FakeRecorder

from producer.gateway import Gateway
from producer.guild_workers import GuildWorkers
from producer.registrar import Registrar

MEMBER = {
    "guild_id": "42",
    "user": {"id": "7", "username": "john", "discriminator": "0", "global_name": "John", "avatar": None},
    "joined_at": "2025-10-31T14:30:45.123456+00:00",
    "roles": [],
    "flags": 0,
    "deaf": False,
    "mute": False,
}
TAPPED = (
    "READY", "RESUMED", "GUILD_CREATE", "GUILD_DELETE", "GUILD_MEMBER_ADD", "GUILD_MEMBER_REMOVE", "INVITE_CREATE",
    "INVITE_DELETE", "CHANNEL_DELETE", "GUILD_AUDIT_LOG_ENTRY_CREATE", "GUILD_ROLE_UPDATE", "GUILD_MEMBER_UPDATE",
)  # fmt: skip


async def test_discord_py_still_has_a_parser_for_each_event_that_is_taken() -> None:
    plain = discord.AutoShardedClient(intents=discord.Intents.none())
    missing = [event for event in TAPPED if event not in plain._connection.parsers]
    assert not missing, f"discord.py has no parser of {missing}: find where it takes gateway events now"


def test_the_websocket_still_looks_its_parsers_up_in_the_connection_state() -> None:
    source = inspect.getsource(DiscordWebSocket)
    assert "_connection.parsers" in source
    assert "_discord_parsers[event]" in source


async def test_a_join_of_a_guild_that_the_library_does_not_know_yet_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    gateway, recorder = Gateway(), FakeRecorder()
    gateway.workers = GuildWorkers(FakeInvites(), Registrar(recorder))
    gateway._connection.parsers["GUILD_MEMBER_ADD"](dict(MEMBER))
    await asyncio.sleep(0.05)
    assert [arrival["username"] for arrival in recorder.arrivals] == ["john"]
    assert recorder.arrivals[0]["timestamp"] == "2025-10-31T14:30:45.123456"
    await gateway.workers.stop(1.0)


async def test_a_fault_in_the_librarys_parser_loses_neither_the_join_nor_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fault(*_: Any) -> None:
        raise KeyError("a field of a new kind")

    monkeypatch.setattr(discord.state.ConnectionState, "parse_guild_member_add", fault)
    gateway, recorder = Gateway(), FakeRecorder()
    gateway.workers = GuildWorkers(FakeInvites(), Registrar(recorder))
    gateway._connection.parsers["GUILD_MEMBER_ADD"](dict(MEMBER))
    await asyncio.sleep(0.05)
    assert len(recorder.arrivals) == 1
    await gateway.workers.stop(1.0)
