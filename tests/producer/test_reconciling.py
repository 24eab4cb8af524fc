"""Who joined while nobody listened: the whole producer, stopped and started, against a sandbox Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from mortal_bot import Bot, settings_for

from joins import keys
from joins.records import timestamp
from joins.redis_url import Client
from ops.sandbox import Sandbox
from producer import reconciling
from producer.presence import Presence
from producer.reconciling import RECONCILED

DISCOVERY = "discovery"


def shown(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["method"], record["confidence"], record["invite_code"]


@pytest.fixture
async def bot(
    redis_client: Client, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bot]:
    """A producer, and a guild of three with the invites `maria` (5 uses) and `travis`; member search is refused."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    async with Sandbox() as sandbox:
        sandbox.faults.member_search = "refused"
        guild = sandbox.add_guild("PipVault")
        maria = sandbox.add_member(guild.id, "maria")
        sandbox.add_members(guild.id, 2, "old")
        sandbox.add_invite(guild.id, inviter=maria.id, code="maria", uses=5)
        sandbox.add_invite(guild.id, inviter=maria.id, code="travis")
        bot = Bot(sandbox, redis_client, settings_for(sandbox, server_url, tmp_path), monkeypatch)
        yield bot
        await bot.stop()


def guild_of(bot: Bot) -> int:
    return next(iter(bot.sandbox.world.guilds))


async def test_the_first_start_records_nobody_who_was_there_before(bot: Bot) -> None:
    await bot.start()
    await asyncio.sleep(0.3)
    await bot.records(0)


async def test_who_joined_during_an_outage_is_recorded_with_the_true_time_and_exactly_when_one_code_explains_it(
    bot: Bot,
) -> None:
    await bot.start()
    await bot.stop()
    joins = [await bot.sandbox.join(guild_of(bot), f"m{number}", code="maria") for number in range(3)]
    await bot.start()
    records = await bot.records(3)
    for number, join in enumerate(joins):
        record = records[f"m{number}"]
        assert shown(record) == ("invite_difference", "exact", "maria")
        assert (record["uses_before"], record["timestamp"]) == (5 + number, timestamp(join.joined_at))
        assert RECONCILED in record["flags"]


async def test_two_codes_over_an_outage_are_ambiguous_with_both(bot: Bot) -> None:
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "one", code="maria")
    await bot.sandbox.join(guild_of(bot), "two", code="travis")
    await bot.start()
    for record in (await bot.records(2)).values():
        assert shown(record) == ("invite_difference", "ambiguous", None)
        assert [candidate["invite_code"] for candidate in record["candidates"]] == ["maria", "travis"]


async def test_member_search_tells_the_true_code_of_each_and_who_came_by_none(bot: Bot) -> None:
    bot.sandbox.faults.member_search = "on"
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "one", code="maria")
    await bot.sandbox.join(guild_of(bot), "two", code="travis")
    await bot.sandbox.join(guild_of(bot), "dora", source=DISCOVERY)
    await bot.sandbox.join(guild_of(bot), "added", source="bot", bot=False)
    await bot.start()
    records = await bot.records(4)
    assert (records["added"]["source"], *shown(records["added"])) == ("integration", "member_search", "exact", None)
    assert records["added"]["evidence"] == {"added_by_application": True}
    assert shown(records["one"]) == ("member_search", "exact", "maria")
    assert shown(records["two"]) == ("member_search", "exact", "travis")
    assert (records["dora"]["source"], *shown(records["dora"])) == (DISCOVERY, "member_search", "exact", None)
    assert records["one"]["staff_username"] == "maria"
    assert all(RECONCILED in record["flags"] for record in records.values())


async def test_a_large_guild_is_asked_by_search_alone_and_again_once_the_index_has_caught_up(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "LISTED", 2)
    monkeypatch.setattr(reconciling, "INDEXED_AFTER", 2.5)
    bot.sandbox.faults.member_search = "on"
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "one", code="maria")
    bot.sandbox.faults.index_delay_ms = 2500
    await bot.sandbox.join(guild_of(bot), "late", code="travis")
    listed = len([request for request in bot.sandbox.requests if request.path.endswith("/members")])
    await bot.start()
    records = await bot.records(2)
    assert shown(records["one"]) == ("member_search", "exact", "maria")
    assert shown(records["late"]) == ("member_search", "exact", "travis")
    assert listed == len([request for request in bot.sandbox.requests if request.path.endswith("/members")])


async def test_with_the_evidence_of_the_last_start_the_first_join_after_a_restart_is_exact(bot: Bot) -> None:
    await bot.start()
    await bot.sandbox.join(guild_of(bot), "before", code="maria")
    await bot.records(1)
    await bot.stop()
    await bot.start()
    await bot.sandbox.join(guild_of(bot), "after", code="travis")
    assert shown((await bot.records(2))["after"]) == ("invite_difference", "exact", "travis")


async def test_an_invite_that_was_deleted_unheard_is_not_taken_for_used_up(bot: Bot) -> None:
    bot.sandbox.add_invite(guild_of(bot), code="once", max_uses=1)
    await bot.start()
    await bot.stop()
    bot.sandbox.delete_invite(guild_of(bot), "once")
    await bot.sandbox.join(guild_of(bot), "dora", source=DISCOVERY)
    await bot.start()
    record = (await bot.records(1))["dora"]
    assert record["confidence"] == "ambiguous"
    assert [candidate["invite_code"] for candidate in record["candidates"]] == ["once"]


async def test_in_a_guild_that_lists_itself_nothing_is_exact_over_an_outage(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "gone", code="maria")
    await bot.sandbox.leave(guild_of(bot), bot.sandbox.ledger[-1].user_id)
    await bot.sandbox.join(guild_of(bot), "dora", source=DISCOVERY)
    of = Presence.of

    def listed(data: dict[str, Any], bot_id: str) -> Presence:
        return of({**data, "features": ["DISCOVERABLE"]}, bot_id)

    monkeypatch.setattr(Presence, "of", listed)
    await bot.start()
    assert (await bot.records(1))["dora"]["invite_code"] is None


async def test_a_doubled_guild_create_reconciles_once(bot: Bot) -> None:
    await bot.start()
    asked = [request for request in bot.sandbox.requests if request.path.endswith("/members")]
    bot.sandbox.set_guild_available(guild_of(bot), True)
    bot.sandbox.set_guild_available(guild_of(bot), True)
    await asyncio.sleep(0.5)
    assert [request for request in bot.sandbox.requests if request.path.endswith("/members")] == asked
    await bot.sandbox.join(guild_of(bot), "john", code="maria")
    assert shown((await bot.records(1))["john"]) == ("invite_difference", "exact", "maria")


async def test_a_resumed_session_asks_for_no_members(bot: Bot) -> None:
    await bot.start()
    asked = [request for request in bot.sandbox.requests if request.path.endswith("/members")]
    bot.sandbox.drop_gateway(4000)
    await bot.sandbox.join(guild_of(bot), "john", code="maria")
    assert shown((await bot.records(1))["john"]) == ("invite_difference", "exact", "maria")
    assert [request for request in bot.sandbox.requests if request.path.endswith("/members")] == asked


async def test_a_lost_session_and_an_outage_of_the_guild_are_reconciled(bot: Bot) -> None:
    await bot.start()
    bot.sandbox.drop_gateway(4000, resumable=False)
    await bot.sandbox.join(guild_of(bot), "one", code="maria")
    assert shown((await bot.records(1))["one"]) == ("invite_difference", "exact", "maria")
    bot.sandbox.set_guild_available(guild_of(bot), False)
    bot.sandbox.faults.drop_member_adds = 1
    await bot.sandbox.join(guild_of(bot), "two", code="travis")
    bot.sandbox.set_guild_available(guild_of(bot), True)
    assert shown((await bot.records(2))["two"]) == ("invite_difference", "exact", "travis")


async def test_members_who_cannot_be_read_are_asked_for_again_while_joins_wait(bot: Bot) -> None:
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "one", code="maria")
    bot.sandbox.faults.fail(r"GET /guilds/\d+/members", 403, count=2)
    await bot.start()
    assert shown((await bot.records(1))["one"]) == ("invite_difference", "exact", "maria")


async def test_joins_do_not_wait_for_ever_and_nothing_is_exact_until_all_are_known(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bot.start()
    await bot.stop()
    await bot.sandbox.join(guild_of(bot), "unheard", source=DISCOVERY)
    bot.sandbox.faults.fail(r"GET /guilds/\d+/members", 403)
    monkeypatch.setattr(reconciling, "PATIENCE", 1.0)
    starting = asyncio.create_task(bot.start())
    await bot.sandbox.wait_connected(timeout=20)
    await asyncio.sleep(0.3)
    await bot.sandbox.join(guild_of(bot), "heard", code="maria")
    assert shown((await bot.records(1))["heard"]) == ("invite_difference", "ambiguous", None)
    bot.sandbox.faults.rest.clear()
    await starting
    assert (await bot.records(2))["unheard"]["invite_code"] is None


async def test_a_server_that_forgot_everything_does_not_bring_up_old_members(bot: Bot, redis_client: Client) -> None:
    await bot.start()
    await bot.stop()
    redis_client.delete(keys.EVIDENCE, keys.LISTENED)
    await bot.start()
    await asyncio.sleep(0.3)
    await bot.records(0)
