"""To whom a code was assigned when: what the registry says of a moment, live and after a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import fakeredis
import pytest

from joins import keys
from joins.publish import look_up
from joins.records import CHANGES, timestamp
from producer.staff_registry import AssignmentUnknown, Staff, StaffRegistry

GUILD = "111222333444555666"
BEFORE, FIRST, BETWEEN, SECOND, AFTER = (f"2026-01-0{day}T00:00:00.000000" for day in range(1, 6))


def assignment(staff_id: str, at: str) -> dict[str, Any]:
    return {
        "change": "code_assigned", "guild_id": GUILD, "invite_code": "abc", "staff_id": staff_id, "recorded_at": at,
    }  # fmt: skip


@pytest.mark.parametrize("restarted", [False, True])
def test_a_code_stood_for_whom_it_was_assigned_to_at_the_time(restarted: bool) -> None:
    registry, redis = StaffRegistry(), fakeredis.FakeRedis()
    for change in (assignment("7", FIRST), assignment("8", SECOND)):
        _, field, value = look_up(CHANGES, change)
        redis.hset(keys.CODES, field, value)
        registry.learn(change)
    if restarted:
        registry = StaffRegistry()
        registry.load(redis)
    told = [registry.of_code(GUILD, "abc", at) for at in (BEFORE, BETWEEN, AFTER, None)]
    assert told == [None, Staff("7", None), Staff("8", None), Staff("8", None)]


def test_an_assignment_kept_without_its_time_counts_from_the_start_on_and_is_not_guessed_of_before() -> None:
    registry, redis = StaffRegistry(), fakeredis.FakeRedis()
    redis.hset(keys.CODES, f"{GUILD}/abc", "7")
    registry.load(redis)
    later = timestamp(datetime.now(UTC) + timedelta(seconds=1))
    assert registry.of_code(GUILD, "abc") == registry.of_code(GUILD, "abc", later) == Staff("7", None)
    with pytest.raises(AssignmentUnknown):
        registry.of_code(GUILD, "abc", BEFORE)
    registry.learn(assignment("8", later))
    assert registry.of_code(GUILD, "abc") == Staff("8", None)
