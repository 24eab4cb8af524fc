"""The gateway, as the real client sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import discord
import pytest
from sandbox_bot import Bot, Connect, point_at

from ops.sandbox import Sandbox


async def test_a_bot_logs_in_and_sees_its_guild(sandbox: Sandbox, connect: Connect) -> None:
    made = sandbox.add_guild("PipVault", channels=("welcome", "staff"))
    bot = await connect()
    guild = bot.get_guild(made.id)
    assert guild.name == "PipVault"
    assert [c.name for c in guild.text_channels] == ["welcome", "staff"]
    assert guild.me.guild_permissions.manage_guild
    assert guild.member_count == 2


async def test_a_plain_client_connects_too(sandbox: Sandbox) -> None:
    made = sandbox.add_guild("PipVault")
    client = discord.Client(intents=discord.Intents.default())
    running = asyncio.create_task(client.start(sandbox.token))
    await sandbox.wait_connected()
    while client.get_guild(made.id) is None:  # noqa: ASYNC110  (discord.py has no event for it)
        await asyncio.sleep(0.01)
    await client.close()
    await running


async def test_a_wrong_token_is_refused_at_login(sandbox: Sandbox) -> None:
    bot = Bot()
    with pytest.raises(discord.LoginFailure):
        await bot.start("wrong")
    await bot.close()


async def test_a_privileged_intent_that_the_application_lacks_is_refused(sandbox: Sandbox, connect: Connect) -> None:
    sandbox.settings.members_intent = False
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await connect()


async def test_unknown_intents_and_a_wrong_token_close_the_gateway(sandbox: Sandbox) -> None:
    async def close_code(**data: Any) -> int | None:
        async with aiohttp.ClientSession() as session, session.ws_connect(sandbox.gateway_url) as socket:
            assert (await socket.receive_json())["op"] == 10
            await socket.send_json({"op": 2, "d": {"token": sandbox.token, "properties": {}} | data})
            await socket.receive()
            return socket.close_code

    assert await close_code(intents=1 << 30) == 4013
    assert await close_code(intents=1, token="wrong") == 4004
    assert await close_code(intents=1, shard=[2, 2]) == 4010


async def test_a_join_and_a_leave_reach_the_bot_with_microseconds(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    join = await sandbox.join(guild.id, "john_doe", display_name="John")
    member = await bot.next_event("join")
    assert (member.id, member.name, member.global_name) == (join.user_id, "john_doe", "John")
    assert member.joined_at == join.joined_at
    assert member.discriminator == "0"
    await sandbox.leave(guild.id, join.user_id)
    assert (await bot.next_event("leave")).user.id == join.user_id
    again = await sandbox.join(guild.id, join.user_id)
    member = await bot.next_event("join")
    assert again.rejoin
    assert member.flags.did_rejoin


async def test_an_invite_comes_and_goes_with_events(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    staff = sandbox.add_member(guild.id, "TravisP")
    bot = await connect()
    made = sandbox.add_invite(guild.id, inviter=staff.id, max_uses=5, max_age=3600)
    invite = await bot.next_event("invite_create")
    assert (invite.code, invite.inviter.id, invite.max_uses, invite.uses) == (made.code, staff.id, 5, 0)
    assert invite.expires_at == made.expires_at
    sandbox.delete_invite(guild.id, made.code)
    assert (await bot.next_event("invite_delete")).code == made.code


async def test_invite_events_need_manage_channels(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", bot_permissions="MANAGE_GUILD")
    bot = await connect()
    sandbox.add_invite(guild.id)
    await sandbox.join(guild.id, "marker")
    await bot.next_event("join")
    sandbox.set_bot_permissions(guild.id, "MANAGE_GUILD,MANAGE_CHANNELS")
    second = sandbox.add_invite(guild.id)
    assert (await bot.next_event("invite_create")).code == second.code


@pytest.mark.parametrize(
    ("order", "expected"),
    [("before", ["invite_delete", "join"]), ("after", ["join", "invite_delete"]), ("never", ["join"])],
)
async def test_the_last_use_of_an_invite_deletes_it_in_the_chosen_order(
    sandbox: Sandbox, connect: Connect, order: str, expected: list[str]
) -> None:
    guild = sandbox.add_guild("PipVault")
    invite = sandbox.add_invite(guild.id, max_uses=1)
    bot = await connect()
    sandbox.faults.set(invite_delete_order=order)
    while not bot.events.empty():
        bot.events.get_nowait()
    await sandbox.join(guild.id, "john_doe", code=invite.code)
    sandbox.add_channel(guild.id, "end")
    sandbox.delete_channel(guild.id, max(guild.channels))
    names = []
    while (event := await asyncio.wait_for(bot.events.get(), 10))[0] != "channel_delete":
        names.append(event[0])
    assert names == expected


async def test_a_member_add_is_dropped_or_doubled_on_demand(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.set(drop_member_adds=1)
    await sandbox.join(guild.id, "lost")
    sandbox.faults.set(double_member_adds=1)
    await sandbox.join(guild.id, "twice")
    assert (await bot.next_event("join")).name == "twice"
    assert [j.username for j in sandbox.ledger] == ["lost", "twice"]


@pytest.mark.parametrize("code", [None, 4000])
async def test_what_happened_during_a_cut_is_replayed_by_resume(
    sandbox: Sandbox, connect: Connect, code: int | None
) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    assert sandbox.drop_gateway(code) == 1
    await sandbox.join(guild.id, "meanwhile")
    assert (await bot.next_event("join")).name == "meanwhile"
    await bot.next_event("resumed")
    assert (sandbox.gateway.identifies, sandbox.gateway.resumes) == (1, 1)


async def test_a_forgotten_session_identifies_anew_and_misses_the_join(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.drop_gateway(4000, resumable=False)
    join = await sandbox.join(guild.id, "missed")
    await bot.next_event("shard_ready")
    await sandbox.wait_connected()
    assert (sandbox.gateway.identifies, sandbox.gateway.resumes) == (2, 0)
    while bot.get_guild(guild.id).get_member(join.user_id) is None:  # noqa: ASYNC110  (discord.py has no event for it)
        await asyncio.sleep(0.01)
    assert "join" not in bot.seen()


async def test_a_session_too_old_to_replay_is_invalid(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    await connect()
    sandbox.drop_gateway(4000)
    await sandbox.join(guild.id, "late")
    for session in sandbox.gateway.sessions.values():
        session.forget()
    await sandbox.wait_connected()
    assert sandbox.gateway.identifies == 2


async def test_all_members_arrive_in_chunks(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    sandbox.add_members(guild.id, 2_500)
    bot = await connect()
    assert len(bot.get_guild(guild.id).members) == 2_502
    assert bot.get_guild(guild.id).chunked


async def test_members_are_found_by_id_and_by_name(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    travis = sandbox.add_member(guild.id, "TravisP")
    bot = await connect(chunk_guilds_at_startup=False)
    seen = bot.get_guild(guild.id)
    assert [m.id for m in await seen.query_members(user_ids=[travis.id, 1])] == [travis.id]
    assert [m.id for m in await seen.query_members("travis")] == [travis.id]


async def test_each_shard_gets_its_own_guilds(sandbox: Sandbox, connect: Connect) -> None:
    sandbox.settings.shards = 2
    guilds = [sandbox.add_guild(f"guild {n}", guild_id=(1000 + n) << 22) for n in range(4)]
    bot = await connect()
    assert bot.shard_count == 2
    assert {bot.get_guild(g.id).shard_id for g in guilds} == {0, 1}
    for guild in guilds:
        await sandbox.join(guild.id, f"in {guild.name}")
        assert (await bot.next_event("join")).guild.id == guild.id
    per_shard = {s.shard_id: s for s in sandbox.gateway.connected}
    assert not any(per_shard[0].covers(g.id) and per_shard[1].covers(g.id) for g in guilds)


async def test_without_the_members_intent_no_join_arrives(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect(Bot(discord.Intents.default()))
    await sandbox.join(guild.id, "unseen")
    sandbox.add_invite(guild.id)
    assert (await bot.events.get())[0] == "guild_available"
    assert (await bot.events.get())[0] == "shard_ready"
    assert (await bot.events.get())[0] == "invite_create"


async def test_a_bot_that_is_added_shows_in_the_audit_log(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    admin = sandbox.add_member(guild.id, "admin")
    bot = await connect()
    join = await sandbox.join(guild.id, "OtherBot", source="bot", added_by=admin.id)
    assert (await bot.next_event("join")).bot
    entry = await bot.next_event("audit")
    assert (entry.action, entry.user_id) == (discord.AuditLogAction.bot_add, admin.id)
    listed = [e async for e in bot.get_guild(guild.id).audit_logs(action=discord.AuditLogAction.bot_add)]
    assert [e.target.id for e in listed] == [join.user_id]


async def test_a_guild_goes_and_comes_back(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.set_guild_available(guild.id, False)
    await bot.next_event("guild_unavailable")
    sandbox.set_guild_available(guild.id, True)
    await bot.next_event("guild_available")
    sandbox.kick_bot(guild.id)
    assert (await bot.next_event("guild_remove")).id == guild.id
    sandbox.readd_bot(guild.id)
    assert (await bot.next_event("guild_join")).id == guild.id
    added = sandbox.add_guild("Second")
    assert (await bot.next_event("guild_join")).id == added.id


async def test_a_new_name_reaches_the_bot(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    member = sandbox.add_member(guild.id, "old")
    bot = await connect()
    sandbox.update_member(guild.id, member.id, nick="Nick", username="new")
    after = await bot.next_event("member_update")
    assert (after.nick, after.name) == ("Nick", "new")


async def test_a_deleted_channel_takes_its_invites_along_silently(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", channels=("a", "b"))
    first = guild.first_text_channel()
    assert first is not None
    sandbox.add_invite(guild.id, channel=first.id)
    bot = await connect()
    sandbox.delete_channel(guild.id, first.id)
    assert (await bot.next_event("channel_delete")).id == first.id
    assert await bot.get_guild(guild.id).invites() == []


async def test_a_thousand_joins_in_a_row_all_arrive_in_order(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    invite = sandbox.add_invite(guild.id)
    bot = await connect()
    for n in range(1_000):
        await sandbox.join(guild.id, f"user_{n}", code=invite.code)
    seen = [(await bot.next_event("join")).id for _ in range(1_000)]
    assert seen == [j.user_id for j in sandbox.ledger]
    assert (await bot.get_guild(guild.id).invites())[0].uses == 1_000


async def test_a_gateway_that_is_down_is_connected_again_later(
    sandbox: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.add_guild("PipVault")
    point_at(sandbox, monkeypatch)
    monkeypatch.setattr("discord.backoff.ExponentialBackoff.delay", lambda self: 0.05)
    await connect()
    sandbox.faults.set(gateway_down=True)
    sandbox.drop_gateway()
    await asyncio.sleep(0.2)
    assert not sandbox.gateway.connected
    sandbox.faults.reset()
    await sandbox.wait_connected()


async def test_rest_can_be_ahead_of_the_gateway(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    invite = sandbox.add_invite(guild.id)
    bot = await connect()
    sandbox.faults.set(gateway_lag_ms=3_600_000)
    await sandbox.join(guild.id, "john_doe", code=invite.code)
    assert (await bot.get_guild(guild.id).invites())[0].uses == 1
    assert "join" not in bot.seen()


async def test_any_event_can_be_dropped(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.set(drop_events={"INVITE_CREATE": 1})
    sandbox.add_invite(guild.id)
    second = sandbox.add_invite(guild.id)
    assert (await bot.next_event("invite_create")).code == second.code


async def test_a_heartbeat_is_answered_unless_told_otherwise(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(sandbox.gateway_url) as socket:
        hello = await socket.receive_json()
        assert hello["d"]["heartbeat_interval"] == sandbox.settings.heartbeat_interval_ms
        await socket.send_json({"op": 1, "d": None})
        assert (await socket.receive_json())["op"] == 11
        sandbox.faults.set(heartbeat_acks=False)
        await socket.send_json({"op": 1, "d": None})
        await socket.send_json({"op": 99, "d": None})
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4003


async def test_a_client_that_sends_too_much_is_closed(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(sandbox.gateway_url) as socket:
        for _ in range(121):
            await socket.send_json({"op": 1, "d": None})
        async for _ in socket:
            pass
        assert socket.close_code == 4008


async def test_the_reconnect_opcode_makes_the_client_resume(sandbox: Sandbox, connect: Connect) -> None:
    sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.gateway.reconnect()
    await bot.next_event("resumed")
    assert sandbox.gateway.identifies == 1


async def test_a_limited_member_request_gets_no_chunks(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect(chunk_guilds_at_startup=False)
    sandbox.faults.set(member_chunks="limited")
    # discord.py 2.7 does not know RATE_LIMITED, so the request stays open.
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bot.get_guild(guild.id).chunk(), 0.3)
