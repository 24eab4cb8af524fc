"""`/correct_invite` as a member of staff uses it: who may correct what, and what lookups show afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from command_logs import GUILD, MARY, MEMBER, TRAVIS
from slash_bot import Scene, counts

from commands import InviteCount, InviteCounts
from commands.correction import Corrections
from commands.recent import Recent
from commands.refusals import PermissionMissing
from commands.registry import Registry
from commands.services import Services
from ops.sandbox import Reply

REASON = "the member showed the link"


def fields(reply: Reply) -> dict[str, str]:
    (embed,) = reply.embeds
    return {field["name"]: field["value"] for field in embed["fields"]}


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    """With the member who joins, and Discord's list: `mary99` by Mary, `mine` by the owner."""
    discord_scene.sandbox.add_member(int(GUILD), "john_doe", user_id=int(MEMBER))
    discord_scene.sandbox.add_member(int(GUILD), "travis", user_id=int(TRAVIS))
    discord_scene.sandbox.add_member(int(GUILD), "mary", user_id=int(MARY), permissions="MANAGE_GUILD")
    invites = {
        "mary99": InviteCount(3, MARY, "mary"),
        "mine": InviteCount(1, str(discord_scene.boss), "boss"),
        "johns": InviteCount(1, MEMBER, "john_doe"),
    }
    discord_scene.counts = InviteCounts(invites)
    return discord_scene


async def correct(scene: Scene, code: str, **options: Any) -> Reply:
    return await scene.ask("correct_invite", **{"user": MEMBER, "code": code, "reason": REASON} | options)


async def test_a_correction_is_a_change_with_who_why_and_what_was(scene: Scene) -> None:
    join = scene.logs.join()
    reply = await correct(scene, "mary99")
    assert reply.ephemeral
    assert "used `mary99` · mary (until now: `abc123XYZ` · TravisP#0001)" in reply.content
    (change,) = scene.changes
    assert change["change"] == "attribution_corrected"
    assert (change["join_id"], change["user_id"]) == (join["join_id"], MEMBER)
    assert (change["actor_id"], change["reason"], change["method"]) == (str(scene.boss), REASON, "person")
    assert (change["invite_code"], change["staff_id"], change["staff_username"]) == ("mary99", MARY, "mary")
    assert change["confidence"] == "exact"
    assert change["was"] == {"invite_code": "abc123XYZ", "staff_id": TRAVIS, "confidence": "exact"}
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "`mary99`" in shown["Invite"]
    assert "**Recorded:** `abc123XYZ` · TravisP#0001" in shown["Correction"]
    assert f"By <@{scene.boss}> on <t:" in shown["Correction"]
    assert f"Reason: {REASON}" in shown["Correction"]
    assert shown["Credited To"].startswith(f"**mary** (`{MARY}`), for this join: first referrer\n")


async def test_every_correction_of_a_join_is_shown(scene: Scene) -> None:
    scene.logs.join()
    await correct(scene, "mary99")
    await correct(scene, "none", reason="it was the widget")
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "none was used" in shown["Invite"]
    assert "**Now:** no invite · nobody" in shown["Correction"]
    assert f"`mary99` · mary · by <@{scene.boss}>: {REASON}" in shown["Before That (1)"]


async def test_the_assignment_comes_before_the_inviter(scene: Scene) -> None:
    scene.logs.join()
    await scene.ask("staff assign", code="mary99", member=TRAVIS)
    await correct(scene, "mary99", user=MEMBER)
    assert scene.changes[-1]["staff_id"] == TRAVIS


async def test_a_code_that_only_the_log_knows_keeps_its_staff(scene: Scene) -> None:
    scene.logs.join(user_id=str(10**17), invite_code="gone", staff_id=MARY, staff_username="mary")
    scene.logs.join()
    scene.counts = PermissionMissing("The bot lacks Manage Server.")
    await correct(scene, "gone")
    assert (scene.changes[0]["staff_id"], scene.changes[0].get("unverified")) == (MARY, None)


async def test_a_vanity_url_is_nobodys(scene: Scene) -> None:
    scene.logs.join()
    scene.counts = counts(("pipvault", 12))
    await correct(scene, "pipvault")
    assert (scene.changes[0]["staff_id"], scene.changes[0]["source"]) == (None, "vanity")
    assert "(vanity URL)" in fields(await scene.ask("lookup_user_invite", user=MEMBER))["Invite"]


async def test_a_code_that_nobody_knows_takes_a_confirmation(scene: Scene) -> None:
    scene.logs.join()
    reply = await correct(scene, "nope")
    assert "is not known" in reply.content
    assert scene.changes == []
    done = await scene.sandbox.click(reply, "Record it all the same")
    await done.wait(lambda reply: bool(reply.followups))
    assert "used `nope` · nobody" in done.text
    assert scene.changes[0]["unverified"] is True
    assert "knew this code" in fields(await scene.ask("lookup_user_invite", user=MEMBER))["Correction"]


async def test_what_is_held_already_is_not_recorded_again(scene: Scene) -> None:
    scene.logs.join(invite_code="mary99", staff_id=MARY, staff_username="mary")
    assert "held already" in (await correct(scene, "mary99")).content
    assert scene.changes == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reason": "   x   "}, "Say why"),
        ({"code": "no such!"}, "no invite code"),
        ({"user": TRAVIS}, "nothing to correct"),
        ({"joined": "yesterday"}, "choose it from the list"),
    ],
)
async def test_what_cannot_be_corrected_is_a_sentence(scene: Scene, options: dict[str, str], sentence: str) -> None:
    scene.logs.join()
    reply = await scene.ask("correct_invite", **{"user": MEMBER, "code": "mary99", "reason": REASON} | options)
    assert sentence in reply.content
    assert scene.changes == []


async def test_a_bot_has_no_invite_to_correct(scene: Scene) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
    scene.logs.join(source="bot", **nothing)
    assert "added, not invited" in (await correct(scene, "mary99")).content


async def test_an_earlier_join_is_chosen_from_the_members_own(scene: Scene) -> None:
    first = scene.logs.join()
    scene.logs.join(invite_code="mary99", staff_id=MARY, staff_username="mary")
    offered = await scene.sandbox.autocomplete(
        int(GUILD), scene.boss, "correct_invite", "joined", "", {"user": MEMBER, "code": "x", "reason": REASON}
    )
    assert [choice["name"] for choice in offered] == [
        "October 31, 2025 at 03:30 PM UTC · mary99 · mary",
        "October 31, 2025 at 02:30 PM UTC · abc123XYZ · TravisP#0001",
    ]
    await correct(scene, "none", joined=offered[1]["value"])
    assert scene.changes[0]["join_id"] == first["join_id"]


async def test_a_correction_in_ones_own_favour_takes_somebody_else(scene: Scene) -> None:
    scene.logs.join()
    reply = await correct(scene, "mine")
    await reply.wait(lambda reply: bool(reply.followups))
    (question,) = reply.followups
    assert not question.ephemeral
    assert REASON in question.content
    assert scene.changes == []
    assert "own favour" in (await scene.sandbox.click(reply, "Approve")).followups[0].content
    done = await scene.sandbox.click(reply, "Approve", user_id=scene.helper)
    assert f"Approved by <@{scene.helper}>" in done.content
    assert scene.changes[0]["approved_by"] == str(scene.helper)
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert f"By <@{scene.boss}>, approved by <@{scene.helper}>, on" in shown["Correction"]


async def test_taking_the_credit_from_the_one_before_is_in_ones_own_favour_too(scene: Scene) -> None:
    first = scene.logs.join()
    scene.logs.join(invite_code="mine", staff_id=str(scene.boss), staff_username="boss")
    reply = await correct(scene, "none", joined=first["join_id"])
    assert "own favour" in reply.content
    assert scene.changes == []


async def test_who_joined_neither_corrects_his_join_alone_nor_approves_it(scene: Scene) -> None:
    scene.logs.join(user_id=MARY)
    own = await scene.ask("correct_invite", by=int(MARY), user=MARY, code="johns", reason=REASON)
    assert "own favour" in own.content
    await own.wait(lambda reply: bool(reply.followups))
    scene.sandbox.set_member_permissions(int(GUILD), int(MEMBER), "MANAGE_GUILD")
    # The one whom it would count for is no second person.
    refused = await scene.sandbox.click(own, "Approve", user_id=int(MEMBER))
    assert "your own join or credit" in refused.text
    assert scene.changes == []
    await scene.sandbox.click(own, "Approve", user_id=scene.helper)
    assert scene.changes[0]["staff_id"] == MEMBER


async def test_nobody_is_credited_for_his_own_invite(scene: Scene) -> None:
    scene.logs.join()
    assert "Nobody is credited" in (await correct(scene, "johns")).content
    assert fields(await scene.ask("lookup_user_invite", user=MEMBER))["Credited To"].startswith("nobody")


async def test_an_approval_after_the_attribution_changed_overwrites_nothing(scene: Scene) -> None:
    scene.logs.join()
    reply = await correct(scene, "mine")
    await reply.wait(lambda reply: bool(reply.followups))
    await scene.ask("correct_invite", by=scene.helper, user=MEMBER, code="mary99", reason="another opinion")
    done = await scene.sandbox.click(reply, "Approve", user_id=scene.helper)
    assert "Not recorded: The attribution changed meanwhile: it is now `mary99` · mary" in done.content
    assert [change["invite_code"] for change in scene.changes] == ["mary99"]


async def test_recording_a_proposal_twice_at_once_records_it_once(scene: Scene) -> None:
    scene.logs.join()

    async def unwritten(change: dict[str, Any]) -> str:
        scene.changes.append(change)
        await asyncio.sleep(0.01)
        return "99-0"

    services = Services(scene.logs.folder, unwritten, scene.invite_counts)
    corrections = Corrections(services, Registry(scene.logs.folder), Recent(services))
    proposal = await corrections.propose(GUILD, TRAVIS, MEMBER, None, "mary99", REASON)
    await asyncio.gather(*(corrections.record(proposal.change, proposal.shown) for _ in range(3)))
    assert len(scene.changes) == 1
    # No sink has written it, and yet the next correction starts from it.
    second = await corrections.propose(GUILD, TRAVIS, MEMBER, None, None, REASON)
    assert second.change["was"]["invite_code"] == "mary99"
