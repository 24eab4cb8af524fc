"""The control API, and the sandbox as a process."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from sandbox_bot import Bot, Connect

from ops.sandbox import Sandbox, SandboxClient, SandboxError

WORLD = {
    "guilds": [
        {
            "name": "PipVault",
            "channels": ["welcome"],
            "members": [{"username": "TravisP", "permissions": "MANAGE_GUILD"}],
            "invites": [{"code": "travis", "inviter": "TravisP", "uses": 3}],
            "vanity": {"code": "pip", "uses": 12},
        }
    ]
}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[SandboxClient]:
    """The sandbox as a process, with a world; it must end cleanly on SIGTERM."""
    world = tmp_path / "world.json"
    world.write_text(json.dumps(WORLD))
    command = [sys.executable, "-m", "ops.sandbox", "--port", "0", "--world", str(world)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        yield SandboxClient(line.split("DISCORD_API_URL=")[1].strip())
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0


def test_a_world_file_is_loaded_and_verbs_work_from_another_process(process: SandboxClient) -> None:
    (guild,) = process.guilds()
    assert (guild.name, guild.vanity.uses, guild.invites["travis"].uses) == ("PipVault", 12, 3)
    join = process.join(guild.id, "john_doe", code="travis")
    process.join(guild.id, "jane_doe", vanity=True)
    process.leave(guild.id, join.user_id)
    assert process.join(guild.id, join.user_id).rejoin
    assert [(j.username, j.source) for j in process.ledger()] == [
        ("john_doe", "invite"),
        ("jane_doe", "vanity"),
        ("john_doe", "unknown"),
    ]
    process.set_fault(index_delay_ms=5, rest=[{"route": "GET /users", "status": 500}])
    assert process.status().faults.rest[0].status == 500
    process.reset_faults()
    assert process.status().faults.rest == []


def test_a_wrong_verb_or_argument_is_explained(process: SandboxClient) -> None:
    with pytest.raises(SandboxError, match="known:"):
        process.call("dance")
    with pytest.raises(SandboxError, match="no guild 1"):
        process.join(1, "john_doe")
    with pytest.raises(SandboxError, match="unknown fault"):
        process.set_fault(nothing=1)


async def test_a_command_is_run_and_its_file_read_over_http(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = Bot()

    @bot.tree.command(description="Exports")
    async def export(interaction: discord.Interaction) -> None:
        view = discord.ui.View()
        view.add_item(discord.ui.Button(label="Again", custom_id="again"))
        await interaction.response.send_message("here", file=discord.File(io.BytesIO(b"\x00csv"), "a.csv"), view=view)

    @bot.event
    async def on_interaction(interaction: discord.Interaction) -> None:
        if interaction.type is discord.InteractionType.component:
            await interaction.response.send_message("again", ephemeral=True)

    async def setup() -> None:
        await bot.tree.sync()

    bot.setup_hook = setup
    await connect(bot)
    client = SandboxClient(sandbox.url)

    def drive() -> None:
        client.wait_connected()
        client.wait_commands("export")
        member = client.add_member(guild.id, "TravisP")
        reply = client.invoke(guild.id, member.id, "export")
        assert (reply.content, reply.files[0].name, reply.files[0].data) == ("here", "a.csv", b"\x00csv")
        again = client.click(reply, "Again")
        assert (again.content, again.ephemeral) == ("again", True)
        assert client.refresh(reply).content == "here"

    await asyncio.to_thread(drive)


async def test_the_process_ends_on_sigterm_while_a_bot_is_connected(
    process: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", f"{process.url}/api/v10")
    status = await asyncio.to_thread(process.status)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(status.gateway_url))
    bot = Bot()
    running = asyncio.create_task(bot.start("sandbox-token"))
    await asyncio.to_thread(process.wait_connected)
    pid = int(status.pid)
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":  # noqa: ASYNC110, ASYNC240  (another process)
        await asyncio.sleep(0.02)
    await bot.close()
    await asyncio.gather(running, return_exceptions=True)
