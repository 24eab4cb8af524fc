"""`/vip_upgrade`: the referrer is found, shown with the IB data, and credited once."""

from __future__ import annotations

from typing import Any

import pytest
from command_logs import GUILD, MARY, MEMBER, TRAVIS
from slash_bot import Scene

from commands import InviteCount, InviteCounts
from ops.sandbox import Reply

LINK = "https://broker.example/ib?ref=travis_p"


def fields(reply: Reply) -> dict[str, str]:
    (embed,) = reply.embeds
    return {field["name"]: field["value"] for field in embed["fields"]}


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    """With the member, and two who may have referred him."""
    for name, user_id in (("john_doe", MEMBER), ("travis", TRAVIS), ("mary", MARY)):
        discord_scene.sandbox.add_member(int(GUILD), name, user_id=int(user_id))
    return discord_scene


async def test_an_upgrade_shows_the_ib_and_credits_the_referrer(scene: Scene) -> None:
    join = scene.logs.join()
    scene.logs.join(invite_code="mary99", staff_id=MARY, staff_username="mary")
    await scene.ask("staff set", member=TRAVIS, ib_link=LINK, ib_code="IB77")
    reply = await scene.ask("vip_upgrade", user=MEMBER, note="first deposit")
    shown = fields(reply)
    assert shown["Credited To"].splitlines() == [
        f"**travis** (`{TRAVIS}`)",
        f"**IB Link:** {LINK}",
        "**IB Code:** `IB77`",
        "Policy: the first referrer keeps the credit.",
    ]
    assert shown["Note"] == "first deposit"
    change = scene.changes[-1]
    assert (change["change"], change["user_id"], change["join_id"]) == ("vip_upgraded", MEMBER, join["join_id"])
    assert (change["staff_id"], change["staff_username"], change["reason"]) == (TRAVIS, "travis", "first deposit")
    assert change["actor_id"] == str(scene.boss)
    assert "VIP upgrades: 1" in (await scene.ask("staff list")).text


async def test_a_second_upgrade_is_said_and_not_recorded(scene: Scene) -> None:
    scene.logs.join()
    await scene.ask("vip_upgrade", user=MEMBER)
    again = await scene.ask("vip_upgrade", user=MEMBER, by=scene.helper)
    assert f"upgraded already: by <@{scene.boss}>" in again.content
    assert len(scene.changes) == 1


@pytest.mark.parametrize("keys", [{"confidence": "ambiguous"}, {"user_id": MARY}, {"staff_id": None}])
async def test_where_the_log_does_not_say_somebody_has_to_be_named(scene: Scene, keys: dict[str, Any]) -> None:
    scene.logs.join(**keys)
    refused = await scene.ask("vip_upgrade", user=MEMBER)
    assert "name whom to credit with `staff`" in refused.content
    assert scene.changes == []
    shown = fields(await scene.ask("vip_upgrade", user=MEMBER, staff=MARY))
    assert "Named by you" in shown["Credited To"]
    assert (scene.changes[0]["staff_id"], scene.changes[0]["method"]) == (MARY, "person")


async def test_whom_the_log_names_cannot_be_passed_over(scene: Scene) -> None:
    scene.logs.join()
    assert "`/correct_invite`" in (await scene.ask("vip_upgrade", user=MEMBER, staff=MARY)).content
    assert scene.changes == []


async def test_nobody_is_credited_for_himself(scene: Scene) -> None:
    scene.logs.join(staff_id=MEMBER)
    assert "for himself" in (await scene.ask("vip_upgrade", user=MEMBER, staff=MEMBER)).content


async def test_an_upgrade_in_ones_own_favour_takes_somebody_else(scene: Scene) -> None:
    scene.logs.join(staff_id=str(scene.boss), staff_username="boss")
    reply = await scene.ask("vip_upgrade", user=MEMBER)
    await reply.wait(lambda reply: bool(reply.followups))
    assert scene.changes == []
    assert "own favour" in (await scene.sandbox.click(reply, "Approve")).followups[0].content
    done = await scene.sandbox.click(reply, "Approve", user_id=scene.helper)
    assert f"credited to <@{scene.boss}>. Approved by <@{scene.helper}>" in done.content
    assert scene.changes[0]["approved_by"] == str(scene.helper)


async def test_an_approval_after_the_credit_changed_records_nothing(scene: Scene) -> None:
    join = scene.logs.join(staff_id=str(scene.boss), staff_username="boss")
    reply = await scene.ask("vip_upgrade", user=MEMBER)
    await reply.wait(lambda reply: bool(reply.followups))
    scene.logs.correct(join)
    done = await scene.sandbox.click(reply, "Approve", user_id=scene.helper)
    assert "Not recorded: it has changed meanwhile who is credited" in done.content
    assert scene.changes == []


async def test_an_upgrade_right_after_a_correction_credits_whom_that_names_though_the_copies_lag(scene: Scene) -> None:
    scene.logs.join()
    scene.counts = InviteCounts({"mary99": InviteCount(3, MARY, "mary")})
    scene.lagging = True
    await scene.ask("correct_invite", user=MEMBER, code="mary99", reason="the member showed the link")
    assert "`mary99`" in fields(await scene.ask("lookup_user_invite", user=MEMBER))["Invite"]
    await scene.ask("vip_upgrade", user=MEMBER)
    assert [change["change"] for change in scene.changes] == ["attribution_corrected", "vip_upgraded"]
    assert scene.changes[-1]["staff_id"] == MARY
