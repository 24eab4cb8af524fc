"""The REST side, as the real client sees it."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
import discord
import pytest
from discord.http import Route
from sandbox_bot import Connect

from ops.sandbox import Sandbox, WorldError


async def search(bot: discord.Client, guild_id: int, **body: Any) -> Any:
    """Member search through the client's own HTTP, as the producer calls it."""
    route = Route("POST", "/guilds/{guild_id}/members-search", guild_id=guild_id)
    return await bot.http.request(route, json=body)


async def test_the_invite_list_has_uses_with_manage_guild(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    staff = sandbox.add_member(guild.id, "TravisP")
    made = sandbox.add_invite(guild.id, inviter=staff.id, max_uses=5, max_age=600, temporary=True)
    bot = await connect()
    await sandbox.join(guild.id, "john_doe", code=made.code)
    (invite,) = await bot.get_guild(guild.id).invites()
    assert (invite.code, invite.uses, invite.max_uses, invite.max_age) == (made.code, 1, 5, 600)
    assert (invite.inviter.id, invite.channel.id, invite.temporary) == (staff.id, made.channel_id, True)
    assert (invite.created_at, invite.expires_at) == (made.created_at, made.expires_at)


async def test_the_invite_list_lacks_metadata_with_view_audit_log_alone(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", bot_permissions="VIEW_AUDIT_LOG,VIEW_CHANNEL")
    made = sandbox.add_invite(guild.id)
    bot = await connect()
    (raw,) = await bot.http.invites_from(guild.id)
    assert raw["code"] == made.code
    assert not {"uses", "max_uses", "max_age", "created_at", "temporary"} & set(raw)


async def test_the_invite_list_is_forbidden_without_permission(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.set_bot_permissions(guild.id, 0)
    with pytest.raises(discord.Forbidden) as caught:
        await bot.get_guild(guild.id).invites()
    assert caught.value.code == 50013


async def test_a_used_up_and_an_expired_invite_vanish_from_the_list(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    used, expired, kept = (sandbox.add_invite(guild.id, max_uses=n) for n in (1, 0, 2))
    bot = await connect()
    await sandbox.join(guild.id, "john_doe", code=used.code)
    sandbox.expire_invite(guild.id, expired.code)
    assert [i.code for i in await bot.get_guild(guild.id).invites()] == [kept.code]


async def test_uses_can_show_late(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", vanity="pip")
    invite, single = sandbox.add_invite(guild.id), sandbox.add_invite(guild.id, max_uses=1)
    bot = await connect()
    sandbox.faults.set(uses_delay_ms=60_000)
    for code in (invite.code, single.code):
        await sandbox.join(guild.id, "john_doe", code=code)
    await sandbox.join(guild.id, "john_doe", vanity=True)
    assert {i.code: i.uses for i in await bot.get_guild(guild.id).invites()} == {invite.code: 0, single.code: 0}
    assert (await bot.http.get_vanity_code(guild.id))["uses"] == 0
    for late in (invite.late, single.late, guild.vanity.late):
        late.clear()
    single.gone_at = single.created_at
    assert {i.code: i.uses for i in await bot.get_guild(guild.id).invites()} == {invite.code: 1}
    assert (await bot.http.get_vanity_code(guild.id))["uses"] == 1


async def test_the_vanity_url_tells_its_uses_with_manage_guild_only(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", vanity="pipvault")
    bot = await connect()
    join = await sandbox.join(guild.id, "john_doe", vanity=True)
    assert (join.source, join.code) == ("vanity", "pipvault")
    assert await bot.http.get_vanity_code(guild.id) == {"code": "pipvault", "uses": 1}
    sandbox.set_bot_permissions(guild.id, "VIEW_CHANNEL")
    with pytest.raises(discord.Forbidden):
        await bot.http.get_vanity_code(guild.id)


async def test_the_bot_creates_an_invite_and_hears_of_it(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    invite = await bot.get_guild(guild.id).text_channels[0].create_invite(max_uses=3, max_age=60)
    assert invite.inviter.id == bot.user.id
    assert (await bot.next_event("invite_create")).code == invite.code


async def test_all_members_are_listed_page_by_page(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    sandbox.add_members(guild.id, 1_200)
    bot = await connect(chunk_guilds_at_startup=False)
    seen = bot.get_guild(guild.id)
    listed = [m.id async for m in seen.fetch_members(limit=None)]
    assert sorted(listed) == sorted(guild.members)  # discord.py turns each page round
    with pytest.raises(discord.NotFound):
        await seen.fetch_member(1)


async def test_member_search_tells_code_source_and_inviter(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", vanity="pip")
    staff = sandbox.add_member(guild.id, "TravisP")
    invite = sandbox.add_invite(guild.id, inviter=staff.id)
    bot = await connect()
    joins = [
        await sandbox.join(guild.id, "by_invite", code=invite.code),
        await sandbox.join(guild.id, "by_vanity", vanity=True),
        await sandbox.join(guild.id, "by_discovery", source="discovery"),
        await sandbox.join(guild.id, "by_hub", source="hub"),
    ]
    ids = [str(j.user_id) for j in joins]
    answer = await search(bot, guild.id, or_query={"user_id": {"or_query": ids}}, limit=1000)
    assert (answer["guild_id"], answer["page_result_count"], answer["total_result_count"]) == (str(guild.id), 4, 4)
    told = {
        m["member"]["user"]["username"]: (m["join_source_type"], m["source_invite_code"], m["inviter_id"])
        for m in answer["members"]
    }
    assert told == {
        "by_invite": (5, invite.code, str(staff.id)),
        "by_vanity": (6, "pip", None),
        "by_discovery": (3, None, None),
        "by_hub": (4, None, None),
    }


async def test_member_search_knows_how_earlier_members_joined(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    staff = sandbox.add_member(guild.id, "TravisP")
    at = "2025-10-31T14:30:45.123456+00:00"
    old = sandbox.add_member(guild.id, "old", joined_at=at, source="invite", code="gone", inviter=staff.id)
    bot = await connect()
    answer = await search(bot, guild.id, and_query={"user_id": {"or_query": [str(old.id)]}})
    (found,) = answer["members"]
    assert (found["source_invite_code"], found["inviter_id"]) == ("gone", str(staff.id))
    assert found["member"]["joined_at"] == at


async def test_member_search_filters_by_join_time(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    first = await sandbox.join(guild.id, "first")
    edge = int(first.joined_at.timestamp() * 1000)
    for low, high, count in ((edge, edge + 60_000, 1), (edge + 60_000, edge + 70_000, 0)):
        query = {"guild_joined_at": {"range": {"gte": low, "lte": high}}, "user_id": {"or_query": [str(first.user_id)]}}
        answer = await search(bot, guild.id, and_query=query)
        assert answer["total_result_count"] == count


async def test_member_search_takes_at_most_ten_values(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    ids = [str(n) for n in range(11)]
    with pytest.raises(discord.HTTPException) as caught:
        await search(bot, guild.id, or_query={"user_id": {"or_query": ids}})
    assert caught.value.code == 50035


async def test_member_search_misses_a_fresh_member_until_indexed(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.set(index_delay_ms=60_000)
    join = await sandbox.join(guild.id, "fresh")
    query = {"user_id": {"or_query": [str(join.user_id)]}}
    assert (await search(bot, guild.id, or_query=query))["members"] == []
    guild.members[join.user_id].indexed_at = join.joined_at
    assert len((await search(bot, guild.id, or_query=query))["members"]) == 1


async def test_member_search_indexes_first_when_told_so(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.set(member_search="indexing", indexing_retry_after=2.0)
    answer = await search(bot, guild.id)
    assert (answer["code"], answer["retry_after"]) == (110000, 2.0)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_member_search_is_refused_when_told_so(sandbox: Sandbox, connect: Connect, status: int) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.set(member_search="refused", member_search_status=status)
    with pytest.raises(discord.HTTPException) as caught:
        await search(bot, guild.id)
    assert caught.value.status == status


async def test_member_search_needs_manage_guild(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault", bot_permissions="VIEW_CHANNEL")
    bot = await connect()
    with pytest.raises(discord.Forbidden):
        await search(bot, guild.id)


async def test_a_429_is_waited_for_and_tried_again_by_the_client(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    fault = sandbox.faults.limit(r"GET /guilds/\d+/invites", retry_after=0.05, count=2)
    assert await bot.get_guild(guild.id).invites() == []
    assert fault.count == 0


async def test_the_limit_of_a_route_is_enforced(sandbox: Sandbox, connect: Connect) -> None:
    bot = await connect()
    session = bot.http._HTTPClient__session
    headers = {"Authorization": f"Bot {sandbox.token}"}
    statuses = set()
    for _ in range(60):
        async with session.get(f"{sandbox.api_url}/users/@me", headers=headers) as response:
            statuses.add(response.status)
            assert response.headers["Content-Type"] == "application/json"
            assert int(response.headers["X-RateLimit-Remaining"]) < int(response.headers["X-RateLimit-Limit"])
            if response.status == 429:
                assert response.headers["Via"]
                assert (await response.json())["retry_after"] > 0
                break
    assert 429 in statuses


async def test_an_injected_error_hits_its_route_as_often_as_told(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.fail(r"GET /guilds/\d+/invites", 403, 50013, count=1)
    with pytest.raises(discord.Forbidden):
        await bot.get_guild(guild.id).invites()
    assert await bot.get_guild(guild.id).invites() == []


async def test_a_slow_answer_can_be_stale(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    invite = sandbox.add_invite(guild.id)
    bot = await connect()
    for stale, uses in ((True, 0), (False, 2)):
        fault = sandbox.faults.slow(r"GET /guilds/\d+/invites", 300, count=1, stale=stale)
        asked = asyncio.create_task(bot.get_guild(guild.id).invites())
        while fault.count:  # noqa: ASYNC110  (until the request has come)
            await asyncio.sleep(0.001)
        await sandbox.join(guild.id, "john_doe", code=invite.code)
        assert (await asked)[0].uses == uses


async def test_a_broken_connection_is_an_error_of_the_client(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.faults.cut(r"GET /guilds/\d+/invites", count=2)
    with pytest.raises(aiohttp.ClientError):
        await bot.get_guild(guild.id).invites()


async def test_a_message_with_a_file_is_kept_and_heard(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    channel = bot.get_guild(guild.id).text_channels[0]
    sent = await channel.send("hello", file=discord.File(io.BytesIO(b"a,b\n"), "log.csv"))
    (kept,) = sandbox.messages(channel.id)
    assert (kept.content, [(f.name, f.data) for f in kept.files]) == ("hello", [("log.csv", b"a,b\n")])
    assert kept.allowed_mentions == {"parse": []}
    assert await sent.attachments[0].read() == b"a,b\n"
    await sent.edit(content="changed")
    assert (kept.content, kept.edits[0]["content"]) == ("changed", "hello")
    await sent.delete()
    assert sandbox.messages(channel.id) == []


async def test_only_allowed_mentions_ping(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    channel = bot.get_guild(guild.id).text_channels[0]
    text = f"<@{guild.owner_id}> <@&{guild.bot_role_id}> @everyone"
    for allowed in (None, discord.AllowedMentions(users=True), discord.AllowedMentions.all()):
        await channel.send(text, **({"allowed_mentions": allowed} if allowed else {}))
    owner, role = str(guild.owner_id), str(guild.bot_role_id)
    assert [m.pings for m in sandbox.messages(channel.id)] == [[], [owner], [owner, role, "everyone"]]


async def test_a_message_needs_the_right_to_send(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    guild.roles[guild.id].permissions = 0
    sandbox.set_bot_permissions(guild.id, "VIEW_CHANNEL")
    with pytest.raises(discord.Forbidden) as caught:
        await bot.get_guild(guild.id).text_channels[0].send("hello")
    assert caught.value.code == 50013


@pytest.mark.parametrize(
    "body",
    [
        {"content": "x" * 2001},
        {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
        {"embeds": [{"fields": [{"name": "n", "value": "v" * 1025}]}]},
        {"embeds": [{"fields": [{"name": "n" * 257, "value": "v"}]}]},
        {"embeds": [{"description": "d" * 4000}, {"description": "d" * 2001}]},
        {},
    ],
)
async def test_a_message_over_a_limit_is_refused(sandbox: Sandbox, connect: Connect, body: dict[str, Any]) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    route = Route("POST", "/channels/{channel_id}/messages", channel_id=max(guild.channels))
    with pytest.raises(discord.HTTPException) as caught:
        await bot.http.request(route, json=body)
    assert caught.value.status == 400


async def test_too_large_a_file_is_refused(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    guild.filesize_limit = 100
    bot = await connect()
    with pytest.raises(discord.HTTPException) as caught:
        await bot.get_guild(guild.id).text_channels[0].send(file=discord.File(io.BytesIO(b"x" * 101), "big"))
    assert (caught.value.status, caught.value.code) == (413, 40005)


async def test_member_search_pages_through_all_members(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    sandbox.add_members(guild.id, 25)
    bot = await connect()
    seen: list[int] = []
    after: dict[str, Any] = {}
    while True:
        answer = await search(bot, guild.id, sort=2, limit=10, **({"after": after} if after else {}))
        if not answer["members"]:
            break
        page = [int(m["member"]["user"]["id"]) for m in answer["members"]]
        seen += page
        last = guild.members[page[-1]]
        after = {"user_id": str(last.id), "guild_joined_at": int(last.joined_at.timestamp() * 1000)}
    assert sorted(seen) == sorted(guild.members)


async def test_an_invite_made_long_ago_expires_by_time_without_an_event(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    old = sandbox.add_invite(guild.id, max_age=3600, age=3600)
    kept = sandbox.add_invite(guild.id, max_age=3600, age=3000)
    assert old.expires_at is not None
    assert [i.code for i in await bot.get_guild(guild.id).invites()] == [kept.code]
    with pytest.raises(WorldError):
        await sandbox.join(guild.id, "late", code=old.code)


async def test_an_invite_may_have_no_channel(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    sandbox.add_invite(guild.id, channel=0)
    bot = await connect()
    (raw,) = await bot.http.invites_from(guild.id)
    assert raw["channel"] is None


async def test_the_bot_deletes_an_invite(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    made = sandbox.add_invite(guild.id)
    bot = await connect()
    assert (await bot.fetch_invite(made.code)).uses is None
    await bot.delete_invite(made.code)
    assert (await bot.next_event("invite_delete")).code == made.code
    with pytest.raises(discord.NotFound):
        await bot.fetch_invite(made.code)


async def test_every_request_is_noted(sandbox: Sandbox, connect: Connect) -> None:
    guild = sandbox.add_guild("PipVault")
    bot = await connect()
    sandbox.requests.clear()
    await bot.get_guild(guild.id).invites()
    assert list(sandbox.requests) == [("GET", f"/guilds/{guild.id}/invites", 200)]
