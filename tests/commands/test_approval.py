"""The approval by a second person: kept in Redis until it is decided, and decided once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from command_logs import GUILD, MARY, MEMBER, Logs
from processes import Server
from slash_bot import Scene, scene

from commands import InviteCount, InviteCounts
from joins.redis_url import Client
from joins.scripts import text
from ops.sandbox import Reply, Sandbox
from ops.sandbox.messages import Message

OVER = "This can no longer be approved: it was open for 24 hours. Run the command again."


@pytest.fixture
def asked_scene(discord_scene: Scene) -> Scene:
    """With a recorded join, and Discord's list: `mary99` by Mary, `mine` by the owner."""
    return prepared(discord_scene)


def prepared(made: Scene) -> Scene:
    made.sandbox.add_member(int(GUILD), "john_doe", user_id=int(MEMBER))
    made.sandbox.add_member(int(GUILD), "mary", user_id=int(MARY), permissions="MANAGE_GUILD")
    invites = {"mary99": InviteCount(3, MARY, "mary"), "mine": InviteCount(1, str(made.boss), "boss")}
    made.counts = InviteCounts(invites)
    made.logs.join()
    return made


async def asked(made: Scene, code: str = "mine") -> tuple[Reply, Message]:
    """The owner's correction in his own favour, and the question in the channel."""
    reply = await made.ask("correct_invite", user=MEMBER, code=code, reason="the member showed the link")
    await reply.wait(lambda reply: bool(reply.followups))
    return reply, reply.followups[0]


def kept(redis_client: Client) -> tuple[str, dict[str, Any]]:
    (key,) = redis_client.keys("invitelog:proposal:*")
    return text(key), json.loads(text(redis_client.get(key)))


async def test_what_was_shown_is_kept_for_a_day_under_the_id_of_the_change(
    asked_scene: Scene, redis_client: Client
) -> None:
    _, question = await asked(asked_scene)
    key, content = kept(redis_client)
    assert key == f"invitelog:proposal:{content['change']['change_id']}"
    assert 86_300_000 < redis_client.pttl(key) <= 86_400_000
    assert content["change"]["actor_id"] == str(asked_scene.boss)
    assert content["change"]["invite_code"] == "mine"
    assert content["shown"] == {
        "change_id": None,
        "held": "`abc123XYZ` · TravisP#0001",
        "joined_at": "2025-10-31T14:30:45.123456",
    }
    assert content["barred"] == sorted([MEMBER, str(asked_scene.boss)])
    (row,) = question.components
    assert [button["custom_id"] for button in row["components"]] == [
        f"invitelog:approve:{content['change']['change_id']}"
    ]


async def test_two_presses_at_once_record_it_once(asked_scene: Scene) -> None:
    reply, question = await asked(asked_scene)
    pressed = await asyncio.gather(
        *(asked_scene.sandbox.click(reply, "Approve", user_id=who) for who in (asked_scene.helper, int(MARY)))
    )
    (change,) = asked_scene.changes
    assert f"Approved by <@{change['approved_by']}>" in question.content
    assert question.components == []
    (second,) = [one for one in pressed if str(one.interaction.user.id) != change["approved_by"]]
    await second.wait(lambda reply: bool(reply.followups))
    assert [one.content for one in second.followups] == ["This was decided already: the message says how."]


@pytest.mark.parametrize("noted", [True, False])
async def test_a_press_after_a_crash_between_record_and_message_records_nothing_and_says_who_approved(
    asked_scene: Scene, redis_client: Client, noted: bool
) -> None:
    reply, question = await asked(asked_scene)
    buttons = question.components
    key, content = kept(redis_client)
    await asked_scene.sandbox.click(reply, "Approve", user_id=asked_scene.helper)
    if not noted:
        redis_client.set(key, json.dumps(content), keepttl=True)
    question.components, question.content = buttons, "as if it had not been edited"
    await asked_scene.sandbox.click(reply, "Approve", user_id=int(MARY))
    assert len(asked_scene.changes) == 1
    assert question.content.endswith(f"Approved by <@{asked_scene.helper}>.")
    assert question.components == []


async def test_what_has_expired_says_so_and_loses_its_button(asked_scene: Scene, redis_client: Client) -> None:
    for expire in ("by Redis", "by the clock"):
        reply, question = await asked(asked_scene)
        key, content = kept(redis_client)
        if expire == "by Redis":
            redis_client.delete(key)
        else:
            redis_client.set(key, json.dumps(content | {"until": 1.0}))
        pressed = await asked_scene.sandbox.click(reply, "Approve", user_id=asked_scene.helper)
        await pressed.wait(lambda reply: bool(reply.followups))
        assert [one.content for one in pressed.followups] == [OVER]
        assert pressed.followups[0].ephemeral
        assert question.content.endswith(f"within 24 hours.\n{OVER}")
        assert question.components == []
    assert asked_scene.changes == []


async def test_what_member_search_found_meanwhile_stands_though_no_copy_has_it(asked_scene: Scene) -> None:
    reply, question = await asked(asked_scene)
    key = asked_scene.logs.made_join(timestamp="2025-10-31T14:30:45.123456")["join_id"]
    found = {"change": "attribution_confirmed", "change_id": "f" * 32, "join_id": key, "confidence": "exact"}
    found |= {"invite_code": "mary99", "staff_id": MARY, "staff_username": "mary"}
    asked_scene.late = [(f"{2**41}-0", found)]
    await asked_scene.sandbox.click(reply, "Approve", user_id=asked_scene.helper)
    assert question.content.startswith("Not recorded: The attribution changed meanwhile: it is now `mary99` · mary.")
    assert asked_scene.changes == []


async def test_who_gains_by_what_was_corrected_since_may_not_approve_but_somebody_else_may(asked_scene: Scene) -> None:
    """Taking an invite away favours whoever is credited then; a later join says whom only after the question."""
    asked_scene.logs.join(invite_code="mine", staff_id=str(asked_scene.boss), staff_username="boss")
    first = asked_scene.logs.made_join(timestamp="2025-10-31T14:30:45.123456")["join_id"]
    options = {"user": MEMBER, "code": "none", "reason": "a widget", "joined": first}
    reply = await asked_scene.ask("correct_invite", **options)
    await reply.wait(lambda reply: bool(reply.followups))
    second = asked_scene.logs.made_join(timestamp="2025-10-31T15:30:45.123456")
    asked_scene.logs.correct(second)
    refused = await asked_scene.sandbox.click(reply, "Approve", user_id=int(MARY))
    assert [one.content for one in refused.followups] == ["Nobody approves what is in his own favour."]
    assert asked_scene.changes == []
    await asked_scene.sandbox.click(reply, "Approve", user_id=asked_scene.helper)
    assert asked_scene.changes[0]["approved_by"] == str(asked_scene.helper)


async def test_an_assignment_that_somebody_else_got_meanwhile_is_not_overwritten(asked_scene: Scene) -> None:
    reply = await asked_scene.ask("staff assign", code="mine", member=asked_scene.boss)
    await reply.wait(lambda reply: bool(reply.followups))
    await asked_scene.ask("staff assign", by=asked_scene.helper, code="mine", member=MARY)
    before = len(asked_scene.changes)
    done = await asked_scene.sandbox.click(reply, "Approve", user_id=asked_scene.helper)
    assert done.content == f"Not recorded: The invite `mine` was assigned to <@{MARY}> meanwhile; look again."
    assert len(asked_scene.changes) == before


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.kill()


async def test_without_redis_nothing_is_asked_and_a_press_records_nothing_until_it_is_back(
    logs: Logs, api: Sandbox, own_server: Server
) -> None:
    async with scene(logs, api, own_server.client()) as made:
        prepared(made)
        reply, question = await asked(made)
        own_server.kill()
        refused = await made.sandbox.click(reply, "Approve", user_id=made.helper, timeout=20)
        assert [one.content for one in refused.followups] == [
            "What is to be approved cannot be read, since Redis does not answer: nothing was recorded; press again in "
            "a minute."
        ]
        unasked = await made.ask("correct_invite", user=MEMBER, code="mine", reason="once more")
        assert "cannot be kept, since Redis does not answer" in unasked.content
        assert unasked.followups == []
        assert made.changes == []
        own_server.start()
        await made.sandbox.click(reply, "Approve", user_id=made.helper)
        assert len(made.changes) == 1
        assert f"Approved by <@{made.helper}>" in question.content
