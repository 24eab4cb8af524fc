"""A raid: very many join at once over five invites. Nothing is dropped, nothing is late, Discord's limits are kept.

The environment variable RAID=full plays all of it, 1,000 joins in ten seconds (`make raid`).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
import pytest
from discord.gateway import DiscordWebSocket
from mortal_bot import Bot, settings_for

from joins import keys
from joins.records import CHANGES, moment
from joins.redis_url import Client
from ops.sandbox import Sandbox
from producer import confirmation
from producer.confirmation import ConfirmingPace

JOINS, SECONDS = (1000, 10.0) if os.environ.get("RAID") == "full" else (200, 2.0)
INVITES = 5
RECORDED_WITHIN = 5.0  # seconds after the last join
GROWTH = 32 * 2**20  # bytes of memory, that of the sandbox, which is in this process, included
LISTS = (5, 5.0)  # requests in seconds: far less than the sandbox's usual 50 a second
SEARCHES = (10, 1.0)
SETTLING = ConfirmingPace(ages=(3.0, 6.0, 12.0, 30.0), gather=0.1)


def resident() -> int:
    """This process's memory, in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def settled(client: Client, count: int) -> dict[str, str]:
    """The code that member search told of each join, once it is told of so many."""
    async with asyncio.timeout(60):
        while client.xlen(keys.stream(CHANGES)) < count:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.05)
    entries: Any = client.xrange(keys.stream(CHANGES))
    return {change["join_id"]: change["invite_code"] for change in (json.loads(fields[b"r"]) for _, fields in entries)}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("search", ["on", "refused"])
async def test_a_raid_is_recorded_whole_soon_and_within_the_limits(
    redis_client: Client,
    server_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    search: str,
) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(confirmation, "ConfirmingPace", lambda: SETTLING)
    limits = {"GET /guilds/{guild_id}/invites": LISTS, "POST /guilds/{guild_id}/members-search": SEARCHES}
    async with Sandbox(rate_limits=limits) as sandbox:
        sandbox.faults.set(member_search=search)
        guild = sandbox.add_guild("PipVault").id
        maria = sandbox.add_member(guild, "maria").id
        for number in range(INVITES):
            sandbox.add_invite(guild, inviter=maria, code=f"c{number}")
        bot = Bot(sandbox, redis_client, settings_for(sandbox, server_url, tmp_path), monkeypatch)
        await bot.start()
        asked, before = len(sandbox.requests), resident()
        began = time.monotonic()
        for number in range(JOINS):
            await asyncio.sleep(max(began + SECONDS * number / JOINS - time.monotonic(), 0))
            await sandbox.join(guild, f"m{number}", code=f"c{number % INVITES}")
        ended, last = time.monotonic(), datetime.now(UTC)
        records = await bot.records(JOINS)
        out = time.monotonic() - ended
        grown = resident() - before
        late = max((moment(record["recorded_at"]) - last).total_seconds() for record in records.values())
        lists = [one for one in list(sandbox.requests)[asked:] if one.path.endswith("/invites")]
        codes = await settled(redis_client, JOINS) if search == "on" else {}
        done = time.monotonic() - ended
        refused = sum(one.status == 429 for one in sandbox.requests)
        grown = max(grown, resident() - before)
        await bot.stop()
    kinds = Counter(record["confidence"] for record in records.values())
    with capsys.disabled():
        print(
            f"\nraid, member search {search}: {JOINS} joins in {ended - began:.1f} s, {dict(kinds)}; all recorded "
            f"{out:.1f} s after the last, {len(codes)} settled by {done:.1f} s; "
            f"{len(lists)} lists, {refused} answers 429; memory +{grown / 2**20:.1f} MiB"
        )
    truth = {join.username: join.code for join in sandbox.ledger}
    assert records.keys() == truth.keys()
    if search == "on":
        assert {name: codes[record["join_id"]] for name, record in records.items()} == truth
    named = [record for record in records.values() if record["confidence"] == "exact"]
    assert [record for record in named if record["invite_code"] != truth[record["username"]]] == []
    assert out < RECORDED_WITHIN
    assert late < RECORDED_WITHIN
    assert refused <= 2
    assert len(lists) <= LISTS[0] * (1 + (SECONDS + RECORDED_WITHIN) / LISTS[1])
    assert grown < GROWTH
