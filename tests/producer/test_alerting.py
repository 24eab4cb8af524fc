"""The alerts channel, through the sandbox Discord and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from community import Community

from joins import keys, process_report, verified
from joins.process_report import Report
from joins.redis_url import Client
from joins.verified import ALTERED, SOUND, Verified
from producer import evidence, troubles
from producer.alerting import Alerting, Rhythm
from producer.connecting import Connection
from producer.member_search import SearchState
from producer.outbox_alarm import Backlog

QUICK = Rhythm(every=0.05, refused=0.3)
ALL = ["MANAGE_GUILD", "MANAGE_CHANNELS", "VIEW_AUDIT_LOG", "VIEW_CHANNEL", "SEND_MESSAGES"]


class Channel:
    """The alerts channel, and the process's alerting."""

    def __init__(self, community: Community, redis: Client) -> None:
        self.community, self.redis = community, redis
        self.id = community.sandbox.add_channel(community.guild_id, "alerts").id
        self.search = SearchState("untried")

    @contextlib.asynccontextmanager
    async def alerting(
        self, channel_id: int | None = None, backlog: Callable[[], Backlog] | None = None
    ) -> AsyncIterator[None]:
        await self.community.client.wait_until_ready()
        made = Alerting(
            self.community.client, self.redis, str(channel_id or self.id), lambda guild_id: self.search, QUICK, backlog
        )
        running = asyncio.create_task(made.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    @property
    def lines(self) -> list[str]:
        return [line for m in self.community.sandbox.messages(self.id) for line in m.content.splitlines()]

    async def says(self, text: str) -> None:
        async with asyncio.timeout(10):
            while not any(text in line for line in self.lines):  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.02)


@pytest.fixture
async def channel(community: Community, redis_client: Client) -> Channel:
    """With every permission granted and every consumer at work."""
    community.sandbox.set_bot_permissions(community.guild_id, ALL)
    for sink in keys.SINKS:
        process_report.send(redis_client, Report(sink, "working"))
    return Channel(community, redis_client)


async def test_a_permission_taken_away_is_said_and_attribution_recovers_when_it_is_granted(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "DEBT", timedelta(seconds=0.3))  # a use is owed no longer than the test waits
    community = channel.community
    async with channel.alerting():
        community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL", "SEND_MESSAGES", "MANAGE_CHANNELS"])
        await community.sandbox.join(community.guild_id, "john", code="maria")
        record = await community.recorder.of("john")
        assert (record["confidence"], record["method"]) == ("unknown", "no_permission")
        await channel.says("⚠️ **Manage Server** is missing in **PipVault**: the bot cannot see how often")
        await channel.says("**View Audit Log** is missing in **PipVault**")
        await asyncio.sleep(0.4)
        community.sandbox.set_bot_permissions(community.guild_id, ALL)
        await channel.says("✅ **Manage Server** is granted again in **PipVault**.")
        worker = community.workers.of(str(community.guild_id))
        async with asyncio.timeout(5):
            while not (worker.evidence.baseline and worker.evidence.baseline.permitted):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await community.sandbox.join(community.guild_id, "jane", code="maria")
        record = await community.recorder.of("jane")
        assert (record["confidence"], record["invite_code"]) == ("exact", "maria")
    assert len(channel.lines) == 4


async def test_a_granted_permission_is_noticed_at_once(channel: Channel) -> None:
    community = channel.community
    worker = community.workers.of(str(community.guild_id))
    worker._pace = replace(worker._pace, refused=300.0)
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL"])
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    community.sandbox.set_bot_permissions(community.guild_id, ALL)
    async with asyncio.timeout(5):
        while not (worker.evidence.baseline and worker.evidence.baseline.permitted):  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.02)


async def test_a_restart_says_nothing_again(channel: Channel) -> None:
    channel.search = SearchState("refused", "Discord answered 403")
    async with channel.alerting():
        await channel.says("refuses the member search in **PipVault** (Discord answered 403)")
        async with asyncio.timeout(10):  # a process that ends between saying and noting it says it again
            while (channel.redis.get(keys.ALERTS) or b"{}") == b"{}":  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.02)
    async with channel.alerting():
        await asyncio.sleep(0.3)
        assert len(channel.lines) == 1
        channel.search = SearchState("available")
        await channel.says("✅ The member search works again in **PipVault**.")


async def test_what_an_earlier_version_said_is_read(channel: Channel) -> None:
    key = f"search/{channel.community.guild_id}"
    known = {"since": 1.0, "over": "**PipVault**: the member search works again.", "said": True, "last": 1.0}
    channel.redis.set(keys.ALERTS, json.dumps({key: known}))
    channel.search = SearchState("refused", "Discord answered 403")
    async with channel.alerting():
        await asyncio.sleep(0.3)
        assert channel.lines == []
        channel.search = SearchState("available")
        await channel.says("✅ The member search works again in **PipVault**.")
    assert len(channel.lines) == 1


async def test_a_permission_missing_in_two_servers_is_one_line(channel: Channel) -> None:
    community = channel.community
    other = community.sandbox.add_guild("Second")
    lacking = [one for one in ALL if one != "VIEW_AUDIT_LOG"]
    for guild_id in (community.guild_id, other.id):
        community.sandbox.set_bot_permissions(guild_id, lacking)
    async with asyncio.timeout(10):
        while any(guild.me.guild_permissions.view_audit_log for guild in community.client.guilds) or (  # noqa: ASYNC110
            len(community.client.guilds) < 2
        ):
            await asyncio.sleep(0.02)
    async with channel.alerting():
        await channel.says("⚠️ **View Audit Log** is missing in 2 servers (**")
        for guild_id in (community.guild_id, other.id):
            community.sandbox.set_bot_permissions(guild_id, ALL)
        async with asyncio.timeout(10):
            while not any(line.startswith("✅") for line in channel.lines):  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.02)
    assert [line for line in channel.lines if "⚠️" in line] == channel.lines[:1]


async def test_a_copy_that_fails_and_a_consumer_that_is_gone_are_said(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "SINK_PATIENCE", 0.2)
    process_report.send(channel.redis, Report("cloud", "failing", "the bucket is gone.", time.time()))
    process_report.withdraw(channel.redis, "csv")
    async with channel.alerting():
        await channel.says("⚠️ The cloud copy cannot be written: the bucket is gone.")
        await channel.says("⚠️ The CSV log is not written: its consumer `csv` is gone.")
        for sink in ("cloud", "csv"):
            process_report.send(channel.redis, Report(sink, "working"))
        await channel.says("✅ The cloud copy is written again.")
        await channel.says("✅ The consumer `csv` is back")
    assert len(channel.lines) == 4


async def test_a_channel_that_cannot_be_posted_to_is_said_once_and_tried_again(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    community = channel.community
    community.sandbox.set_bot_permissions(community.guild_id, ["MANAGE_GUILD", "VIEW_CHANNEL"])
    community.sandbox.faults.fail(rf"POST /channels/{channel.id}/messages", 403, 50013)
    with caplog.at_level(logging.INFO, "producer.alerting"):
        async with channel.alerting():
            await asyncio.sleep(1.0)
            assert [r.levelname for r in caplog.records] == ["ERROR"]
            assert "ALERTS_CHANNEL_ID" in caplog.text
            await community.sandbox.join(community.guild_id, "john", code="maria")
            assert (await community.recorder.of("john"))["confidence"] == "exact"
            community.sandbox.faults.reset()
            await channel.says("**Manage Channels** is missing")


async def test_a_wrong_channel_is_said_once(channel: Channel, caplog: pytest.LogCaptureFixture) -> None:
    channel.search = SearchState("refused")
    with caplog.at_level(logging.INFO, "producer.alerting"):
        async with channel.alerting(channel_id=10**17):
            await asyncio.sleep(1.0)
    assert [r.levelname for r in caplog.records] == ["ERROR"]


async def test_redis_away_is_told_when_it_is_back(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, redis_client: Client
) -> None:
    monkeypatch.setattr(troubles, "REDIS_PATIENCE", 0.2)
    async with channel.alerting():
        await asyncio.sleep(0.2)
        redis_client.set(keys.DEAD_LETTERS, "no stream")  # every question about it is an error now
        await asyncio.sleep(0.5)
        redis_client.delete(keys.DEAD_LETTERS)
        await channel.says("✅ Redis answers again")
    assert len(channel.lines) == 1


async def test_an_outbox_that_fills_is_said_while_redis_is_away_too(channel: Channel, redis_client: Client) -> None:
    waiting = Backlog(0, 100)
    async with channel.alerting(backlog=lambda: waiting):
        await asyncio.sleep(0.3)
        redis_client.set(keys.DEAD_LETTERS, "no stream")  # every question about it is an error now
        waiting = Backlog(90, 100, redis_full=True)
        await channel.says("⚠️ The outbox has reached 90 % of its limit: 90 records wait for Redis")
        await channel.says("⚠️ The Redis server is full")
        redis_client.delete(keys.DEAD_LETTERS)
        waiting = Backlog(0, 100)
        await channel.says("✅ The outbox is below 90 % of its limit again.")


async def test_the_anchors_of_a_day_are_posted_once(channel: Channel) -> None:
    anchor = f"joins:1764150000000-0:{'ab' * 32}"
    verified.write(channel.redis, Verified(time.time(), SOUND, day="2026-11-26", anchors=[anchor]))
    async with channel.alerting():
        await channel.says(anchor)
        async with asyncio.timeout(10):
            while channel.redis.get(keys.ANCHORED) != b"2026-11-26":  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.02)
    async with channel.alerting():
        await asyncio.sleep(0.3)
        assert len(channel.lines) == 1
        verified.write(channel.redis, Verified(time.time(), SOUND, day="2026-11-27", anchors=[anchor]))
        await channel.says("Anchors of 2026-11-27")


async def test_that_something_was_altered_is_posted_at_once(channel: Channel) -> None:
    verified.write(channel.redis, Verified(time.time(), ALTERED, ["json: invite_joins.json, line 7: edited @everyone"]))
    async with channel.alerting():
        await channel.says("found that something was ALTERED")
        assert "line 7" in channel.lines[0]
        verified.write(channel.redis, Verified(time.time(), SOUND))
        await channel.says("✅ Verifying finds all copies sound again.")


async def test_a_lost_connection_counts_from_when_it_was_last_seen(community: Community) -> None:
    connection = Connection(community.client)
    assert "away_since" in connection.details(), "not ready yet"
    await community.client.wait_until_ready()
    assert connection.details() == {}
    await community.client.close()
    first = connection.details()["away_since"]
    assert connection.details() == {"away_since": first}
