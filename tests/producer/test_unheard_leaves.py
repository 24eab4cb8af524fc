"""Who left while nobody listened: from a list of members and a real database, without Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from copied import Copied
from factories import GUILD, change, join
from producer_fakes import FakeRecorder

from joins import keys
from joins.chain import Record
from joins.event_id import ZERO, following
from joins.records import CHANGES, JOINS, moment, timestamp
from producer import open_stays, unheard_leaves
from producer.known_joins import KnownJoins
from producer.leaves import Leaves
from producer.listened import Listened
from producer.payloads import Arrival
from producer.presence import Presence
from producer.roll_call import RollCall
from producer.unheard_leaves import UnheardLeaves

BOT = 99
LONG_AGO = datetime.now(UTC) - timedelta(days=400)


async def listed(ids: list[int]) -> AsyncIterator[Mapping[str, Any]]:
    for user_id in ids:
        yield {"user": {"id": str(user_id), "username": f"m{user_id}"}}


class Scene:
    """The joins and leaves of one guild; `present` are read from its list."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.copied = folder, Copied(folder)
        self.recorder, self.known = FakeRecorder(), KnownJoins()
        self.told: list[str] = []
        self.leaves = Leaves(self.recorder, self.known, lambda _guild, user: self.told.append(user))
        self.redis = fakeredis.FakeRedis()
        self.listened = Listened(self.redis)
        self.arrivals: list[Arrival] = []
        self.ahead: dict[str, str] | None = None  # what the streams hold, if it is more than the database has
        self.unheard = UnheardLeaves(folder, self, self.leaves, self.known, self.listened)
        self.tasks = [asyncio.create_task(self.unheard.run()), asyncio.create_task(self.leaves.run())]

    def unresolved(self) -> list[Arrival]:
        return self.arrivals

    async def published(self) -> Mapping[str, str] | None:
        return self.ahead or self.copied.heads()

    def joined(self, user_id: int, at: datetime = LONG_AGO) -> Record:
        return self.copied.add(JOINS, join(user_id=str(user_id), timestamp=timestamp(at)))

    def left(self, record: Record, **more: Any) -> None:
        about = {"join_id": record["join_id"], "user_id": record["user_id"], "change_id": f"left {record['join_id']}"}
        self.copied.add(CHANGES, change(kind="member_left", **(about | more)))

    async def read(self, *present: int, members: int | None = None) -> Presence:
        """Gives over a list; the bot is in it."""
        ids = sorted([*present, BOT])
        presence = Presence(GUILD, "PipVault", str(BOT), None, len(ids) if members is None else members, False)
        roll = RollCall(datetime.now(UTC))
        async for _ in roll.read(listed(ids)):
            pass
        self.unheard.take(presence, roll)
        return presence

    async def found(self, *present: int) -> list[Record]:
        """The leaves that the list of these members shows."""
        await self.read(*present)
        async with asyncio.timeout(10):
            await self.unheard.finished()
        return list(self.recorder.changes.values())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheard_leaves, "LATE", 0.0)
    monkeypatch.setattr(unheard_leaves, "RETRY", 0.02)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    made.copied.close()


async def test_who_has_a_join_without_an_end_and_is_not_in_the_list_left(scene: Scene) -> None:
    record, _ = scene.joined(7), scene.joined(8)
    before = datetime.now(UTC)
    (left,) = await scene.found(8)
    assert (left["change"], left["join_id"], left["user_id"], left["guild_id"]) == (
        "member_left", record["join_id"], "7", GUILD,
    )  # fmt: skip
    assert left["left_after"] == record["timestamp"]
    assert before <= moment(left["left_before"]) <= datetime.now(UTC)
    assert left["flags"] == ["reconciled"]
    assert not left.keys() & {"left_at", "time_spent_seconds"}
    assert scene.told == ["7"]


async def test_it_is_the_same_change_as_that_of_a_leave_that_is_heard(scene: Scene) -> None:
    record = scene.joined(7)
    (unheard,) = await scene.found()
    scene.known.learn(record)
    scene.recorder.changes.clear()
    scene.leaves.left(GUILD, "7", datetime.now(UTC))
    await scene.leaves.finished()
    assert list(scene.recorder.changes) == [unheard["change_id"]]


async def test_a_leave_on_record_is_not_recorded_again(scene: Scene) -> None:
    scene.left(scene.joined(7))
    nameless = scene.joined(8)
    scene.left(nameless, join_id=None, recorded_at=timestamp(LONG_AGO + timedelta(days=1)))
    assert await scene.found() == []


async def test_who_came_back_after_a_leave_and_left_unheard_left_the_later_stay(scene: Scene) -> None:
    first, other = scene.joined(7), scene.joined(8)
    scene.left(first)
    scene.left(other, join_id=None, recorded_at=timestamp(LONG_AGO + timedelta(days=1)))
    later = [scene.joined(user, LONG_AGO + timedelta(days=2))["join_id"] for user in (7, 8)]
    assert [left["join_id"] for left in await scene.found()] == later


async def test_who_left_unheard_and_came_back_is_there(scene: Scene) -> None:
    scene.joined(7)
    scene.joined(7, LONG_AGO + timedelta(days=2))
    assert await scene.found(7) == []


async def test_the_members_of_another_guild_are_not_concerned(scene: Scene) -> None:
    scene.copied.add(JOINS, join(user_id="7", guild_id="4242"))
    assert await scene.found() == []


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
async def test_ids_of_every_length_are_told_apart_on_pages_of_any_size(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(open_stays, "PAGE", page)
    ids = [5, 10, 50, 100, 99_999, 10**16 + 1, 10**17, 9 * 10**17, 10**18 + 3, 2**64 - 1]
    for user_id in ids:
        scene.joined(user_id)
    scene.left(scene.joined(50, LONG_AGO + timedelta(days=1)))
    there = {10, 99_999, 10**17, 10**18 + 3}
    assert {int(left["user_id"]) for left in await scene.found(*there)} == set(ids) - there - {50}


async def test_a_join_of_the_last_minute_is_left_to_the_next_list(scene: Scene) -> None:
    scene.joined(7, datetime.now(UTC) - timedelta(seconds=30))
    scene.joined(8, datetime.now(UTC) - timedelta(seconds=90))
    assert [left["user_id"] for left in await scene.found()] == ["8"]


async def test_a_join_recorded_since_the_list_was_begun_is_left_to_the_next_however_old_it_looks(scene: Scene) -> None:
    recorded_at = timestamp(datetime.now(UTC) + timedelta(seconds=5))
    scene.copied.add(JOINS, join(user_id="7", timestamp=timestamp(LONG_AGO), recorded_at=recorded_at))
    assert await scene.found() == []


async def test_who_joined_anew_while_the_list_was_read_is_not_taken_to_have_left(scene: Scene) -> None:
    scene.joined(7)
    scene.known.learn(join(user_id="7", timestamp=timestamp(datetime.now(UTC))))
    assert await scene.found() == []


async def test_a_leave_that_was_heard_is_recorded_with_its_time(scene: Scene) -> None:
    scene.known.learn(scene.joined(7))
    scene.leaves.left(GUILD, "7", datetime.now(UTC))
    (left,) = await scene.found()
    assert left["time_spent_seconds"] > 0


async def test_a_leave_heard_of_an_earlier_stay_does_not_hide_a_later_one(scene: Scene) -> None:
    first = scene.joined(7)
    scene.known.learn(first)
    scene.leaves.left(GUILD, "7", LONG_AGO + timedelta(days=1))
    await scene.leaves.finished()
    later = scene.joined(7, LONG_AGO + timedelta(days=2))
    assert [left["join_id"] for left in await scene.found()] == [first["join_id"], later["join_id"]]


async def test_a_database_that_lags_is_waited_for_and_a_leave_it_lacked_counts(scene: Scene) -> None:
    record, other = scene.joined(7), scene.joined(8)
    heads = scene.copied.heads()
    scene.ahead = heads | {CHANGES: following(ZERO)}
    await scene.read()
    await asyncio.sleep(0.1)
    assert not scene.recorder.changes
    scene.ahead = None
    scene.left(record)
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert [left["join_id"] for left in scene.recorder.changes.values()] == [other["join_id"]]


async def test_a_database_that_comes_later_is_waited_for(scene: Scene) -> None:
    scene.copied.close()
    for path in scene.folder.iterdir():
        path.unlink()
    scene.ahead = {JOINS: "1-0", CHANGES: ZERO}
    await scene.read()
    await asyncio.sleep(0.1)
    scene.ahead = None
    scene.copied = Copied(scene.folder)
    scene.joined(7)
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert [left["user_id"] for left in scene.recorder.changes.values()] == ["7"]


async def test_a_join_that_has_no_record_yet_is_waited_for(scene: Scene) -> None:
    scene.joined(7)
    scene.arrivals = [{"guild_id": GUILD, "user_id": "7", "timestamp": timestamp(LONG_AGO + timedelta(days=1))}]
    await scene.read()
    await asyncio.sleep(0.1)
    assert not scene.recorder.changes
    record = scene.joined(7, LONG_AGO + timedelta(days=1))
    scene.arrivals = []
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert [left["join_id"] for left in scene.recorder.changes.values()] == [record["join_id"]]


async def test_a_guild_that_is_gone_is_not_waited_for(scene: Scene) -> None:
    scene.ahead = {JOINS: "9-0", CHANGES: ZERO}
    presence = await scene.read()
    await asyncio.sleep(0.05)
    presence.here = False
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert not scene.listened.leaves


async def test_many_leaves_are_handed_over_a_batch_at_a_time_each_durable_before_the_next(scene: Scene) -> None:
    for user_id in range(1000, 1000 + 2 * unheard_leaves.BATCH + 7):
        scene.joined(user_id)
    scene.recorder.slow_changes.clear()
    await scene.read()
    async with asyncio.timeout(10):
        while not scene.recorder.under_way:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert scene.recorder.under_way == unheard_leaves.BATCH
    scene.recorder.slow_changes.set()
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert len(scene.recorder.changes) == 2 * unheard_leaves.BATCH + 7


async def test_a_fault_in_one_guild_does_not_end_the_work(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.joined(7)
    pages = open_stays.pages

    def once(folder: Path, guild_id: str) -> Iterator[Any]:
        monkeypatch.setattr(open_stays, "pages", pages)
        raise OSError("the disk is gone")

    monkeypatch.setattr(open_stays, "pages", once)
    assert await scene.found() == []
    assert not scene.listened.leaves, "nothing is claimed of a guild that was not worked off"
    assert len(await scene.found()) == 1


@pytest.mark.parametrize("lacking", ["the bot", "many"])
async def test_nothing_is_concluded_from_a_list_that_was_cut_short(scene: Scene, lacking: str) -> None:
    for user_id in range(1, 40):
        scene.joined(user_id)
    if lacking == "many":
        await scene.read(1, 2, 3, members=40)
    else:
        roll = RollCall(datetime.now(UTC))
        async for _ in roll.read(listed([1, 2])):
            pass
        scene.unheard.take(Presence(GUILD, None, str(BOT), None, 2, False), roll)
    async with asyncio.timeout(10):
        await scene.unheard.finished()
    assert not scene.recorder.changes


async def test_what_all_leaves_are_known_up_to_bounds_the_next_ones(scene: Scene) -> None:
    scene.joined(7)
    assert await scene.found(7) == []
    known = scene.listened.leaves[GUILD]
    assert known <= datetime.now(UTC) - unheard_leaves.FRESH
    (left,) = await scene.found()
    assert left["left_after"] == timestamp(known)


async def test_that_time_follows_what_is_heard_until_a_gap_and_survives_a_restart(scene: Scene) -> None:
    heard = datetime.now(UTC) - timedelta(seconds=20)
    await scene.found()
    scene.listened.begin(GUILD, heard)
    await scene.listened.write()
    again = Listened(scene.redis)
    again.load()
    assert again.leaves[GUILD] == heard
    scene.listened.missed(GUILD)
    scene.listened.begin(GUILD, datetime.now(UTC))
    await scene.listened.write()
    assert moment(scene.redis.hget(keys.LEFT, GUILD).decode()) == heard


async def test_while_a_last_minute_join_is_not_accounted_for_that_time_does_not_follow(scene: Scene) -> None:
    scene.joined(7, datetime.now(UTC) - timedelta(seconds=30))
    await scene.found()
    known = scene.listened.leaves[GUILD]
    scene.listened.begin(GUILD, datetime.now(UTC))
    await scene.listened.write()
    assert scene.listened.leaves[GUILD] == known
