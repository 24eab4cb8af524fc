"""The real discord.py client against the sandbox Discord: what each way of joining is recorded as."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any, Literal

import discord
import pytest
from community import PACE, Community
from discord.gateway import DiscordWebSocket

from producer import evidence
from producer.gateway import use_api


@pytest.fixture(autouse=True)
def _lists_that_lag_as_little_as_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "LISTED_WITHIN", timedelta(seconds=PACE.recheck / 2))


def shown(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["confidence"], record["invite_code"], record["uses_before"], record["uses_after"]


async def test_a_join_by_an_invite_is_recorded_whole(community: Community) -> None:
    join = await community.sandbox.join(community.guild_id, "john_doe", code="maria", display_name="John Doe")
    record = await community.recorder.of("john_doe")
    assert shown(record) == ("exact", "maria", 5, 6)
    assert record["timestamp"] == join.joined_at.replace(tzinfo=None).isoformat(timespec="microseconds")
    assert (record["user_id"], record["display_name"]) == (str(join.user_id), "John Doe")
    assert (record["guild_id"], record["guild_name"]) == (str(community.guild_id), "PipVault")
    assert (record["staff_id"], record["staff_username"]) == (str(community.maria), "maria")


async def test_a_burst_by_one_code_is_exact_to_the_last_member(community: Community) -> None:
    for number in range(40):
        await community.sandbox.join(community.guild_id, f"m{number}", code="travis")
    records = await community.recorder.wait_for(40)
    in_order = sorted(records, key=lambda record: record["timestamp"])
    assert [shown(record) for record in in_order] == [("exact", "travis", n, n + 1) for n in range(40)]


async def test_two_at_once_by_two_codes_are_ambiguous_with_both(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "one", code="maria")
    await community.sandbox.join(community.guild_id, "two", code="travis")
    for record in await community.recorder.wait_for(2):
        assert shown(record) == ("ambiguous", None, None, None)
        assert [candidate["invite_code"] for candidate in record["candidates"]] == ["maria", "travis"]


async def test_a_join_by_the_vanity_url_is_not_credited_to_anybody_elses_code(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "vera", vanity=True)
    record = await community.recorder.of("vera")
    assert (record["source"], record["method"], *shown(record)) == (
        "vanity", "vanity_difference", "exact", "pipvault", 12, 13,
    )  # fmt: skip
    assert record["staff_id"] is None


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_a_single_use_invite_is_found_whenever_its_deletion_is_announced(
    community: Community, order: Literal["before", "after", "never"]
) -> None:
    community.sandbox.faults.invite_delete_order = order
    community.invite("once", max_uses=1)
    await community.sandbox.join(community.guild_id, "sam", code="once")
    record = await community.recorder.of("sam")
    assert (record["method"], *shown(record)) == ("limited_invite_used_up", "exact", "once", 0, 1)
    await community.sandbox.join(community.guild_id, "next", code="maria")
    assert shown(await community.recorder.of("next")) == ("exact", "maria", 5, 6)


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_a_single_use_invite_whose_use_shows_late_is_found_too(
    community: Community, order: Literal["before", "after", "never"]
) -> None:
    community.sandbox.faults.set(invite_delete_order=order, uses_delay_ms=200)
    community.invite("once", max_uses=1)
    await community.sandbox.join(community.guild_id, "sam", code="once")
    assert shown(await community.recorder.of("sam")) == ("exact", "once", 0, 1)


async def test_uses_that_show_within_the_wait_are_found(community: Community) -> None:
    community.sandbox.faults.uses_delay_ms = 200
    await community.sandbox.join(community.guild_id, "late", code="maria")
    assert shown(await community.recorder.of("late")) == ("exact", "maria", 5, 6)


async def test_uses_that_show_too_late_never_go_to_the_next_member(community: Community) -> None:
    community.sandbox.faults.uses_delay_ms = 900
    await community.sandbox.join(community.guild_id, "late", code="maria")
    assert shown(await community.recorder.of("late")) == ("unknown", None, None, None)
    community.sandbox.faults.uses_delay_ms = 0
    await community.sandbox.join(community.guild_id, "next", code="travis")
    record = await community.recorder.of("next")
    assert record["invite_code"] in (None, "travis")
    await asyncio.sleep(1.2)
    await community.sandbox.join(community.guild_id, "third", code="travis")
    assert shown(await community.recorder.of("third")) == ("exact", "travis", 1, 2)


async def test_a_missing_permission_is_recorded_and_recovers(community: Community) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_AUDIT_LOG", "VIEW_CHANNEL"])
    await community.sandbox.join(community.guild_id, "john", code="maria")
    record = await community.recorder.of("john")
    assert (record["method"], *shown(record)) == ("no_permission", "unknown", None, None, None)


async def test_a_member_who_comes_again_is_a_new_record_that_names_the_earlier_one(community: Community) -> None:
    first = await community.sandbox.join(community.guild_id, "john", code="maria")
    (before,) = await community.recorder.wait_for(1)
    assert "earlier_join_id" not in before["evidence"]
    await community.sandbox.leave(community.guild_id, first.user_id)
    await community.sandbox.join(community.guild_id, first.user_id, code="travis")
    again = (await community.recorder.wait_for(2))[1]
    assert again["user_id"] == str(first.user_id)
    assert shown(again) == ("exact", "travis", 0, 1)
    assert "did_rejoin" in again["flags"]
    assert again["evidence"]["earlier_join_id"] == before["join_id"]


async def test_a_rejoin_whose_leave_was_missed_is_not_dropped(community: Community) -> None:
    first = await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.wait_for(1)
    community.sandbox.faults.drop_member_removes = 1
    await community.sandbox.leave(community.guild_id, first.user_id)
    await community.sandbox.join(community.guild_id, first.user_id, code="travis")
    assert shown((await community.recorder.wait_for(2))[1]) == ("exact", "travis", 0, 1)


async def test_a_doubled_event_is_one_record(community: Community) -> None:
    community.sandbox.faults.double_member_adds = 1
    await community.sandbox.join(community.guild_id, "john", code="maria")
    assert shown(await community.recorder.of("john")) == ("exact", "maria", 5, 6)
    assert len(community.recorder.arrivals) == 1


async def test_a_bot_is_recorded_without_a_code(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "helper", bot=True, added_by=community.maria)
    record = await community.recorder.of("helper")
    assert (record["source"], record["method"], *shown(record)) == ("bot", "oauth2", "exact", None, None, None)


async def test_a_discovery_join_is_unknown(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "dora", source="discovery")
    record = await community.recorder.of("dora")
    assert (record["source"], record["method"], *shown(record)) == (
        "unknown", "no_difference", "unknown", None, None, None,
    )  # fmt: skip


async def test_an_invite_made_and_used_at_once_began_at_zero(community: Community) -> None:
    community.invite("fresh")
    await community.sandbox.join(community.guild_id, "john", code="fresh")
    assert shown(await community.recorder.of("john")) == ("exact", "fresh", 0, 1)


async def test_joins_while_a_resumable_connection_was_away_are_replayed_and_exact(community: Community) -> None:
    community.sandbox.drop_gateway(4000)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    assert shown(await community.recorder.of("john")) == ("exact", "maria", 5, 6)


async def test_after_a_lost_session_the_next_joins_are_recorded_again(community: Community) -> None:
    community.sandbox.drop_gateway(4000, resumable=False)
    await community.sandbox.wait_disconnected()
    await community.sandbox.wait_connected()
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        while community.workers.of(str(community.guild_id)).evidence.gap:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.05)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    assert shown(await community.recorder.of("john")) == ("exact", "maria", 5, 6)


async def test_a_gateway_that_lags_behind_the_lists_misleads_nobody(community: Community) -> None:
    community.sandbox.faults.gateway_lag_ms = 150
    await community.sandbox.join(community.guild_id, "dora", source="discovery")
    await asyncio.sleep(0.08)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.wait_for(2)
    assert (await community.recorder.of("dora"))["invite_code"] is None
    assert (await community.recorder.of("john"))["invite_code"] in (None, "maria")


@pytest.mark.parametrize("seed", range(3))
async def test_in_a_lively_guild_every_join_is_recorded_once_and_no_named_code_is_wrong(
    community: Community, seed: int
) -> None:
    chance, sandbox = random.Random(seed), community.sandbox
    for number in range(40):
        sandbox.faults.set(
            invite_delete_order=chance.choice(["before", "after", "never"]),
            uses_delay_ms=chance.choice([0, 0, 0, 100, 700]),
            double_member_adds=chance.choice([0, 0, 1]),
        )
        kind = chance.choice(["maria", "maria", "travis", "once", "vanity", "discovery"])
        if kind == "once":
            community.invite(kind := f"once{number}", max_uses=1)
        await sandbox.join(
            community.guild_id,
            f"m{number}",
            code=None if kind in ("vanity", "discovery") else kind,
            vanity=kind == "vanity",
            source="discovery" if kind == "discovery" else None,
        )
        await asyncio.sleep(chance.choice([0, 0, 0.02, 0.3]))
    records = await community.recorder.wait_for(40, seconds=20)
    truth = {str(join.user_id): join.code for join in sandbox.ledger}
    named = [record for record in records if record["confidence"] == "exact"]
    assert [record for record in named if record["invite_code"] != truth[record["user_id"]]] == []
    assert {record["user_id"] for record in records} == set(truth)


async def test_errors_of_the_invite_list_are_waited_out(community: Community) -> None:
    community.sandbox.faults.fail(r"GET /guilds/\d+/invites", 500, count=1)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    assert shown(await community.recorder.of("john")) == ("exact", "maria", 5, 6)


async def test_no_single_invite_is_ever_asked_for(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.wait_for(1)
    assert not [request for request in community.sandbox.requests if "/invites/" in str(request)]


async def test_the_client_keeps_no_members_and_no_messages(community: Community) -> None:
    guild = community.client.get_guild(community.guild_id)
    assert guild is not None
    assert [member.id for member in guild.members] == [community.sandbox.world.bot.id]
    assert len(community.client.cached_messages) == 0
    assert community.client.intents == discord.Intents(guilds=True, members=True, invites=True, moderation=True)


def test_without_another_api_the_librarys_own_addresses_are_left_untouched() -> None:
    before = discord.http.Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    use_api(None)
    assert before == (discord.http.Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY)
