"""Who is credited for a join: what was assigned before it counts, whenever it is recorded, whatever the clocks say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from community import Community
from confirming_process import Confirming
from producer_fakes import GUILD, FakeRecorder, arrival

from joins.chain import Record
from joins.records import EXACT, join_id, moment, timestamp
from producer.attribution import Attribution
from producer.join_record import build
from producer.payloads import Arrival
from producer.referral import foreseen
from producer.registrar import Registrar
from producer.staff_registry import Staff
from producer.unconfirmed import from_json, of_record

JOINED = "2026-01-02T10:00:00.000000"


def after(seconds: float) -> str:
    return timestamp(moment(JOINED) + timedelta(seconds=seconds))


def heard(received: float) -> Arrival:
    """A join at JOINED by Discord's clock, whose event came so many seconds later by ours."""
    times = {"timestamp": JOINED, "received_at": after(received)}
    return arrival("john", 5, **times, join_id=join_id(GUILD, "5", JOINED))


def by_code(join: Arrival) -> Attribution:
    return Attribution(
        join["join_id"], "invite", "invite_difference", EXACT, invite_code="abc", inviter_id="7", inviter_name="maria"
    )


async def recorded(join: Arrival, assigned: float | None) -> Record:
    """The record of a join by `abc`, which was assigned to 8 so many seconds after JOINED (None: nobody knows when)."""
    recorder = FakeRecorder()
    recorder.assigned["abc"] = Staff("8", "tom")
    if assigned is None:
        recorder.undated.add("abc")
    else:
        recorder.assigned_at["abc"] = after(assigned)
    registrar = Registrar(recorder)
    await registrar.arrived(join)
    await registrar.record([(join, by_code(join))])
    return recorder.records[join["join_id"]]


@pytest.mark.parametrize(
    ("received", "assigned", "credited"),
    [
        (0.2, -5, "8"),
        (0.2, 5, "7"),
        (20, 15, "8"),  # our clock is ahead: the event came after the assignment
        (20, 25, "7"),
        (-20, -15, "7"),  # our clock is behind: the assignment came after the event
        (-20, -25, "8"),
        (3600, -5, "8"),  # announced an hour late
        (3600, 3700, "7"),
        (0, 1800, "7"),  # nobody announced it
        (0, -1800, "8"),
    ],
)
async def test_what_was_assigned_before_the_join_counts_and_nothing_later(
    received: float, assigned: float, credited: str
) -> None:
    record = await recorded(heard(received), assigned)
    assert (record["invite_code"], record["staff_id"], record["flags"]) == ("abc", credited, [])


async def test_where_it_is_not_known_whom_the_code_stood_for_nobody_is_credited_and_the_record_says_so() -> None:
    for received, assigned in ((0.2, None), (3600, 1800)):  # announced late, or a clock that is an hour ahead
        record = await recorded(heard(received), assigned)
        assert (record["invite_code"], record["confidence"], record["staff_id"]) == ("abc", EXACT, None)
        assert record["flags"] == ["staff_unresolved"]


def test_a_join_that_is_confirmed_later_keeps_the_moment_at_which_it_was_received() -> None:
    recorder, join = FakeRecorder(), heard(20)
    recorder.assigned["abc"], recorder.assigned_at["abc"] = Staff("8", "tom"), after(15)
    open_ = Attribution(
        join["join_id"],
        "unknown",
        "invite_difference",
        "ambiguous",
        candidates=({"invite_code": "abc", "inviter_id": "7"}, {"invite_code": "def", "inviter_id": "9"}),
    )
    record = build(join, open_, None, moment(after(21)))
    assert foreseen(recorder, record) == {"abc": Staff("8", "tom"), "def": Staff("9", None)}
    assert record["evidence"]["received_at"] == after(20)
    kept = from_json(of_record(record, {}).to_json())
    assert (kept.joined_at, kept.received_at) == (JOINED, after(20))


def test_a_join_that_no_event_announced_names_no_other_moment_than_that_of_joining() -> None:
    record = build(heard(0), by_code(heard(0)), None, moment(after(4000)))
    assert (record["evidence"], of_record(record, {}).received_at) == ({}, JOINED)


async def test_member_search_credits_nobody_either_for_a_join_whose_record_could_not(
    community: Community, confirming: Confirming
) -> None:
    community.recorder.undated.add("maria")
    await community.sandbox.join(community.guild_id, "john", code="maria")
    record = await community.recorder.of("john")
    (change,) = await community.recorder.changes_of(1)
    assert change["change"] == "attribution_confirmed"
    for told in (record, change):
        assert (told["invite_code"], told["staff_id"], told["flags"]) == ("maria", None, ["staff_unresolved"])
    await confirming.settled()
