"""The serial worker of one guild, against a recorder and invites in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from producer_fakes import GUILD, QUICK, FakeInvites, FakeRecorder, arrival, failed

from joins.errors import InvalidRecord, SinkUnavailable
from producer import evidence
from producer.guild_worker import GuildWorker
from producer.guild_workers import GuildWorkers
from producer.looking import Pace
from producer.registrar import Registrar
from producer.snapshot import Invite
from producer.staff_registry import Staff


@dataclass
class Scene:
    recorder: FakeRecorder
    invites: FakeInvites
    worker: GuildWorker

    async def looked(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.invites.looks < count:  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A worker that has its first snapshot: `a` was used 5 times, `b` 3 times."""
    recorder, invites = FakeRecorder(), FakeInvites(a=5, b=3)
    worker = GuildWorker(GUILD, invites, Registrar(recorder), QUICK)
    task = asyncio.create_task(worker.run())
    worker.resync(missed=False)
    scene = Scene(recorder, invites, worker)
    async with asyncio.timeout(10):
        while not worker.evidence.baseline:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.005)
    yield scene
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_join_is_recorded_with_its_invite_and_the_inviter_as_staff(scene: Scene) -> None:
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["invite_code"], record["uses_before"], record["uses_after"]) == ("a", 5, 6)
    assert (record["staff_id"], record["staff_username"], record["inviter_id"]) == ("7", "maria", "7")
    assert (record["source"], record["method"], record["confidence"]) == ("invite", "invite_difference", "exact")


async def test_an_assignment_comes_before_the_inviter(scene: Scene) -> None:
    scene.recorder.assigned["a"] = Staff("99", "TravisP#0001")
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["staff_id"], record["staff_username"], record["inviter_id"]) == ("99", "TravisP#0001", "7")


async def test_joins_that_wait_are_one_batch_with_one_look(scene: Scene) -> None:
    scene.invites.use("a", 20)
    for number in range(20):
        scene.worker.join(arrival(f"m{number}", number))
    records = await scene.recorder.wait_for(20)
    assert [record["uses_after"] for record in records] == list(range(6, 26))
    assert scene.invites.looks == 2


async def test_members_who_come_while_the_list_is_on_its_way_are_counted(scene: Scene) -> None:
    scene.invites.use("a", 2)
    scene.invites.during = lambda: scene.worker.join(arrival("second", 2))
    scene.worker.join(arrival("first", 1))
    records = await scene.recorder.wait_for(2)
    assert [(r["username"], r["uses_after"]) for r in records] == [("first", 6), ("second", 7)]


async def test_a_use_whose_event_lags_is_not_taken_for_the_member_who_waits(scene: Scene) -> None:
    scene.invites.use("a")  # by `second`, whose event is on its way
    scene.worker.join(arrival("first", 1))
    await asyncio.sleep(0.02)
    scene.worker.join(arrival("second", 2))
    assert [record["confidence"] for record in await scene.recorder.wait_for(2)] == ["ambiguous", "ambiguous"]


async def test_a_use_that_shows_late_is_found_by_the_second_look(scene: Scene) -> None:
    scene.invites.during = lambda: scene.invites.use("b")
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.wait_for(1))[0]["invite_code"] == "b"
    assert scene.invites.looks == 3


async def test_a_use_that_shows_after_the_record_is_not_taken_for_the_next_members(scene: Scene) -> None:
    scene.worker.join(arrival("late", 1))
    assert (await scene.recorder.of("late"))["method"] == "no_difference"
    looks = scene.invites.looks
    scene.invites.use("a")
    await scene.looked(looks + 1)
    scene.invites.use("b")
    scene.worker.join(arrival("next", 2))
    assert (await scene.recorder.of("next"))["invite_code"] == "b"


async def test_the_same_event_twice_is_one_join(scene: Scene) -> None:
    scene.invites.use("a")
    john = arrival("john", 1)
    scene.worker.join(john)
    scene.worker.join(dict(john))
    (record,) = await scene.recorder.wait_for(1)
    assert record["confidence"] == "exact"


async def test_a_bot_is_recorded_without_a_look(scene: Scene) -> None:
    scene.worker.join(arrival("helper", 1, bot=True))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["source"], record["method"], record["invite_code"]) == ("bot", "oauth2", None)
    assert scene.invites.looks == 1


async def test_an_invite_made_and_used_up_at_once_is_known_from_its_event(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LISTED_WITHIN", timedelta(seconds=0.04))
    scene.worker.invite_created(Invite("quick", 0, max_uses=1, inviter_id="8"))
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["invite_code"], record["method"]) == ("quick", "limited_invite_used_up")


@pytest.mark.parametrize("by_hand", [True, False])
async def test_an_invites_end_names_it_only_once_the_audit_log_had_time_to_say_by_hand(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, by_hand: bool
) -> None:
    monkeypatch.setattr(evidence, "LISTED_WITHIN", timedelta(0))
    scene.invites.audited = True
    scene.worker.invite_created(Invite("once", 0, max_uses=1, inviter_id="8"))
    scene.worker.invite_deleted("once")
    scene.worker.join(arrival("hub", 1))
    await asyncio.sleep(QUICK.hold * 8)
    assert not scene.recorder.records
    if by_hand:
        scene.worker.invite_deleted("once", by_hand=True)
    (record,) = await scene.recorder.wait_for(1)
    assert record["invite_code"] == (None if by_hand else "once")
    assert record["confidence"] == ("ambiguous" if by_hand else "exact")


async def test_an_invite_that_vanished_while_deletions_were_not_heard_is_not_named(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LISTED_WITHIN", timedelta(0))
    scene.worker.invite_created(Invite("once", 0, max_uses=1, inviter_id="8"))
    scene.worker.unwatched()
    scene.worker.join(arrival("hub", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["confidence"], record["invite_code"]) == ("ambiguous", None)


async def test_a_look_that_fails_is_repeated_while_the_join_waits(scene: Scene) -> None:
    scene.invites.failures = [failed()]
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.wait_for(1))[0]["invite_code"] == "a"


async def test_a_list_that_cannot_be_fetched_in_time_leaves_the_join_unknown_and_the_snapshot_as_it_was(
    scene: Scene,
) -> None:
    scene.invites.failures = [failed()] * 50
    baseline = scene.worker.evidence.baseline
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["method"], record["confidence"]) == ("fetch_failed", "unknown")
    assert scene.worker.evidence.baseline == baseline


async def test_any_fault_in_attribution_leaves_the_join_recorded_as_unknown(scene: Scene) -> None:
    scene.invites.failures = [KeyError("a payload of a new kind")]
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.wait_for(1))[0]["method"] == "internal_error"
    await scene.looked(3)
    assert scene.worker.evidence.baseline, "it goes on with a new snapshot"


async def test_a_recorder_that_is_full_is_waited_for(scene: Scene) -> None:
    scene.recorder.failures = [SinkUnavailable("the disk is full")]
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.wait_for(1))[0]["invite_code"] == "a"


async def test_an_attribution_that_makes_no_valid_record_is_recorded_as_unknown(scene: Scene) -> None:
    scene.recorder.failures = [InvalidRecord("a code that is no text")]
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.wait_for(1))[0]["method"] == "internal_error"


async def test_no_look_is_judged_while_the_gateway_is_away(scene: Scene) -> None:
    scene.invites.use("a")
    scene.worker.offline()
    scene.worker.join(arrival("john", 1))
    await asyncio.sleep(0.3)
    assert not scene.recorder.records
    scene.worker.online()
    assert (await scene.recorder.wait_for(1))[0]["invite_code"] == "a"


async def test_nothing_is_exact_over_a_lost_session(scene: Scene) -> None:
    scene.worker.resync(missed=True)
    scene.invites.use("a")
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert (record["confidence"], record["candidates"][0]["invite_code"]) == ("ambiguous", "a")


async def test_a_missing_permission_is_said_in_the_record_and_recovers_by_itself(scene: Scene) -> None:
    scene.invites.permitted = False
    scene.worker.join(arrival("john", 1))
    assert (await scene.recorder.of("john"))["method"] == "no_permission"
    scene.invites.permitted = True
    await scene.looked(scene.invites.looks + 1)
    scene.worker.evidence = replace(scene.worker.evidence, debtors=())  # a minute later
    scene.invites.use("a")
    scene.worker.join(arrival("jane", 2))
    assert (await scene.recorder.of("jane"))["invite_code"] == "a"


async def test_a_join_before_the_first_snapshot_is_recorded() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = GuildWorkers(invites, Registrar(recorder), QUICK)
    workers.of(GUILD).join(arrival("early", 1))
    assert (await recorder.wait_for(1))[0]["method"] == "no_snapshot"
    assert await workers.stop(1.0) == 0


async def test_joins_of_an_earlier_start_are_recorded_once_the_gateway_is_there() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    left = arrival("left", 1)
    recorder.arrivals.append(left)
    workers = GuildWorkers(invites, Registrar(recorder), QUICK)
    workers.adopt([left])
    await asyncio.sleep(0.15)
    assert not recorder.records
    workers.of(GUILD).online()
    assert (await recorder.wait_for(1))[0]["method"] == "no_snapshot"
    await workers.stop(1.0)


async def started(invites: FakeInvites, recorder: FakeRecorder, pace: Pace) -> GuildWorkers:
    """Workers of which that of GUILD has its first snapshot."""
    workers = GuildWorkers(invites, Registrar(recorder), pace)
    workers.of(GUILD).resync(missed=False)
    async with asyncio.timeout(10):
        while not workers.of(GUILD).evidence.baseline:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.005)
    return workers


async def test_stopping_waits_for_the_second_look_that_a_join_needs() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, recheck=0.3))
    workers.of(GUILD).join(arrival("john", 1))
    stopping = asyncio.create_task(workers.stop(5.0))
    await asyncio.sleep(0.1)
    invites.use("a")  # it shows late
    assert await stopping == 0
    assert (await recorder.of("john"))["invite_code"] == "a"


async def test_stopping_leaves_a_join_that_no_look_has_settled_in_time_to_the_next_start() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, recheck=60))
    workers.of(GUILD).join(arrival("john", 1))
    assert await workers.stop(0.2) == 1
    assert not recorder.records


async def test_stopping_does_not_name_a_join_exact_before_an_event_that_lags_had_time_to_come() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, hold=0.3))
    invites.use("a")  # by `second`, whose event is on its way
    workers.of(GUILD).join(arrival("first", 1))
    stopping = asyncio.create_task(workers.stop(5.0))
    await asyncio.sleep(0.1)
    workers.of(GUILD).join(arrival("second", 2))
    assert await stopping == 0
    assert [record["confidence"] for record in await recorder.wait_for(2)] == ["ambiguous", "ambiguous"]


@pytest.mark.parametrize("bot", [True, False])
async def test_stopping_while_the_gateway_is_away_leaves_its_joins_to_the_next_start_at_once(bot: bool) -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, retry=60))
    workers.of(GUILD).offline()
    workers.of(GUILD).join(arrival("john", 1, bot=bot))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        assert await workers.stop(60.0) == 1
    assert recorder.arrivals
    assert not recorder.records


async def test_stopping_while_the_invites_cannot_be_fetched_leaves_the_join_to_the_next_start_at_once() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, retry=60))
    invites.failures = [failed()] * 1000
    workers.of(GUILD).join(arrival("john", 1))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        assert await workers.stop(60.0) == 1
    assert not recorder.records


async def test_a_guild_left_while_a_join_waits_has_a_fresh_worker_when_the_bot_is_back() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, hold=0.3))
    forgotten = workers.of(GUILD)
    invites.use("a")
    forgotten.join(arrival("before", 1))
    await asyncio.sleep(0.1)
    workers.forget(GUILD)
    assert workers.of(GUILD) is not forgotten
    assert (await recorder.of("before"))["confidence"] == "unknown", "who else joined was not heard any more"
    workers.of(GUILD).resync(missed=False)
    async with asyncio.timeout(10):
        while not workers.of(GUILD).evidence.baseline:  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.005)
    invites.use("a")  # by `second`, whose event is on its way
    workers.of(GUILD).join(arrival("first", 2))
    await asyncio.sleep(0.1)
    workers.of(GUILD).join(arrival("second", 3))
    assert (await recorder.of("first"))["confidence"] == "ambiguous"
    assert (await recorder.of("second"))["confidence"] == "ambiguous"
    assert await workers.stop(5.0) == 0


async def test_a_guild_left_while_its_invites_cannot_be_fetched_credits_no_later_use_to_the_join_that_waits() -> None:
    recorder, invites = FakeRecorder(), FakeInvites(a=5)
    workers = await started(invites, recorder, replace(QUICK, backoff=0.3))
    invites.failures = [failed()]
    workers.of(GUILD).join(arrival("before", 1))
    await asyncio.sleep(0.05)
    workers.forget(GUILD)
    invites.use("a")  # by somebody of whom nothing was heard
    workers.of(GUILD)
    assert (await recorder.of("before"))["confidence"] == "unknown"
    assert await workers.stop(5.0) == 0


@pytest.mark.parametrize("during", [True, False])
async def test_a_granted_permission_is_used_at_once_even_while_a_look_is_being_refused(
    scene: Scene, during: bool
) -> None:
    scene.worker._pace = replace(scene.worker._pace, refused=300.0)
    scene.invites.permitted = False

    def grant() -> None:
        scene.worker.permitted()
        asyncio.get_running_loop().call_soon(setattr, scene.invites, "permitted", True)

    if during:
        scene.invites.during = grant
    scene.worker.join(arrival("john", 1))
    (record,) = await scene.recorder.wait_for(1)
    assert record["method"] == "no_permission"
    if not during:
        await asyncio.sleep(0.05)
        grant()
    async with asyncio.timeout(5):
        while not (scene.worker.evidence.baseline and scene.worker.evidence.baseline.permitted):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
