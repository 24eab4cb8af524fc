"""Confirmation beside what people decide: their word is the later one, and an assignment credits nobody before it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from community import Community
from confirming_process import Confirming

from joins.errors import SinkUnavailable
from joins.records import timestamp
from producer.found import Found
from producer.staff_registry import Staff


async def test_what_a_person_decided_is_not_asked_for(community: Community, confirming: Confirming) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    join = await community.recorder.of("john")
    await community.until(lambda: confirming.now.waiting)
    async with confirming.now.deciding(join["join_id"]):
        await asyncio.sleep(0.7)
    await confirming.settled()
    assert not community.recorder.changes


async def test_while_a_person_decides_nothing_is_settled_and_if_that_fails_it_is(
    community: Community, confirming: Confirming
) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    join = await community.recorder.of("john")
    await community.until(lambda: confirming.now.waiting)

    async def fail() -> None:
        async with confirming.now.deciding(join["join_id"]):
            await asyncio.sleep(0.7)
            assert not community.recorder.changes
            assert confirming.kept() == {join["join_id"]}
            raise SinkUnavailable("the disk is full")

    with pytest.raises(SinkUnavailable):
        await fail()
    await community.recorder.changes_of(1, "attribution_confirmed")
    await confirming.settled()


async def test_a_person_waits_for_what_is_being_settled_so_that_his_word_is_the_later_one(
    community: Community, confirming: Confirming
) -> None:
    community.recorder.slow_changes.clear()
    await community.sandbox.join(community.guild_id, "john", code="maria")
    join = await community.recorder.of("john")
    await community.until(lambda: community.recorder.under_way == 1)

    async def decide() -> int:
        async with confirming.now.deciding(join["join_id"]):
            return len(community.recorder.changes)

    person = asyncio.create_task(decide())
    await asyncio.sleep(0.1)
    assert not person.done()
    community.recorder.slow_changes.set()
    assert await person == 1


async def test_what_a_person_decides_between_the_answer_and_its_record_is_not_settled(
    community: Community, confirming: Confirming, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, deciding = confirming.search.by_ids, list[asyncio.Task[None]]()

    async def decide() -> None:
        async with confirming.now.deciding(next(iter(community.recorder.records))):
            await asyncio.sleep(0.1)

    async def answered(*given: Any) -> dict[str, Found]:
        found = await search(*given)
        deciding.append(asyncio.create_task(decide()))  # it begins before what was found is judged
        return found

    monkeypatch.setattr(confirming.search, "by_ids", answered)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    await confirming.settled()
    assert len(deciding) == 1
    assert not community.recorder.changes


async def test_an_assignment_after_the_join_credits_nobody_where_no_code_was_foreseen(
    community: Community, confirming: Confirming
) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL"])
    await asyncio.sleep(0.05)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    assert (await community.recorder.of("john"))["candidates"] == []
    await community.until(lambda: confirming.search.state(str(community.guild_id)).state == "refused")
    community.recorder.assigned["maria"] = Staff("88", "somebody else")
    community.recorder.assigned_at["maria"] = timestamp(datetime.now(UTC))
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL", "MANAGE_GUILD"])
    (change,) = await community.recorder.changes_of(1)
    assert (change["invite_code"], change["staff_id"]) == ("maria", str(community.maria))


async def test_where_it_is_not_known_whom_the_code_stood_for_nobody_is_credited_and_that_is_flagged(
    community: Community, confirming: Confirming
) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL"])
    await asyncio.sleep(0.05)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.until(lambda: confirming.search.state(str(community.guild_id)).state == "refused")
    community.recorder.undated.add("maria")
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL", "MANAGE_GUILD"])
    (change,) = await community.recorder.changes_of(1)
    assert (change["invite_code"], change["staff_id"], change["flags"]) == ("maria", None, ["staff_unresolved"])
