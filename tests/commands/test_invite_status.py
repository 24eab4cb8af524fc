"""`/invite_status`: what is missing is named, with what it costs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from command_logs import OTHER_GUILD, START
from slash_bot import Scene, counts

from commands import GuildState, PermissionMissing, SinkState, recording
from joins.errors import FetchFailed
from joins.log_files import database_path
from joins.permissions import NEEDED
from joins.records import JOINS


async def status(scene: Scene) -> dict[str, str]:
    reply = await scene.ask("invite_status")
    assert reply.ephemeral
    (embed,) = reply.embeds
    return {field["name"]: field["value"] for field in embed["fields"]}


async def test_all_is_well(discord_scene: Scene) -> None:
    discord_scene.logs.join()
    discord_scene.counts = counts(("pipvault", 3), a=1, b=2)
    discord_scene.state = GuildState((), START, "available")
    discord_scene.sinks = [SinkState("json", "working"), SinkState("cloud", "working")]
    shown = await status(discord_scene)
    assert shown["Permissions"].splitlines() == [
        "✅ **Manage Server**",
        "✅ **Manage Channels**",
        "✅ **View Audit Log**",
    ]
    assert shown["Invites"].splitlines() == [
        "✅ 2 invites and the vanity URL can be read now",
        "Last compared for a join or a start: <t:1761921045:f> (<t:1761921045:R>)",
    ]
    assert shown["Member Search"].startswith("✅ works")
    assert shown["Joins"].splitlines() == [
        "Last recorded: <t:1761921045:f> (<t:1761921045:R>)",
        "The log begins: <t:1761921045:f>",
        "Of the last 1 join: 0 ambiguous (0%), 0 unknown",
    ]
    assert shown["Copies"].splitlines() == ["✅ works · `json`", "✅ works · `cloud`"]
    assert "first referrer" in shown["Credit"]


async def test_what_is_missing_is_named_with_its_cost(discord_scene: Scene) -> None:
    discord_scene.logs.write(
        JOINS, [discord_scene.logs.made_join(user_id=str(10**17 + n), confidence="ambiguous") for n in range(4)]
    )
    discord_scene.logs.join(confidence="unknown")
    discord_scene.counts = PermissionMissing("The bot lacks Manage Server.")
    discord_scene.state = GuildState(NEEDED[:1], None, "refused", "Discord answered 403 @everyone")
    since = datetime(2025, 10, 31, 14, 30, 45, tzinfo=UTC).timestamp()
    discord_scene.sinks = [SinkState("cloud", "failing", "the bucket is gone", since), SinkState("csv", "gone")]
    shown = await status(discord_scene)
    assert "⚠️ **Manage Server** is missing: the bot cannot see how often invites were used" in shown["Permissions"]
    assert "✅ **Manage Channels**" in shown["Permissions"]
    assert "recorded as unknown" in shown["Invites"]
    assert shown["Member Search"].startswith("⚠️ refused by Discord")
    assert "@everyone" not in shown["Member Search"]
    assert "Of the last 5 joins: 4 ambiguous (80%), 1 unknown" in shown["Joins"]
    assert "`/correct_invite`" in shown["Joins"]
    assert shown["Copies"].splitlines() == [
        "⚠️ fails · `cloud` since <t:1761921045:R>: the bucket is gone",
        "⚠️ is gone · `csv`",
    ]


@pytest.mark.parametrize("error", [FetchFailed("Discord answered 500"), None])
async def test_before_the_first_join_and_while_nothing_answers_it_still_answers(
    discord_scene: Scene, error: Exception | None
) -> None:
    discord_scene.logs.join(guild_id=OTHER_GUILD)
    if error:
        discord_scene.counts = error
    shown = await status(discord_scene)
    assert "begins by itself" in shown["Joins"]
    assert "not in reach" in shown["Permissions"]
    assert "Redis does not answer" in shown["Copies"]
    assert ("Discord answered 500" in shown["Invites"]) == bool(error)


async def test_without_a_database_the_log_answers(discord_scene: Scene) -> None:
    logs = discord_scene.logs
    logs.join()
    logs.join(confidence="ambiguous")
    logs.close()
    database_path(logs.folder).unlink()
    found = recording.of_guild(logs.folder, OTHER_GUILD)
    assert found is not None
    assert found.begins is None
    shown = await status(discord_scene)
    assert "Of the last 2 joins: 1 ambiguous (50%)" in shown["Joins"]
    assert "there is no database" in shown["Joins"]


async def test_a_settled_join_is_counted_as_settled(discord_scene: Scene) -> None:
    discord_scene.logs.correct(discord_scene.logs.join(confidence="ambiguous"))
    assert "0 ambiguous (0%), 0 unknown" in (await status(discord_scene))["Joins"]
