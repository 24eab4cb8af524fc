"""Bots, through the sandbox: who added them, in every order of the events, and that nobody waits for that."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from community import Community
from producer_fakes import GUILD, arrival

from joins.records import join_id, timestamp
from producer.bot_adders import BotAdders

AUDIT = r"GET /guilds/\d+/audit-logs"


def looked(community: Community) -> int:
    return sum(request.path.endswith("/audit-logs") for request in community.sandbox.requests)


async def added(community: Community) -> dict[str, Any]:
    await community.sandbox.join(community.guild_id, "helper", bot=True, added_by=community.maria)
    return await community.recorder.of("helper")


def shown(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["source"], record["confidence"], record["invite_code"], record["inviter_id"], record["evidence"]


async def test_a_bot_is_recorded_with_who_added_it(community: Community) -> None:
    record = await added(community)
    assert shown(record) == ("bot", "exact", None, None, {"added_by": str(community.maria)})
    assert record["staff_id"] is None
    assert looked(community) == 0, "the event said it"


async def test_an_audit_event_before_the_bot_is_remembered(community: Community) -> None:
    now = datetime.now(UTC)
    entry = {
        "guild_id": str(community.guild_id), "action_type": 28, "id": str(snowflake(now)), "target_id": "7",
        "user_id": "8",
    }  # fmt: skip
    adders = BotAdders(community.client, wait=0.1)
    adders.audited(entry)
    helper = arrival("helper", 7, bot=True, guild_id=str(community.guild_id))
    assert await adders.of(helper) == "8"
    again = helper | {"timestamp": timestamp(now + timedelta(hours=1))}
    assert await adders.of(again) is None, "that event was about an earlier stay"


async def test_an_audit_event_that_never_comes_is_looked_up_once(community: Community) -> None:
    community.sandbox.faults.drop_events = {"GUILD_AUDIT_LOG_ENTRY_CREATE": 1}
    assert (await added(community))["evidence"] == {"added_by": str(community.maria)}
    assert looked(community) == 1


async def test_a_bot_whose_adder_cannot_be_known_is_recorded_all_the_same(community: Community) -> None:
    community.sandbox.faults.drop_events = {"GUILD_AUDIT_LOG_ENTRY_CREATE": 1}
    community.sandbox.faults.fail(AUDIT, 403)
    record = await added(community)
    assert shown(record) == ("bot", "exact", None, None, {})


async def test_without_the_permission_nothing_is_waited_for(community: Community) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["MANAGE_GUILD", "VIEW_CHANNEL"])
    guild = community.client.get_guild(community.guild_id)
    await community.until(lambda: guild and not guild.me.guild_permissions.view_audit_log)
    began = time.monotonic()
    assert (await added(community))["evidence"] == {}
    assert time.monotonic() - began < 0.4
    assert looked(community) == 0


async def test_nobody_waits_for_a_bot(community: Community) -> None:
    community.sandbox.faults.drop_events = {"GUILD_AUDIT_LOG_ENTRY_CREATE": 1}
    community.sandbox.faults.slow(AUDIT, 1000)
    await community.sandbox.join(community.guild_id, "helper", bot=True, added_by=community.maria)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    assert len(community.recorder.records) == 1
    await community.recorder.of("helper")


async def test_stopping_waits_for_a_bot_that_is_looked_up(community: Community) -> None:
    community.sandbox.faults.drop_events = {"GUILD_AUDIT_LOG_ENTRY_CREATE": 1}
    await community.sandbox.join(community.guild_id, "helper", bot=True, added_by=community.maria)
    await community.until(lambda: community.workers.of(str(community.guild_id)).pending)
    assert await community.workers.stop(3.0) == 0
    assert (await community.recorder.of("helper"))["source"] == "bot"


async def test_a_bot_left_by_an_earlier_start_is_looked_up_once_the_gateway_is_there(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "helper", bot=True, added_by=community.maria)
    record = await community.recorder.of("helper")
    guild, user, now = str(community.guild_id), record["user_id"], timestamp(datetime.now(UTC))
    left = arrival("left", int(user), bot=True, guild_id=guild, timestamp=now, join_id=join_id(guild, user, now))
    community.recorder.arrivals.append(left)
    worker = community.workers.of(str(community.guild_id))
    worker.offline()
    worker.join(left, durable=True)
    await asyncio.sleep(0.4)
    assert len(community.recorder.records) == 1
    worker.online()
    assert (await community.recorder.of("left"))["evidence"] == {"added_by": str(community.maria)}


@pytest.mark.parametrize("entry", [{"action_type": 28}, {"action_type": 20, "user_id": "8", "target_id": "7"}, {}])
async def test_other_entries_say_nothing_of_bots(community: Community, entry: dict[str, Any]) -> None:
    adders = BotAdders(community.client, wait=0.05)
    adders.audited({"guild_id": GUILD, "id": str(snowflake(datetime.now(UTC))), **entry})
    assert await adders.of(arrival("helper", 7, bot=True)) is None


def snowflake(at: datetime) -> int:
    return (int(at.timestamp() * 1000) - 1_420_070_400_000) << 22
