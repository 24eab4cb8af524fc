"""`python -m producer` as a process: what it says, its exit codes, and how it stops."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from producer_process import environment, producer

from joins import keys
from joins.process_report import resident_bytes
from joins.records import JOINS
from joins.redis_url import Client
from ops.sandbox import Sandbox

MEMORY = 90 * 1024 * 1024  # bytes of resident memory that a connected producer may take


async def ended(values: Mapping[str, str]) -> tuple[int, str]:
    async with producer(values) as process:
        _, stderr = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, stderr.decode()


async def test_a_missing_token_is_one_sentence_and_exit_code_11() -> None:
    code, said = await ended({"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == 11
    assert said.startswith("DISCORD_TOKEN is not set")
    assert "Traceback" not in said


async def test_a_refused_token_is_one_sentence_and_exit_code_12(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        code, said = await ended(environment(sandbox, server_url, tmp_path, DISCORD_TOKEN="wrong-token"))
    assert code == 12
    assert said.startswith("Discord does not accept DISCORD_TOKEN")
    assert said.count("\n") == 1
    assert "wrong-token" not in said


async def test_a_missing_intent_is_named_with_its_switch_and_exit_code_13(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox(members_intent=False) as sandbox:
        sandbox.add_guild("PipVault")
        code, said = await ended(environment(sandbox, server_url, tmp_path))
    assert code == 13
    assert "'Server Members Intent'" in said
    assert said.count("\n") == 1


async def test_discord_out_of_reach_is_said_and_waited_for(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as gone:
        values, port = environment(gone, server_url, tmp_path), int(gone.url.rpartition(":")[2])
    async with producer(values) as process:
        assert process.stdout
        async with asyncio.timeout(20):
            while b"Discord does not answer" not in (line := await process.stdout.readline()):
                assert line, await process.communicate()
        async with Sandbox(port) as sandbox:
            await sandbox.wait_connected(timeout=20)
            process.send_signal(signal.SIGTERM)
            stdout, stderr = await asyncio.wait_for(process.communicate(), 10)
        assert (process.returncode, stderr) == (0, b"")
        assert b"Traceback" not in stdout


async def test_it_records_serves_commands_stays_small_and_stops_in_order_on_sigterm(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        guild = sandbox.add_guild("PipVault")
        maria = sandbox.add_member(guild.id, "maria", permissions="MANAGE_GUILD")
        sandbox.add_invite(guild.id, inviter=maria.id, code="maria")
        async with producer(environment(sandbox, server_url, tmp_path)) as process:
            await sandbox.wait_connected(timeout=20)
            await asyncio.sleep(1)
            for number in range(5):
                await sandbox.join(guild.id, f"m{number}", code="maria")
            async with asyncio.timeout(20):
                while redis_client.xlen(keys.stream(JOINS)) < 5:  # noqa: ASYNC110 - a test polls
                    await asyncio.sleep(0.05)
            assert resident_bytes(process.pid) < MEMORY
            await sandbox.wait_commands("lookup_user_invite", "view_invite_logs")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            stdout, stderr = await asyncio.wait_for(process.communicate(), 15)
        assert time.monotonic() - began < 10
        assert (process.returncode, stderr) == (0, b""), stdout.decode()
        assert "Traceback" not in stdout.decode()
        assert sandbox.token not in stdout.decode()
    entries: Any = redis_client.xrange(keys.stream(JOINS))
    records = [json.loads(next(value for value in fields.values() if value.startswith(b"{"))) for _, fields in entries]
    assert [record["uses_after"] for record in records] == [1, 2, 3, 4, 5]
    assert {record["confidence"] for record in records} == {"exact"}


async def test_the_commands_are_registered_only_when_they_changed(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        sandbox.add_guild("PipVault")
        for _ in range(2):
            async with producer(environment(sandbox, server_url, tmp_path)) as process:
                await sandbox.wait_connected(timeout=20)
                await sandbox.wait_commands("lookup_user_invite")
                await asyncio.sleep(0.3)
                process.send_signal(signal.SIGINT)
                await asyncio.wait_for(process.communicate(), 15)
                await sandbox.wait_disconnected()
                assert process.returncode == 0
        assert len([request for request in sandbox.requests if request.method == "PUT"]) == 1


async def test_what_is_missing_is_told_in_the_alerts_channel_and_by_invite_status(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        guild = sandbox.add_guild("PipVault")
        channel = sandbox.add_channel(guild.id, "alerts").id
        sandbox.set_bot_permissions(guild.id, ["VIEW_CHANNEL", "SEND_MESSAGES", "MANAGE_CHANNELS", "VIEW_AUDIT_LOG"])
        async with producer(environment(sandbox, server_url, tmp_path, ALERTS_CHANNEL_ID=str(channel))) as process:
            await sandbox.wait_commands("invite_status", timeout=20)
            async with asyncio.timeout(20):
                while not sandbox.messages(channel):  # noqa: ASYNC110 - a test polls
                    await asyncio.sleep(0.05)
            reply = await sandbox.invoke(guild.id, guild.owner_id, "invite_status")
            process.send_signal(signal.SIGTERM)
            stdout, _ = await asyncio.wait_for(process.communicate(), 15)
    (message,) = sandbox.messages(channel)
    assert message.content.startswith("⚠️ **Manage Server** is missing in **PipVault**")
    assert "⚠️ **Manage Server** is missing" in reply.text
    assert "Discord does not show them to me" in reply.text
    assert "⚠️ is gone · `json`" in reply.text
    assert "Traceback" not in stdout.decode()
