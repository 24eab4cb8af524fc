"""The commands as a member of staff uses them, through the real discord.py client."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import discord
import pytest
from command_logs import GUILD, MARY, MEMBER, OTHER_GUILD, TRAVIS
from slash_bot import Scene, counts

from commands import export, listing, paging
from commands.refusals import PermissionMissing
from joins.log_files import database_path
from joins.records import JOINS
from ops.sandbox import CommandRefused, Reply

LINK = "https://broker.example/ib?ref=travis_p"


def fields(reply: Reply) -> dict[str, str]:
    (embed,) = reply.embeds
    return {field["name"]: field["value"] for field in embed["fields"]}


@pytest.fixture
def scene(discord_scene: Scene) -> Scene:
    """With the member who joins, and the one who invited him."""
    discord_scene.sandbox.add_member(int(GUILD), "john_doe", display_name="John Doe", user_id=int(MEMBER))
    discord_scene.sandbox.add_member(int(GUILD), "travis", user_id=int(TRAVIS))
    return discord_scene


async def test_a_lookup_shows_all_that_was_asked_for(scene: Scene) -> None:
    scene.logs.join()
    await scene.ask("staff set", member=TRAVIS, ib_link=LINK, ib_code="IB77")
    reply = await scene.ask("lookup_user_invite", user=MEMBER)
    assert reply.ephemeral
    assert reply.deferred
    shown = fields(reply)
    assert shown["User"].splitlines() == [
        "**Name:** john\\_doe", "**Display Name:** John Doe", f"**ID:** `{MEMBER}` (<@{MEMBER}>)"]  # fmt: skip
    assert shown["Invite"].splitlines() == [
        "**Code:** `abc123XYZ`",
        "**Joined On:** October 31, 2025 at 02:30 PM UTC (<t:1761921045:R>)",
        "**Uses Before:** 5",
        "**Uses After:** 6",
    ]
    assert shown["Referring Staff"].splitlines() == [
        "**Name:** travis",
        f"**ID:** `{TRAVIS}` (<@{TRAVIS}>)",
        f"**IB Link:** {LINK}",
        "**IB Code:** `IB77`",
    ]
    assert shown["Credited To"].startswith(f"**travis** (`{TRAVIS}`), for this join")
    assert shown["Data Source"] == "Persistent JSON log (immutable record)"


async def test_the_inviter_is_named_where_nobody_is_registered(scene: Scene) -> None:
    scene.logs.join()
    staff = fields(await scene.ask("lookup_user_invite", user=MEMBER))["Referring Staff"]
    assert "**Name:** TravisP#0001" in staff
    assert "**IB Link:** not registered — `/staff set`" in staff


async def test_a_join_that_only_the_database_holds_says_so(scene: Scene) -> None:
    scene.logs.join(sinks=("sqlite",))
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert shown["Data Source"] == "Database (the JSON log does not hold this join)"


async def test_a_rejoin_shows_the_latest_and_credits_the_first_referrer(scene: Scene) -> None:
    scene.logs.join()
    scene.logs.join(invite_code="mary99", staff_id=MARY, staff_username="mary")
    await scene.ask("staff set", member=TRAVIS, ib_link=LINK)
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "mary99" in shown["Invite"]
    assert shown["Credited To"].startswith("**travis**")
    assert LINK in shown["Credited To"]
    assert "`abc123XYZ` · TravisP#0001" in shown["Earlier Joins (1)"]


async def test_a_correction_stands_beside_what_was_recorded(scene: Scene) -> None:
    scene.logs.correct(scene.logs.join())
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "`mary99`" in shown["Invite"]
    assert "**Uses Before:** —" in shown["Invite"]
    assert shown["Correction"].splitlines()[:2] == [
        "**Recorded:** `abc123XYZ` · TravisP#0001", "**Now:** `mary99` · mary"]  # fmt: skip
    assert "because" in shown["Correction"]


async def test_a_confirmation_by_member_search_is_named(scene: Scene) -> None:
    join = scene.logs.join()
    same = {key: join[key] for key in ("invite_code", "staff_id", "staff_username", "confidence", "join_id")}
    scene.logs.change("attribution_confirmed", actor_id="member_search", **same)
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert shown["Confirmation"].startswith("Confirmed by Discord's member search on <t:")


async def test_an_ambiguous_join_names_its_candidates_and_credits_nobody(scene: Scene) -> None:
    candidates = [{"invite_code": "abc", "inviter_id": TRAVIS}, {"invite_code": "mary99", "inviter_id": None}]
    scene.logs.join(confidence="ambiguous", candidates=candidates)
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "not certain" in shown["Invite"]
    assert f"`abc` · <@{TRAVIS}>" in shown["Candidates"]
    assert "member search settles it" in shown["Candidates"]
    assert shown["Credited To"].startswith("nobody yet")


async def test_a_bot_was_added_by_somebody(scene: Scene) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
    scene.logs.join(source="bot", inviter_id=MARY, **nothing)
    shown = fields(await scene.ask("lookup_user_invite", user=MEMBER))
    assert "a bot" in shown["Invite"]
    assert f"**Added By:** <@{MARY}>" in shown["Referring Staff"]


async def test_names_do_nothing_in_an_answer(scene: Scene) -> None:
    scene.logs.join(username="**x**", display_name="<@1> \u202eevil https://evil.example")
    text = fields(await scene.ask("lookup_user_invite", user=MEMBER))["User"]
    assert r"\*\*x\*\*" in text
    assert r"\<@1> evil https:\//evil.example" in text


async def test_somebody_who_is_not_in_the_logs_hears_how_far_back_they_go(scene: Scene) -> None:
    scene.logs.join(user_id=MARY)
    text = (await scene.ask("lookup_user_invite", user=scene.helper)).content
    assert "neither the logs nor the database hold one" in text
    assert "goes back to <t:1761921045:f>" in text


async def test_before_the_first_join_every_command_says_how_it_begins(scene: Scene) -> None:
    for name, options in (
        ("lookup_user_invite", {"user": MEMBER}),
        ("view_invite_logs", {}),
        ("export_invite_logs", {}),
    ):
        assert "by itself" in (await scene.ask(name, **options)).content
    scene.logs.close()
    database_path(scene.logs.folder).unlink()
    for name, options in (
        ("lookup_user_invite", {"user": MEMBER}),
        ("view_invite_logs", {}),
        ("export_invite_logs", {}),
    ):
        assert "created by itself" in (await scene.ask(name, **options)).content


async def test_a_right_click_looks_up_too(scene: Scene) -> None:
    scene.logs.join()
    reply = await scene.sandbox.invoke_on_user(int(GUILD), scene.boss, "Look up invite", int(MEMBER))
    assert "abc123XYZ" in fields(reply)["Invite"]


async def test_answers_are_about_this_guild_alone(scene: Scene) -> None:
    scene.logs.join(guild_id=OTHER_GUILD)
    assert "No join" in (await scene.ask("lookup_user_invite", user=MEMBER)).content
    assert "No join" in (await scene.ask("view_invite_logs")).content
    assert "nothing to export" in (await scene.ask("export_invite_logs")).content


async def test_members_are_not_offered_the_commands(scene: Scene) -> None:
    with pytest.raises(CommandRefused, match="permissions"):
        await scene.ask("lookup_user_invite", by=int(MEMBER), user=MEMBER)


async def test_a_direct_message_is_refused_with_a_sentence(scene: Scene) -> None:
    with pytest.raises(CommandRefused, match="servers only"):
        await scene.sandbox.invoke(None, scene.boss, "view_invite_logs")
    for command in scene.tree.get_commands():  # as if Discord let it through
        command.guild_only, command.allowed_contexts = False, None  # type: ignore[union-attr]
    await scene.tree.sync()
    for name, options in (("view_invite_logs", {}), ("staff list", {}), ("lookup_user_invite", {"user": int(MEMBER)})):
        reply = await scene.sandbox.invoke(None, scene.boss, name, options)
        assert "works inside a server" in reply.content
    assert await scene.sandbox.autocomplete(None, scene.boss, "view_invite_logs", "invite_code", "") == []


async def test_pages_are_turned_by_the_asker(scene: Scene) -> None:
    many = [scene.logs.made_join(user_id=str(10**17 + n), invite_code=f"c{n:02}") for n in range(25)]
    scene.logs.write(JOINS, many)
    reply = await scene.ask("view_invite_logs")
    assert reply.embeds[0]["title"] == "25 joins"
    assert "c24" in reply.text
    assert "c14" not in reply.text
    with pytest.raises(CommandRefused, match="disabled"):
        await scene.sandbox.click(reply, "Newer")
    older = await scene.sandbox.click(reply, "Older")
    assert older.updated
    assert "c14" in older.text
    last = await scene.sandbox.click(older, "Older")
    assert "c00" in last.text
    with pytest.raises(CommandRefused, match="disabled"):
        await scene.sandbox.click(last, "Older")
    assert "c14" in (await scene.sandbox.click(last, "Newer")).text


async def test_buttons_go_grey_when_nobody_presses_them(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging.Pager.__init__, "__defaults__", (("Newer", "Older"), 0.05))
    scene.logs.write(JOINS, [scene.logs.made_join(user_id=str(10**17 + n)) for n in range(11)])
    reply = await scene.ask("view_invite_logs")
    await reply.wait(lambda reply: all(b.get("disabled") for b in reply.components[0]["components"]))


async def test_the_longest_names_fit_a_page(scene: Scene) -> None:
    longest = {"display_name": "*" * 32, "staff_username": "_" * 37, "invite_code": "c" * 32}
    scene.logs.write(JOINS, [scene.logs.made_join(user_id=str(10**17 + n), **longest) for n in range(11)])
    reply = await scene.ask("view_invite_logs")
    assert reply.errors == []
    assert reply.embeds[0]["description"].count("\n") == listing.PAGE_ROWS - 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"user_id": "bob"}, "no user id"),
        ({"invite_code": "nope"}, "No recorded join of this server used the invite `nope`"),
        ({"invite_code": "no such!"}, "no invite code"),
        ({"since": "yesterday"}, "year-month-day"),
        ({"since": "2025-11-02", "until": "2025-11-01"}, "ends before it begins"),
        ({"user_id": MARY}, f"No join of the user `{MARY}`"),
        ({"since": "2026-01-01"}, "in that period"),
    ],
)
async def test_what_cannot_be_listed_is_a_sentence(scene: Scene, options: dict[str, str], sentence: str) -> None:
    scene.logs.join()
    reply = await scene.ask("view_invite_logs", **options)
    assert sentence in reply.content
    assert reply.ephemeral


async def test_codes_are_offered_while_typing(scene: Scene) -> None:
    scene.logs.write(JOINS, [scene.logs.made_join(invite_code=f"code{n:02}") for n in range(40)])
    scene.logs.join(invite_code="Recent", guild_id=GUILD)
    scene.logs.join(invite_code="foreign", guild_id=OTHER_GUILD)
    offered = await scene.sandbox.autocomplete(int(GUILD), scene.boss, "view_invite_logs", "invite_code", "")
    assert len(offered) == 25
    assert offered[0] == {"name": "Recent — TravisP#0001", "value": "Recent"}
    offered = await scene.sandbox.autocomplete(int(GUILD), scene.boss, "view_invite_logs", "invite_code", "rece")
    assert [choice["value"] for choice in offered] == ["Recent"]
    assert await scene.sandbox.autocomplete(int(GUILD), scene.boss, "staff assign", "code", "foreign") == []


@pytest.mark.parametrize("format", ["csv", "xlsx"])
async def test_an_export_is_a_download_that_leaves_nothing_behind(
    scene: Scene, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    scene.logs.join()
    reply = await scene.ask("export_invite_logs", format=format)
    (file,) = reply.files
    assert file.name == f"invite_logs_{discord.utils.utcnow():%Y%m%d}.{format}"
    assert reply.content.startswith("1 join, from <t:1761921045:f>")
    async with asyncio.timeout(5):  # the answer is read before the bot is done with the file
        while list((tmp_path / "t").iterdir()):  # noqa: ASYNC110  (a folder has no event)
            await asyncio.sleep(0.01)
    if format == "csv":
        assert file.data.startswith("\ufeffTimestamp,User ID,Username".encode())


async def test_an_export_too_large_for_discord_says_how_to_narrow_it(scene: Scene) -> None:
    scene.sandbox.world.guild(int(GUILD)).filesize_limit = 500
    scene.logs.write(JOINS, [scene.logs.made_join(user_id=str(10**17 + n)) for n in range(50)])
    reply = await scene.ask("export_invite_logs")
    assert "narrow it by date" in reply.content
    assert reply.errors == []


async def test_a_sync_shows_each_difference_and_the_totals(scene: Scene) -> None:
    scene.logs.join(invite_code="a", uses_before=0, uses_after=1)
    scene.logs.join(confidence="ambiguous")
    scene.counts = counts(a=3, b=0)
    reply = await scene.ask("sync_member_invites")
    shown = fields(reply)
    assert "1 invite of 2 differs. 1 join without a settled invite may explain it." in reply.embeds[0]["description"]
    assert shown["Totals"].startswith("Discord counts **3** · recorded **1** · difference **+2**")
    assert "⚠️ `a` · TravisP#0001\n\u2003Discord 3 · recorded 1 · difference **+2**" in shown["Invites"]


async def test_a_sync_of_many_invites_attaches_them_all(scene: Scene) -> None:
    scene.logs.join(invite_code="gone")
    scene.counts = counts(**{f"invite{n:04}": n for n in range(1000)})
    reply = await scene.ask("sync_member_invites")
    assert reply.errors == []
    assert "and 985 more" in reply.text
    text = reply.files[0].data.decode()
    assert all(f"invite{n:04}" in text for n in range(1000))
    assert "gone" in text


async def test_a_missing_permission_is_named(scene: Scene) -> None:
    scene.counts = PermissionMissing("The bot lacks the permission Manage Server.")
    assert "Manage Server" in (await scene.ask("sync_member_invites")).content


async def test_staff_are_set_listed_and_removed(scene: Scene) -> None:
    assert "`/staff set`" in (await scene.ask("staff list")).content
    await scene.ask("staff set", member=TRAVIS, ib_link=LINK)
    await scene.ask("staff set", member=TRAVIS, ib_code="IB77")
    text = (await scene.ask("staff list")).text
    assert LINK in text
    assert "`IB77`" in text
    assert "web address" in (await scene.ask("staff set", member=TRAVIS, ib_link="nonsense")).content
    assert "off the staff register" in (await scene.ask("staff remove", member=TRAVIS)).content
    assert [change["change"] for change in scene.changes] == ["staff_set", "staff_set", "staff_retired"]
    assert {change["actor_id"] for change in scene.changes} == {str(scene.boss)}


async def test_a_long_staff_list_has_pages(scene: Scene) -> None:
    for n in range(10):
        keys = {
            "staff_id": str(10**17 + n),
            "staff_username": f"staff{n}",
            "ib_link": LINK + "x" * 250,
            "ib_code": None,
        }
        scene.logs.change("staff_set", **keys)
    reply = await scene.ask("staff list")
    assert "staff9" not in reply.text
    assert "staff9" in (await scene.sandbox.click(reply, "Next")).text


async def test_an_invite_is_assigned_when_discord_or_the_log_knows_it(scene: Scene) -> None:
    scene.logs.join(invite_code="logged")
    scene.counts = counts(live=0)
    for code in ("logged", "live"):
        assert "count for travis" in (await scene.ask("staff assign", code=code, member=TRAVIS)).content
    assert "no invite `nope` here" in (await scene.ask("staff assign", code="nope", member=TRAVIS)).content
    scene.counts = PermissionMissing("The bot lacks Manage Server.")
    assert "no invite `nope` here" in (await scene.ask("staff assign", code="nope", member=TRAVIS)).content


async def test_assigning_to_oneself_takes_somebody_else(scene: Scene) -> None:
    scene.counts = counts(live=0)
    reply = await scene.ask("staff assign", code="live", member=scene.boss)
    await reply.wait(lambda reply: bool(reply.followups))
    (question,) = reply.followups
    assert not question.ephemeral
    assert scene.changes == []
    assert "own favour" in (await scene.sandbox.click(reply, "Approve")).followups[0].content
    refused = await scene.sandbox.click(reply, "Approve", user_id=int(MEMBER))
    assert refused.followups[0].content == "Only a member of staff with Manage Server can approve this."
    assert scene.changes == []
    done = await scene.sandbox.click(reply, "Approve", user_id=scene.helper)
    assert f"Approved by <@{scene.helper}>" in done.content
    assert scene.changes[-1]["approved_by"] == str(scene.helper)
    assert question.components == []


async def test_what_nobody_expected_is_logged_once_and_answered_with_a_reference(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.counts = RuntimeError("boom")
    with caplog.at_level(logging.ERROR):
        reply = await scene.ask("sync_member_invites")
    assert reply.content.startswith("Something went wrong")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert reply.content.split("`")[1] in record.getMessage()
    assert "boom" not in reply.content


async def test_a_failed_button_is_answered_too(scene: Scene) -> None:
    scene.logs.write(JOINS, [scene.logs.made_join(user_id=str(10**17 + n)) for n in range(11)])
    reply = await scene.ask("view_invite_logs")
    scene.logs.close()
    for path in scene.logs.folder.iterdir():
        path.unlink()
    pressed = await scene.sandbox.click(reply, "Older")
    assert "no invite log yet" in pressed.text


async def test_a_slow_answer_is_still_in_time(scene: Scene) -> None:
    scene.sandbox.desk.first_answer_s, scene.delay_s = 0.2, 0.4
    reply = await scene.ask("sync_member_invites")
    assert reply.deferred
    assert reply.embeds
