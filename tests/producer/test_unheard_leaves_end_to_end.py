"""Members who leave while the bot is away: the whole producer and a real database, against a sandbox Discord."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import discord
import pytest
from copied import Copied
from discord.gateway import DiscordWebSocket
from mortal_bot import Bot, settings_for

from joins import keys
from joins.chain import Record
from joins.records import CHANGES, moment
from joins.redis_url import Client
from ops.sandbox import Sandbox
from ops.sandbox.models import Join
from producer import reconciling, unheard_leaves


class Scene:
    """A bot that comes and goes, and the database that follows its streams."""

    def __init__(self, bot: Bot, guild_id: int, client: Client, copied: Copied) -> None:
        self.bot, self.sandbox, self.guild_id = bot, bot.sandbox, guild_id
        self._client, self._copied = client, copied

    async def join(self, name: str, **how: Any) -> Join:
        return await self.sandbox.join(self.guild_id, name, **(how or {"code": "maria"}))

    async def leave(self, *joins: Join) -> None:
        for join in joins:
            await self.sandbox.leave(self.guild_id, join.user_id)

    def copy(self) -> None:
        self._copied.catch_up(self._client)

    async def leaves(self, count: int, copying: bool = True) -> dict[str, Record]:
        """The leaves in the stream by the join they end, once there are so many."""
        async with asyncio.timeout(20):
            while self._client.xlen(keys.stream(CHANGES)) < count:
                if copying:
                    self.copy()
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        entries: Any = self._client.xrange(keys.stream(CHANGES))
        changes = [json.loads(fields[b"r"]) for _, fields in entries]
        assert [change["change"] for change in changes] == ["member_left"] * count
        return {change["join_id"]: change for change in changes}


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Copied]:
    made = Copied(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def scene(
    redis_client: Client, server_url: str, tmp_path: Path, copied: Copied, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """A guild with the invite `maria`, in which member search is refused; nobody is waited for."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(unheard_leaves, "LATE", 0.1)
    monkeypatch.setattr(unheard_leaves, "RETRY", 0.05)
    monkeypatch.setattr(unheard_leaves, "FRESH", unheard_leaves.FRESH * 0)
    async with Sandbox() as sandbox:
        sandbox.faults.member_search = "refused"
        guild = sandbox.add_guild("PipVault")
        maria = sandbox.add_member(guild.id, "maria")
        sandbox.add_invite(guild.id, inviter=maria.id, code="maria")
        bot = Bot(sandbox, redis_client, settings_for(sandbox, server_url, tmp_path), monkeypatch)
        made = Scene(bot, guild.id, redis_client, copied)
        await bot.start()
        yield made
        await bot.stop()


async def test_who_leaves_while_the_bot_is_away_is_recorded_with_the_bounds_that_are_known(scene: Scene) -> None:
    john, _, bot = await scene.join("john"), await scene.join("ben"), await scene.join("helper", bot=True)
    records = await scene.bot.records(3)
    await scene.bot.stop()
    scene.copy()
    await scene.leave(john, bot)
    await scene.bot.start()
    left = await scene.leaves(2)
    assert left.keys() == {records[name]["join_id"] for name in ("john", "helper")}
    change = left[records["john"]["join_id"]]
    assert (change["user_id"], change["flags"]) == (str(john.user_id), ["reconciled"])
    assert moment(records["john"]["timestamp"]) <= moment(change["left_after"]) < moment(change["left_before"])
    assert "left_at" not in change


async def test_one_start_after_another_records_a_leave_once(scene: Scene) -> None:
    john = await scene.join("john")
    await scene.bot.records(1)
    await scene.bot.stop()
    await scene.leave(john)
    for copying in (True, True, False):
        await scene.bot.start()
        await scene.leaves(1, copying)
        await scene.bot.stop()
    await scene.bot.start()
    await scene.leaves(1)


async def test_who_left_and_came_back_while_the_bot_was_away_is_there(scene: Scene) -> None:
    john, ben = await scene.join("john"), await scene.join("ben")
    records = await scene.bot.records(2)
    await scene.bot.stop()
    await scene.leave(john, ben)
    await scene.sandbox.join(scene.guild_id, john.user_id, code="maria")
    await scene.bot.start()
    assert (await scene.leaves(1)).keys() == {records["ben"]["join_id"]}


async def test_a_leave_whose_event_was_lost_is_found_at_the_next_session(scene: Scene) -> None:
    john = await scene.join("john")
    await scene.bot.records(1)
    scene.copy()
    scene.sandbox.set_guild_available(scene.guild_id, False)
    scene.sandbox.faults.drop_member_removes = 1
    await scene.leave(john)
    scene.sandbox.set_guild_available(scene.guild_id, True)
    assert len(await scene.leaves(1)) == 1


async def test_a_leave_that_was_heard_but_is_not_in_the_database_yet_stays_as_it_was_recorded(scene: Scene) -> None:
    john, ben = await scene.join("john"), await scene.join("ben")
    records = await scene.bot.records(2)
    scene.copy()
    await scene.leave(john)
    await scene.leaves(1, copying=False)
    await scene.bot.stop()
    await scene.leave(ben)
    await scene.bot.start()
    await scene.leaves(1, copying=False)
    left = await scene.leaves(2)
    assert "left_at" in left[records["john"]["join_id"]]
    assert left[records["ben"]["join_id"]]["flags"] == ["reconciled"]


async def test_in_a_guild_that_is_asked_by_search_alone_nobody_is_taken_to_have_left(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    john = await scene.join("john")
    await scene.bot.records(1)
    await scene.bot.stop()
    scene.copy()
    monkeypatch.setattr(reconciling, "LISTED", 1)
    monkeypatch.setattr(reconciling, "INDEXED_AFTER", 0.1)
    scene.sandbox.faults.member_search = "on"
    await scene.leave(john)
    await scene.bot.start()
    await scene.leaves(0)
