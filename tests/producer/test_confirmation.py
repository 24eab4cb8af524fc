"""Confirmation by member search, through the sandbox: what it settles, what it must not, and what survives a crash."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from community import Community
from confirming_process import Confirming, asked

from joins import keys
from joins.errors import InvalidRecord, SinkUnavailable
from producer import confirmation
from producer.confirmation import ConfirmingPace
from producer.staff_registry import Staff
from producer.unconfirmed import UnconfirmedStore


async def test_an_exact_join_is_confirmed_by_a_change_that_carries_both_values(
    community: Community, confirming: Confirming
) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    join = await community.recorder.of("john")
    (change,) = await community.recorder.changes_of(1)
    assert {key: change[key] for key in change if key not in ("recorded_at", "commitments", "salts", "change_id")} == {
        "v": 1,
        "change": "attribution_confirmed",
        "join_id": join["join_id"],
        "guild_id": str(community.guild_id),
        "user_id": join["user_id"],
        "actor_id": "member_search",
        "reason": None,
        "invite_code": "maria",
        "staff_id": str(community.maria),
        "staff_username": "maria",
        "confidence": "exact",
        "source": "invite",
        "method": "member_search",
        "inviter_id": str(community.maria),
        "was": {
            "invite_code": "maria",
            "staff_id": str(community.maria),
            "confidence": "exact",
            "source": "invite",
            "method": "invite_difference",
        },
    }
    await confirming.settled()


async def test_ambiguous_and_unknown_joins_all_end_with_the_true_code(
    community: Community, confirming: Confirming
) -> None:
    sandbox, guild = community.sandbox, community.guild_id
    sandbox.faults.index_delay_ms = 700
    for number in range(24):
        how: dict[str, Any] = [
            {"code": "maria"}, {"code": "travis"}, {"vanity": True}, {"source": "discovery"}, {"source": "hub"},
        ][number % 5]  # fmt: skip
        await sandbox.join(guild, f"m{number}", **how)
    changes = {change["user_id"]: change for change in await community.recorder.changes_of(24, "attribution_")}
    truth = {str(join.user_id): (join.code, join.source) for join in sandbox.ledger}
    told = {user: (change["invite_code"], change["source"]) for user, change in changes.items()}
    assert told == truth
    assert {change["confidence"] for change in changes.values()} == {"exact"}
    assert any(change["change"] == "attribution_corrected" for change in changes.values())
    await confirming.settled()
    assert asked(community) <= 9, "many in one question"


async def test_who_is_credited_is_whom_the_code_stood_for_when_the_member_joined(
    community: Community, confirming: Confirming
) -> None:
    community.recorder.assigned["travis"] = Staff("77", "travis the first")
    await community.sandbox.join(community.guild_id, "one", code="maria")
    await community.sandbox.join(community.guild_id, "two", code="travis")
    assert (await community.recorder.of("two"))["confidence"] == "ambiguous"
    await community.until(lambda: confirming.now.waiting == 2)
    community.recorder.assigned["travis"] = Staff("88", "travis the second")
    changes = {change["invite_code"]: change for change in await community.recorder.changes_of(2)}
    assert (changes["travis"]["staff_id"], changes["travis"]["staff_username"]) == ("77", "travis the first")
    assert changes["maria"]["staff_id"] == str(community.maria)


async def test_a_wrong_exact_join_is_corrected_and_said(
    community: Community, confirming: Confirming, caplog: pytest.LogCaptureFixture
) -> None:
    join = await community.sandbox.join(community.guild_id, "john", code="maria")
    community.sandbox.world.guilds[community.guild_id].members[join.user_id].code = "travis"
    (change,) = await community.recorder.changes_of(1)
    assert (change["change"], change["invite_code"]) == ("attribution_corrected", "travis")
    assert change["was"]["invite_code"] == "maria"
    assert [record.levelno for record in caplog.records if "member search says travis" in record.message] == [
        logging.WARNING
    ]


async def test_a_person_whom_an_application_added_is_settled_as_that_and_credits_nobody(
    community: Community, confirming: Confirming
) -> None:
    await community.sandbox.join(community.guild_id, "john", source="bot", bot=False, added_by=community.maria)
    (change,) = await community.recorder.changes_of(1)
    assert (change["change"], change["source"], change["confidence"]) == (
        "attribution_corrected",
        "integration",
        "exact",
    )
    assert (change["invite_code"], change["staff_id"]) == (None, None)
    assert change["evidence"] == {"added_by_application": True}


async def test_a_guild_that_is_being_indexed_is_waited_for(community: Community, confirming: Confirming) -> None:
    community.sandbox.faults.set(member_search="indexing", indexing_retry_after=0.1)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.until(lambda: confirming.search.state(str(community.guild_id)).state == "indexing")
    community.sandbox.faults.member_search = "on"
    await community.recorder.changes_of(1, "attribution_confirmed")


async def test_a_guild_that_refuses_keeps_its_joins_as_recorded_until_it_grants_the_search(
    community: Community, confirming: Confirming
) -> None:
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL"])
    await asyncio.sleep(0.05)
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.until(lambda: confirming.search.state(str(community.guild_id)).state == "refused")
    await asyncio.sleep(0.5)
    assert asked(community) == 1
    assert not community.recorder.changes
    community.sandbox.set_bot_permissions(community.guild_id, ["VIEW_CHANNEL", "MANAGE_GUILD"])
    (change,) = await community.recorder.changes_of(1)
    assert (change["change"], change["invite_code"]) == ("attribution_corrected", "maria")
    assert change["was"]["method"] == "no_permission"


@pytest.mark.parametrize("fault", ["refused", "never indexed", "tells nothing"])
async def test_what_is_never_told_is_given_up_and_the_log_says_why(
    community: Community, confirming: Confirming, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await confirming.crash()
    confirming.start(ConfirmingPace(ages=(0.1, 0.2, 0.3), gather=0.02, closed=0.1))
    if fault == "refused":
        community.sandbox.faults.member_search = "refused"
    if fault == "never indexed":
        community.sandbox.faults.index_delay_ms = 60_000
    await community.sandbox.join(community.guild_id, "john", code=None if fault == "tells nothing" else "maria")
    await community.recorder.of("john")
    await community.until(lambda: any("left as recorded" in record.message for record in caplog.records))
    await confirming.settled()
    assert not community.recorder.changes


async def test_switched_off_nothing_is_asked(community: Community) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    await asyncio.sleep(0.5)
    assert asked(community) == 0


async def test_an_earlier_stay_is_not_settled_by_a_later_one(
    community: Community, confirming: Confirming, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    community.sandbox.faults.drop_member_removes = 1
    first = await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.wait_for(1)
    await community.sandbox.leave(community.guild_id, first.user_id)
    await community.sandbox.join(community.guild_id, first.user_id, code="travis")
    second = (await community.recorder.wait_for(2))[1]
    await confirming.settled()
    (change,) = community.recorder.changes.values()
    assert (change["join_id"], change["invite_code"]) == (second["join_id"], "travis")
    assert any("joined again" in record.message for record in caplog.records)


async def test_a_member_who_leaves_is_asked_for_at_once_and_then_given_up(
    community: Community, confirming: Confirming, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await confirming.crash()
    confirming.start(ConfirmingPace(ages=(60.0,), gather=0.02))
    join = await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.until(lambda: confirming.now.waiting)
    assert asked(community) == 0
    await community.sandbox.leave(community.guild_id, join.user_id)
    confirming.now.left(str(community.guild_id), str(join.user_id))
    await confirming.settled()
    assert asked(community) == 1
    assert any("the member left before" in record.message for record in caplog.records)


async def test_bots_history_and_what_member_search_has_said_are_not_asked_for(confirming: Confirming) -> None:
    record = {"join_id": "a", "invite_code": None, "candidates": [], "source": "invite", "method": "member_search"}
    await confirming.now.recorded(record)
    await confirming.now.recorded({**record, "source": "bot", "method": "oauth2"})
    for flag in ("adopted", "backfilled"):
        await confirming.now.recorded({**record, "method": flag, "flags": [flag]})
    assert confirming.now.waiting == 0


@pytest.mark.parametrize("failure", [SinkUnavailable("the disk is full"), RuntimeError("a fault")])
async def test_a_change_that_cannot_be_recorded_yet_is_recorded_later(
    community: Community, confirming: Confirming, failure: Exception
) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    community.recorder.failures = [failure]
    await community.recorder.changes_of(1, "attribution_confirmed")
    await confirming.settled()


async def test_a_change_that_is_no_valid_record_is_given_up(community: Community, confirming: Confirming) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    community.recorder.failures = [InvalidRecord("a code of a new kind")]
    await confirming.settled()
    assert not community.recorder.changes


async def test_what_waits_survives_a_crash(community: Community, confirming: Confirming) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    join = await community.recorder.of("john")
    await community.until(lambda: confirming.kept() == {join["join_id"]})
    await confirming.crash()
    confirming.start()
    (change,) = await community.recorder.changes_of(1)
    assert change["join_id"] == join["join_id"]
    await confirming.settled()


async def test_a_crash_after_the_change_but_before_it_was_noted_adds_no_second_change(
    community: Community, confirming: Confirming, monkeypatch: pytest.MonkeyPatch
) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.of("john")
    await community.until(confirming.kept)
    with monkeypatch.context() as patch:
        patch.setattr(UnconfirmedStore, "drop", lambda *_: None)
        await community.recorder.changes_of(1)
    await confirming.crash()
    assert confirming.kept()
    confirming.start()
    await confirming.settled()
    assert len(community.recorder.changes) == 1


async def test_a_crash_after_the_record_but_before_it_was_noted_loses_no_confirmation(
    community: Community, confirming: Confirming
) -> None:
    await confirming.crash()
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.sandbox.join(community.guild_id, "jane", code="travis")
    john, jane = await community.recorder.wait_for(2)
    settled = {"change": "attribution_corrected", "join_id": jane["join_id"]}
    confirming.start(joins=[john, jane], changes=[settled, {"change": "staff_set", "join_id": None}])
    (change,) = await community.recorder.changes_of(1)
    assert change["join_id"] == john["join_id"]
    await confirming.settled()
    assert len(community.recorder.changes) == 1


async def test_while_redis_is_away_confirmation_goes_on_and_what_waits_is_kept_later(
    community: Community, confirming: Confirming
) -> None:
    await confirming.crash()
    confirming.server.connected = False
    confirming.start()
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.recorder.changes_of(1)
    await confirming.crash()
    confirming.start(ConfirmingPace(ages=(60.0,), retry=0.05))
    await community.sandbox.join(community.guild_id, "jane", code="maria")
    await community.recorder.wait_for(2)
    confirming.server.connected = True
    await community.until(confirming.kept)


async def test_an_entry_that_cannot_be_read_does_not_stop_the_others(
    community: Community, confirming: Confirming
) -> None:
    await community.sandbox.join(community.guild_id, "john", code="maria")
    await community.until(confirming.kept)
    await confirming.crash()
    confirming.redis.hset(keys.UNCONFIRMED, "broken", "{}")
    confirming.start()
    await community.recorder.changes_of(1)
    await confirming.settled()


async def test_no_more_joins_wait_than_memory_allows(
    community: Community, confirming: Confirming, monkeypatch: pytest.MonkeyPatch
) -> None:
    await confirming.crash()
    confirming.start(ConfirmingPace(ages=(60.0,)))
    monkeypatch.setattr(confirmation, "MOST_WAITING", 5)
    for number in range(8):
        await community.sandbox.join(community.guild_id, f"m{number}", code="maria")
    await community.recorder.wait_for(8)
    await community.until(lambda: len(confirming.kept()) == 5)
    assert confirming.now.waiting == 5
