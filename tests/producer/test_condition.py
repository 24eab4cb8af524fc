"""What this process tells `/invite_status`."""

from __future__ import annotations

import pytest
from community import Community

from joins import process_report
from joins.process_report import Report
from joins.redis_url import Client
from producer.condition import Condition
from producer.member_search import SearchState


@pytest.fixture
async def condition(community: Community, redis_client: Client) -> Condition:
    await community.client.wait_until_ready()
    return Condition(community.client, community.workers, redis_client, lambda guild_id: SearchState("refused", "403"))


async def test_a_guild_is_told_with_its_missing_permissions_and_its_last_look(
    community: Community, condition: Condition
) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["MANAGE_GUILD", "VIEW_AUDIT_LOG"])
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    state = condition.guild(str(community.guild_id))
    assert state.missing is not None
    assert [one.name for one in state.missing] == ["Manage Channels"]
    assert state.invites_read_at is not None
    assert (state.search, state.search_reason) == ("refused", "403")


async def test_a_guild_that_is_not_known_has_no_state(condition: Condition) -> None:
    state = condition.guild("1")
    assert (state.missing, state.invites_read_at) == (None, None)


async def test_the_copies_are_told_from_their_consumers_own_reports(condition: Condition, redis_client: Client) -> None:
    process_report.send(redis_client, Report("json", "working"))
    process_report.send(redis_client, Report("cloud", "failing", "the bucket is gone", 7.0))
    sinks = await condition.sinks()
    assert sinks is not None
    assert [(sink.name, sink.state) for sink in sinks] == [
        ("json", "working"),
        ("csv", "gone"),
        ("sqlite", "gone"),
        ("cloud", "failing"),
    ]
    assert (sinks[3].reason, sinks[3].since) == ("the bucket is gone", 7.0)
    redis_client.close()
