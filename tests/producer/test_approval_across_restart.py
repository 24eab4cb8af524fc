"""A second person approves what was proposed to a producer that is gone meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from processes import Consumers
from producer_process import environment, producer

from joins import keys
from joins.records import CHANGES, JOINS
from joins.redis_url import Client
from ops.sandbox import Reply, Sandbox


def records(client: Client, log: str) -> list[dict[str, Any]]:
    entries: Any = client.xrange(keys.stream(log))
    return [json.loads(fields[b"r"]) for _, fields in entries]


async def until_recorded(client: Client, log: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := records(client, log)) < count:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.02)
    return found


class Life:
    """One start of the producer after another, at the same guild."""

    def __init__(self, sandbox: Sandbox, url: str, folder: Path) -> None:
        self.sandbox, self._values = sandbox, environment(sandbox, url, folder)
        self.guild = sandbox.add_guild("PipVault")
        self.boss = self.guild.owner_id
        self.staff = [
            sandbox.add_member(self.guild.id, name, permissions="MANAGE_GUILD").id for name in ("mary", "helper")
        ]
        self.plain = sandbox.add_member(self.guild.id, "john").id
        sandbox.add_invite(self.guild.id, inviter=self.staff[0], code="mary")
        sandbox.add_invite(self.guild.id, inviter=self.boss, code="mine")

    @asynccontextmanager
    async def producer(self, end: signal.Signals) -> AsyncIterator[None]:
        """A producer that serves commands, and is ended by that signal."""
        async with producer(self._values) as process:
            await self.sandbox.wait_connected(timeout=20)
            await self.sandbox.wait_commands("correct_invite", "staff", timeout=20)
            yield
            process.send_signal(end)
            stdout, stderr = await asyncio.wait_for(process.communicate(), 15)
            assert b"Traceback" not in stdout + stderr, stdout.decode()
            await self.sandbox.wait_disconnected()

    async def asked(self, command: str, **options: Any) -> Reply:
        reply = await self.sandbox.invoke(self.guild.id, self.boss, command, options)
        return await reply.wait(lambda reply: bool(reply.followups))

    async def press(self, reply: Reply, who: int) -> Reply:
        return await self.sandbox.click(reply, "Approve", user_id=who)


async def test_a_correction_is_approved_after_the_producer_was_killed_and_recorded_once(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    consumers = Consumers(server_url, tmp_path / "logs")
    async with Sandbox() as sandbox:
        life = Life(sandbox, server_url, tmp_path / "logs")
        try:
            async with life.producer(signal.SIGKILL):
                consumers.start("json")
                member = (await sandbox.join(life.guild.id, "jane", code="mary")).user_id
                await until_recorded(redis_client, JOINS, 1)
                async with asyncio.timeout(20):
                    log = tmp_path / "logs" / "invite_joins.json"
                    while not log.exists() or str(member) not in log.read_text():  # noqa: ASYNC110 - a test polls
                        await asyncio.sleep(0.05)
                reply = await life.asked("correct_invite", user=member, code="mine", reason="she showed the link")
            async with life.producer(signal.SIGTERM):
                (question,) = reply.followups
                for who, sentence in (
                    (life.boss, "Somebody else has to approve this: it is in your own favour."),
                    (life.plain, "Only a member of staff with Manage Server can approve this."),
                ):
                    assert [one.content for one in (await life.press(reply, who)).followups] == [sentence]
                assert records(redis_client, CHANGES) == []
                await asyncio.gather(*(life.press(reply, who) for who in life.staff))
                await until_recorded(redis_client, CHANGES, 1)
                (change,) = records(redis_client, CHANGES)
                assert (change["change"], change["invite_code"]) == ("attribution_corrected", "mine")
                assert change["actor_id"] == str(life.boss)
                assert change["approved_by"] in {str(who) for who in life.staff}
                assert f"Approved by <@{change['approved_by']}>" in question.content
                assert question.components == []
        finally:
            consumers.stop_all()
    assert len(records(redis_client, CHANGES)) == 1


async def test_an_assignment_is_approved_after_a_restart_and_known_after_the_next_though_no_copy_has_it(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        life = Life(sandbox, server_url, tmp_path / "logs")
        async with life.producer(signal.SIGTERM):
            reply = await life.asked("staff assign", code="mary", member=life.boss)
        async with life.producer(signal.SIGKILL):
            await life.press(reply, life.staff[1])
            changes = await until_recorded(redis_client, CHANGES, 2)
        assert [change["change"] for change in changes] == ["staff_set", "code_assigned"]
        assert changes[1]["approved_by"] == str(life.staff[1])
        async with life.producer(signal.SIGTERM):
            shown = await sandbox.invoke(life.guild.id, life.boss, "staff list")
            assert "Invites: `mary`" in shown.text
    assert len(records(redis_client, CHANGES)) == 2
