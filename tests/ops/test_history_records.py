"""Which members of a guild `invitelog backfill` records, and who is credited for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from joins import keys
from joins.records import join_id, moment, timestamp
from ops.history_records import History
from ops.member_pages import Page
from producer.found import Found
from producer.listened import FIRST

GUILD = "111222333444555666"
BOT = "999"


def member(user_id: int, joined_at: str, **user: Any) -> dict[str, Any]:
    return {"user": {"id": str(user_id), "username": f"m{user_id}", **user}, "joined_at": f"{joined_at}+00:00"}


def page(*members: dict[str, Any]) -> Page:
    """A page whose members all came by `abc`, the invite of 7."""
    found = {
        one["user"]["id"]: Found(one["user"]["id"], one["joined_at"].removesuffix("+00:00"), "invite", "abc", "7")
        for one in members
    }
    return Page(list(members), found, None)


@pytest.fixture
def redis() -> fakeredis.FakeRedis:
    redis = fakeredis.FakeRedis()
    redis.hset(keys.LISTENED, FIRST, timestamp(datetime.now(UTC)))
    return redis


def history(redis: fakeredis.FakeRedis, folder: Path, bot_joined: datetime | None = None) -> History:
    return History(redis, folder, {"id": GUILD, "name": "PipVault"}, BOT, bot_joined)


def day(number: int) -> str:
    return f"2025-03-{number:02}T10:00:00.000000"


def test_a_member_is_credited_to_whom_the_code_was_assigned_when_he_joined(
    redis: fakeredis.FakeRedis, tmp_path: Path
) -> None:
    redis.hset(keys.CODES, f"{GUILD}/abc/2025-02-01T00:00:00.000000", "8")
    times = ("2025-01-31T23:59:59.000000", "2025-02-01T00:00:00.000000", "2025-02-01T00:00:00.000001")
    records, _ = history(redis, tmp_path).records(page(*(member(n, time) for n, time in enumerate(times, 10))))
    assert [(record["staff_id"], record["flags"]) for record in records] == [
        ("7", ["backfilled"]), ("8", ["backfilled"]), ("8", ["backfilled"]),
    ]  # fmt: skip


def test_where_that_is_not_known_nobody_is_credited_and_the_record_says_so(
    redis: fakeredis.FakeRedis, tmp_path: Path
) -> None:
    redis.hset(keys.CODES, f"{GUILD}/abc", "8")
    ((record,), _) = history(redis, tmp_path).records(page(member(10, "2025-01-31T10:00:00.000000")))
    assert (record["invite_code"], record["staff_id"]) == ("abc", None)
    assert record["flags"] == ["backfilled", "staff_unresolved"]


@pytest.mark.parametrize(
    ("listened", "bot_joined", "recorded", "left"),
    [
        (day(3), None, [1, 2, 3], 2),
        (day(3), day(2), [1, 2, 3], 2),  # the bot was there before
        (day(3), day(4), [1, 2, 3, 4], 1),  # nobody was to be listened to until it was added again
        (day(9), None, [1, 2, 3, 4, 5], 0),
        (None, day(2), [1, 2], 3),  # added while the producer was away
        (None, None, [1], 4),
    ],
)
def test_whoever_joined_in_an_outage_that_is_not_reconciled_is_left_to_the_producer(
    redis: fakeredis.FakeRedis,
    tmp_path: Path,
    listened: str | None,
    bot_joined: str | None,
    recorded: list[int],
    left: int,
) -> None:
    redis.hset(keys.LISTENED, FIRST, day(1))
    if listened:
        redis.hset(keys.LISTENED, GUILD, listened)
    made = history(redis, tmp_path, moment(bot_joined) if bot_joined else None)
    records, to_producer = made.records(page(*(member(n, day(n)) for n in range(1, 6))))
    assert ([int(record["user_id"]) for record in records], to_producer) == (recorded, left)


def test_who_of_them_has_a_record_or_joined_just_now_is_not_counted(redis: fakeredis.FakeRedis, tmp_path: Path) -> None:
    redis.hset(keys.LISTENED, mapping={FIRST: day(1), GUILD: day(1)})
    now = timestamp(datetime.now(UTC))
    redis.hset(keys.PUBLISHED, join_id(GUILD, "12", day(2)), "1-0")
    made = history(redis, tmp_path)
    assert made.records(page(member(11, day(2)), member(12, day(2)), member(13, now))) == ([], 1)


def test_before_any_producer_was_started_everybody_is_history(redis: fakeredis.FakeRedis, tmp_path: Path) -> None:
    redis.delete(keys.LISTENED)
    records, left = history(redis, tmp_path).records(page(member(11, day(1)), member(12, day(20))))
    assert (len(records), left) == (2, 0)
