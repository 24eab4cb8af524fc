"""Members who leave, through the sandbox: the join that a leave ends, the time spent, and what is no leave."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from community import Community
from factories import GUILD, batch
from producer_fakes import FakeRecorder

from consumers.json_log import JsonLog
from joins.errors import SinkUnavailable
from joins.records import JOINS, moment
from producer.known_joins import KnownJoins
from producer.leaves import Leaves

USER = "123456789012345678"


async def test_a_leave_names_the_join_that_it_ends_and_the_time_spent(community: Community) -> None:
    join = await community.sandbox.join(community.guild_id, "john", code="maria")
    record = await community.recorder.of("john")
    await asyncio.sleep(1.1)
    await community.sandbox.leave(community.guild_id, join.user_id)
    (change,) = await community.recorder.changes_of(1)
    assert (change["change"], change["join_id"], change["user_id"], change["guild_id"]) == (
        "member_left", record["join_id"], str(join.user_id), str(community.guild_id),
    )  # fmt: skip
    assert change["time_spent_seconds"] in (1, 2)
    assert moment(change["left_at"]) > moment(record["timestamp"])


async def test_a_member_who_leaves_before_the_join_is_recorded_leaves_that_join(community: Community) -> None:
    community.sandbox.faults.slow(r"GET /guilds/\d+/invites", 500, count=1)
    join = await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.sandbox.leave(community.guild_id, join.user_id)
    (change,) = await community.recorder.changes_of(1)
    assert not community.recorder.records
    assert change["join_id"] == (await community.recorder.of("john"))["join_id"]


async def test_each_stay_has_its_own_leave(community: Community) -> None:
    sandbox, guild = community.sandbox, community.guild_id
    john = (await sandbox.join(guild, "john", code="maria")).user_id
    await sandbox.leave(guild, john)
    await sandbox.join(guild, john, code="travis")
    await sandbox.leave(guild, john)
    changes = await community.recorder.changes_of(2)
    records = await community.recorder.wait_for(2)
    assert {change["join_id"] for change in changes} == {record["join_id"] for record in records}


async def test_a_doubled_event_is_one_leave(community: Community) -> None:
    join = await community.sandbox.join(community.guild_id, "john", code="maria")
    old = community.sandbox.add_member(community.guild_id, "old")
    for user_id in (join.user_id, old.id):
        data = {"guild_id": str(community.guild_id), "user": {"id": str(user_id), "username": "x"}}
        for _ in range(2):
            community.client._connection.parsers["GUILD_MEMBER_REMOVE"](data)
    await community.recorder.changes_of(2)
    await asyncio.sleep(0.1)
    assert len(community.recorder.changes) == 2


async def test_somebody_whose_join_is_not_known_leaves_without_one(community: Community) -> None:
    member = community.sandbox.add_member(community.guild_id, "old")
    await community.sandbox.leave(community.guild_id, member.id)
    (change,) = await community.recorder.changes_of(1)
    assert (change["join_id"], change["user_id"]) == (None, str(member.id))
    assert "time_spent_seconds" not in change


async def test_the_bots_own_removal_and_a_guild_that_is_not_known_are_no_leaves(community: Community) -> None:
    assert community.client.user is not None
    parse = community.client._connection.parsers["GUILD_MEMBER_REMOVE"]
    own = {"id": str(community.client.user.id), "username": "bot"}
    parse({"guild_id": str(community.guild_id), "user": own})
    parse({"guild_id": "42", "user": {"id": "7", "username": "x"}})
    await asyncio.sleep(0.1)
    assert not community.recorder.changes


async def test_a_join_of_an_earlier_start_is_found_in_the_log(tmp_path: Path) -> None:
    records = batch(JOINS, 0, 2, user_id=USER)
    sink = JsonLog(tmp_path)
    sink.write(JOINS, records)
    sink.close()
    recorder, told = FakeRecorder(), []
    leaves = Leaves(recorder, KnownJoins(tmp_path), lambda *who: told.append(who))
    recorder.failures = [SinkUnavailable("the disk is full")]
    leaves.left(GUILD, USER, moment(records[1]["timestamp"]) + timedelta(days=1))
    running = asyncio.create_task(leaves.run())
    await leaves.finished()
    running.cancel()
    (change,) = recorder.changes.values()
    assert (change["join_id"], change["time_spent_seconds"]) == (records[1]["join_id"], 86400)
    assert told == [(GUILD, USER)]


async def test_clocks_that_differ_make_no_negative_time() -> None:
    recorder, known = FakeRecorder(), KnownJoins()
    (record,) = batch(JOINS, 0, 1, user_id=USER)
    known.learn(record)
    leaves = Leaves(recorder, known)
    leaves.left(GUILD, USER, datetime(2020, 1, 1, tzinfo=UTC))
    running = asyncio.create_task(leaves.run())
    await leaves.finished()
    running.cancel()
    assert [change["time_spent_seconds"] for change in recorder.changes.values()] == [0]
