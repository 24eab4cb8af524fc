"""Every edge case of an invite log, end to end: the real client, the real workers, a sandbox Discord.

Each with member search on, with a guild that is being indexed first, with search off, and refused. With it, every join
ends with the true code; without it, no code is ever wrong, and what the counts tell is asserted too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import discord
import pytest
from discord.gateway import DiscordWebSocket
from story import INDEXING, OFF, ON, PACE, REFUSED, Story

from ops.sandbox import Sandbox
from producer import differences, evidence, looking, reconciling
from producer.staff_registry import Staff


@pytest.fixture(params=[ON, INDEXING, OFF, REFUSED])
async def story(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Story]:
    """The invites `maria` (5 uses) and `travis` (0) and the vanity URL `pipvault` (12) are known. Ends by the truth."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", DiscordWebSocket.DEFAULT_GATEWAY)
    monkeypatch.setattr(evidence, "LISTED_WITHIN", timedelta(seconds=PACE.recheck / 2))
    monkeypatch.setattr(differences, "EXPIRY_SLACK", timedelta(seconds=0.05))
    monkeypatch.setattr(looking, "OFFLINE_STEP", 0.02)
    monkeypatch.setattr(reconciling, "SEARCH_PATIENCE", 0.05)
    async with Sandbox() as sandbox:
        story = Story(sandbox, request.param)
        await story.start()
        yield story
        await story.stop()


async def test_several_who_join_at_once_by_one_code_are_all_found(story: Story) -> None:
    for number in range(5):
        await story.join(f"m{number}", "travis")
    await story.judged(**{f"m{number}": "travis" for number in range(5)})
    await story.end()


async def test_several_who_join_at_once_by_several_codes_are_ambiguous_with_their_candidates(story: Story) -> None:
    await story.join("one", "maria")
    await story.join("two", "travis")
    await story.join("three", vanity=True)
    await story.judged(one=None, two=None, three=None)
    candidates = (await story.recorder.of("one"))["candidates"]
    assert {candidate["invite_code"] for candidate in candidates} == {"maria", "travis", "pipvault"}
    await story.end()


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_the_last_use_of_a_limited_invite_is_not_lost(
    story: Story, order: Literal["before", "after", "never"]
) -> None:
    story.sandbox.faults.invite_delete_order = order
    story.invite("once", max_uses=1)
    await story.join("sam", "once")
    await story.judged(sam="once")
    story.invite("twice", max_uses=2)
    await story.join("tom", "twice")
    await story.judged(tom="twice")
    await story.join("tim", "twice")
    await story.judged(tim="twice")
    story.invite("both", max_uses=2)
    await story.join("ann", "both")
    await story.join("abe", "both")
    await story.judged(ann="both", abe="both")
    story.sandbox.faults.uses_delay_ms = 80
    story.invite("late", max_uses=1)
    await story.join("lea", "late")
    await story.judged(lea="late")
    await story.end()


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_the_last_use_of_a_limited_invite_does_not_go_to_somebody_else(
    story: Story, order: Literal["before", "after", "never"]
) -> None:
    story.sandbox.faults.invite_delete_order = order
    story.invite("once", max_uses=1)
    await asyncio.sleep(PACE.recheck)
    await story.join("sam", "once")
    await story.join("dora")
    await story.judged(sam=None, dora=None)
    await story.end()


async def test_an_invite_made_and_used_at_once_began_at_zero(story: Story) -> None:
    story.sandbox.faults.drop_events = {"INVITE_CREATE": 1}
    story.invite("unheard")
    await story.join("ulf", "unheard")
    await story.judged(ulf="unheard")
    story.invite("fresh")
    await story.join("fred", "fresh")
    await story.judged(fred="fresh")
    record = await story.recorder.of("fred")
    assert (record["uses_before"], record["uses_after"]) == (0, 1)
    await story.end()


async def test_an_invite_that_expired_is_no_candidate(story: Story) -> None:
    story.invite("brief", max_uses=1, max_age=60, age=59.9)
    await asyncio.sleep(0.2)
    await story.join("dora")
    await story.judged(dora=None)
    assert (await story.recorder.of("dora"))["candidates"] == []
    await story.end()


async def test_an_invite_whose_channel_was_deleted_is_not_taken_for_used_up(story: Story) -> None:
    channel = story.sandbox.add_channel(story.guild, "lounge")
    story.invite("lounge", max_uses=1, channel=channel.id)
    await asyncio.sleep(PACE.recheck)
    story.sandbox.delete_channel(story.guild, channel.id)
    await story.join("dora")
    await story.judged(dora=None)
    await story.end()


async def test_the_vanity_url_has_its_own_count_and_is_never_found_by_elimination(story: Story) -> None:
    await story.join("vera", vanity=True)
    await story.judged(vera="pipvault")
    assert (await story.recorder.of("vera"))["staff_id"] is None
    await story.join("dora")
    await story.judged(dora=None)
    await story.end()


@pytest.mark.parametrize("source", ["discovery", "hub"])
async def test_who_came_without_an_invite_gets_no_code(story: Story, source: Literal["discovery", "hub"]) -> None:
    await story.join("dora", source=source)
    await story.judged(dora=None)
    await story.end()


async def test_a_bot_is_logged_with_whoever_added_it(story: Story) -> None:
    await story.join("helper", bot=True, added_by=story.maria)
    await story.join("john", "maria")
    await story.judged(helper=None, john="maria")
    record = await story.recorder.of("helper")
    assert (record["source"], record["evidence"]["added_by"]) == ("bot", str(story.maria))
    await story.end()


@pytest.mark.parametrize("missed", [False, True])
async def test_who_comes_again_has_a_new_record_even_if_the_leave_was_missed(story: Story, missed: bool) -> None:
    first = await story.join("john", "maria")
    await story.judged(john="maria")
    await story.end()
    story.sandbox.faults.drop_member_removes = int(missed)
    await story.sandbox.leave(story.guild, first.user_id)
    await story.join(first.user_id, "travis")
    await story.judged(john="travis")
    again = await story.recorder.of("john")
    assert "did_rejoin" in again["flags"]
    assert again["evidence"]["earlier_join_id"] == next(iter(story.recorder.records))
    if story.mode == INDEXING:
        story.sandbox.faults.member_search = "on"
    await story.end()


async def test_a_temporary_invite_leaves_its_flag(story: Story) -> None:
    story.invite("brief", temporary=True)
    await story.join("tess", "brief")
    await story.judged(tess="brief")
    assert "temporary_invite" in (await story.recorder.of("tess"))["flags"]
    await story.end()


async def test_who_joined_while_the_bot_was_away_is_found_by_the_only_code_that_moved(story: Story) -> None:
    await story.stop()
    await story.join("one", "maria")
    await story.join("two", "maria")
    await story.start()
    await story.judged(one="maria", two="maria")
    assert "reconciled" in (await story.recorder.of("one"))["flags"]
    await story.end()


async def test_who_joined_while_the_bot_was_away_by_several_codes_is_ambiguous(story: Story) -> None:
    await story.stop()
    await story.join("one", "maria")
    await story.join("two", "travis")
    await story.join("dora")
    await story.start()
    await story.judged(one=None, two=None, dora=None)
    await story.end()


async def test_a_missing_permission_names_nobody_and_recovers(story: Story) -> None:
    role = story.sandbox.world.guilds[story.guild].bot_role_id
    granted = story.sandbox.world.guilds[story.guild].roles[role].permissions
    story.sandbox.set_bot_permissions(story.guild, ["VIEW_AUDIT_LOG", "VIEW_CHANNEL"])
    await story.join("john", "maria")
    await story.judged(john=None)
    record = await story.recorder.of("john")
    assert (record["method"], record["confidence"]) == ("no_permission", "unknown")
    story.sandbox.set_bot_permissions(story.guild, granted)
    await story.end()


async def test_a_list_that_failed_once_is_asked_for_again(story: Story) -> None:
    story.sandbox.faults.fail(r"GET /guilds/\d+/invites", 503, count=1)
    await story.join("john", "maria")
    await story.judged(john="maria")
    await story.end()


async def test_a_list_that_cannot_be_fetched_names_nobody_and_keeps_the_old_counts(story: Story) -> None:
    fault = story.sandbox.faults.fail(r"GET /guilds/\d+/invites", 503)
    await story.join("john", "maria")
    await story.judged(john=None)
    assert (await story.recorder.of("john"))["method"] == "fetch_failed"
    fault.count = 0
    await story.join("travis fan", "travis")
    await story.judged(**{"travis fan": None})  # john's use shows beside this one
    await story.end()


async def test_credit_follows_the_assignment_though_the_inviter_has_left_or_is_a_bot(story: Story) -> None:
    story.invite("made-by-bot", inviter=story.sandbox.world.bot.id)
    story.recorder.assigned |= {"made-by-bot": Staff("77", "Travis"), "maria": Staff("88", "Maria P")}
    await story.sandbox.leave(story.guild, story.maria)
    await story.join("john", "made-by-bot")
    await story.judged(john="made-by-bot")
    await story.join("jane", "maria")
    await story.judged(jane="maria")
    assert [(await story.recorder.of(name))["staff_id"] for name in ("john", "jane")] == ["77", "88"]
    await story.end()


async def test_doubled_events_and_uses_that_show_late_mislead_nobody(story: Story) -> None:
    story.sandbox.faults.set(double_member_adds=1, uses_delay_ms=80)
    await story.join("john", "maria")
    await story.judged(john="maria")
    story.sandbox.faults.uses_delay_ms = 400
    await story.join("late", "maria")
    await story.judged(late=None)
    story.sandbox.faults.uses_delay_ms = 0
    await story.join("next", "travis")
    await story.end()


async def test_who_joined_while_the_session_was_lost_is_found(story: Story) -> None:
    story.sandbox.drop_gateway(4000, resumable=False)
    await story.join("john", "maria")
    await story.judged(john="maria")
    await story.end()


@pytest.mark.parametrize("order", ["before", "after", "never"])
async def test_who_joined_while_the_connection_was_away_is_replayed(
    story: Story, order: Literal["before", "after", "never"]
) -> None:
    story.sandbox.faults.invite_delete_order = order
    story.invite("once", max_uses=1)
    await asyncio.sleep(PACE.recheck)
    story.sandbox.drop_gateway(4000)
    await story.join("sam", "once")
    # When a replayed deletion happened is not known, so it proves no use; that nobody deleted it does.
    await story.judged(sam="once" if order == "never" else None)
    await story.join("john", "maria")
    await story.end()


async def test_a_permission_that_was_lost_and_granted_again_hides_no_deletion(story: Story) -> None:
    role = story.sandbox.world.guilds[story.guild].bot_role_id
    granted = story.sandbox.world.guilds[story.guild].roles[role].permissions
    story.invite("once", max_uses=1)
    await asyncio.sleep(PACE.recheck)
    await story.join("john", "maria")
    await story.judged(john="maria")
    story.sandbox.set_bot_permissions(story.guild, ["MANAGE_GUILD", "VIEW_AUDIT_LOG", "VIEW_CHANNEL"])
    story.sandbox.faults.drop_events = {"INVITE_DELETE": 1}
    story.sandbox.delete_invite(story.guild, "once")
    story.sandbox.set_bot_permissions(story.guild, granted)
    await story.join("dora", source="hub")
    await story.judged(dora=None)
    assert [one["invite_code"] for one in (await story.recorder.of("dora"))["candidates"]] == ["once"]
    await story.end()


async def test_a_limited_invite_of_a_channel_that_hides_from_the_bot_proves_nothing_when_it_vanishes(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = discord.Permissions.none()
    monkeypatch.setattr(discord.TextChannel, "permissions_for", lambda *_: hidden)
    story.invite("once", max_uses=1)
    await asyncio.sleep(PACE.recheck)
    await story.join("john", "maria")
    await story.judged(john="maria")
    story.sandbox.faults.drop_events = {"INVITE_DELETE": 1}
    story.sandbox.delete_invite(story.guild, "once")
    await story.join("dora")
    await story.judged(dora=None)
    assert [one["invite_code"] for one in (await story.recorder.of("dora"))["candidates"]] == ["once"]
    await story.end()
