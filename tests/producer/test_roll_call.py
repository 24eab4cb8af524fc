"""When a list of members tells who is not in a guild, and when it tells nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from producer.presence import Presence
from producer.roll_call import RollCall

BOT = 3


async def listed(ids: list[int], end: bool = True) -> AsyncIterator[Mapping[str, Any]]:
    for user_id in ids:
        yield {"user": {"id": str(user_id)}}
    if not end:
        raise OSError("the connection is lost")


async def read(ids: list[int]) -> RollCall:
    roll = RollCall(datetime.now(UTC))
    assert [int(member["user"]["id"]) async for member in roll.read(listed(ids))] == ids
    return roll


def guild(members: int) -> Presence:
    return Presence("1", None, str(BOT), None, members, False)


async def test_it_tells_who_was_in_the_list_by_number() -> None:
    roll = await read([3, 20, 100, 2**64 - 1])
    assert [roll.has(user) for user in ("3", "20", "100", str(2**64 - 1))] == [True] * 4
    assert [roll.has(user) for user in ("1", "2", "4", "99", "101", str(2**64 - 2), str(10**20 - 1))] == [False] * 7
    assert not (await read([])).has("3")


@pytest.mark.parametrize(
    ("ids", "members", "whole"),
    [
        ([3, 4, 5], 3, True),
        ([3, 4, 5], 2, True),  # somebody joined meanwhile
        ([3, 4, 5], 5, True),  # two left meanwhile
        ([3, 4, 5], 6, False),  # cut short
        (list(range(1, 991)), 1000, True),
        (list(range(1, 990)), 1000, False),
        ([4, 5], 2, False),  # the bot is a member, so this is not the list
        ([], 0, False),
        ([3, 5, 4], 3, False),  # pages follow each other by id, so one out of order may have gone past some
        ([3, 4, 4], 3, False),
    ],
)
async def test_a_list_that_may_lack_members_is_not_whole(ids: list[int], members: int, whole: bool) -> None:
    assert (await read(ids)).is_whole(guild(members)) is whole


async def test_a_list_that_was_not_read_to_its_end_is_not_whole() -> None:
    roll = RollCall(datetime.now(UTC))
    with pytest.raises(OSError, match="lost"):
        _ = [member async for member in roll.read(listed([3, 4], end=False))]
    assert not roll.is_whole(guild(2))
    assert not RollCall(datetime.now(UTC)).is_whole(guild(0))
