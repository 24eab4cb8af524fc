"""The whole producer: what is learnt after a join is recorded goes into the changes, over restarts too."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from mortal_bot import Bot, settings_for

from joins import keys
from joins.chain import Record
from joins.records import CHANGES
from joins.redis_url import Client
from ops.sandbox import Sandbox
from producer import following
from producer.confirmation import Confirmation, ConfirmingPace


async def changes(client: Client, count: int) -> list[Record]:
    async with asyncio.timeout(20):
        while client.xlen(keys.stream(CHANGES)) < count:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.05)
    entries: Any = client.xrange(keys.stream(CHANGES))
    return [json.loads(fields[b"r"]) for _, fields in entries]


@pytest.mark.parametrize("search", [True, False])
async def test_ambiguous_joins_are_settled_after_a_restart_unless_member_search_is_off(
    search: bool, redis_client: Client, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)

    def paced(*ages: float) -> None:
        pace = ConfirmingPace(ages=ages, gather=0.05)
        monkeypatch.setattr(following, "Confirmation", partial(Confirmation, pace=pace))

    paced(60.0)
    async with Sandbox() as sandbox:
        guild = sandbox.add_guild("PipVault")
        maria = sandbox.add_member(guild.id, "maria")
        for code in ("one", "two"):
            sandbox.add_invite(guild.id, inviter=maria.id, code=code)
        bot = Bot(sandbox, redis_client, settings_for(sandbox, server_url, tmp_path, member_search=search), monkeypatch)
        await bot.start()
        await sandbox.join(guild.id, "ann", code="one")
        ben = await sandbox.join(guild.id, "ben", code="two")
        await sandbox.join(guild.id, "helper", bot=True, added_by=maria.id)
        records = await bot.records(3)
        assert records["ann"]["confidence"] == records["ben"]["confidence"] == "ambiguous"
        assert records["helper"]["evidence"] == {"added_by": str(maria.id)}
        await bot.stop()
        paced(0.3, 1.0, 60.0)
        await bot.start()
        settled = {record["user_id"]: record for record in await changes(redis_client, 2 if search else 0)}
        codes = {records[name]["user_id"]: code for name, code in (("ann", "one"), ("ben", "two"))}
        told = {user: (record["change"], record["invite_code"]) for user, record in settled.items()}
        assert told == ({user: ("attribution_corrected", code) for user, code in codes.items()} if search else {})
        async with asyncio.timeout(10):
            while redis_client.hkeys(keys.UNCONFIRMED):  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.05)
        await sandbox.leave(guild.id, ben.user_id)
        left = (await changes(redis_client, len(settled) + 1))[-1]
        assert (left["change"], left["join_id"]) == ("member_left", records["ben"]["join_id"])
        await bot.stop()
