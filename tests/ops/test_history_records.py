"""Which members of a guild `invitelog backfill` records, and who is credited for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from joins import keys
from joins.records import timestamp
from ops.history_records import History
from ops.member_pages import Page
from producer.found import Found
from producer.listened import FIRST

GUILD = "111222333444555666"
BOT = "3"


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


def history(redis: fakeredis.FakeRedis, folder: Path) -> History:
    return History(redis, folder, {"id": GUILD, "name": "PipVault"}, BOT)


def test_a_member_is_credited_to_whom_the_code_was_assigned_when_he_joined(
    redis: fakeredis.FakeRedis, tmp_path: Path
) -> None:
    redis.hset(keys.CODES, f"{GUILD}/abc/2025-02-01T00:00:00.000000", "8")
    times = ("2025-01-31T23:59:59.000000", "2025-02-01T00:00:00.000000", "2025-02-01T00:00:00.000001")
    records = history(redis, tmp_path).records(page(*(member(n, time) for n, time in enumerate(times, 10))))
    assert [(record["staff_id"], record["flags"]) for record in records] == [
        ("7", ["backfilled"]), ("8", ["backfilled"]), ("8", ["backfilled"]),
    ]  # fmt: skip


def test_where_that_is_not_known_nobody_is_credited_and_the_record_says_so(
    redis: fakeredis.FakeRedis, tmp_path: Path
) -> None:
    redis.hset(keys.CODES, f"{GUILD}/abc", "8")
    (record,) = history(redis, tmp_path).records(page(member(10, "2025-01-31T10:00:00.000000")))
    assert (record["invite_code"], record["staff_id"]) == ("abc", None)
    assert record["flags"] == ["backfilled", "staff_unresolved"]
