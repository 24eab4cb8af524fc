"""Commands, buttons, menus and modals, answered by the real client."""

from __future__ import annotations

import asyncio
import io

import discord
import pytest
from discord import app_commands
from sandbox_bot import Bot, Connect

from ops.sandbox import CommandRefused, NoReply, Sandbox
from ops.sandbox.models import Guild, Member

TEXT = {"name": "a", "description": "d", "type": 3}
KINDS = [app_commands.Choice(name="CSV", value="csv"), app_commands.Choice(name="JSON", value="json")]


class Pages(discord.ui.View):
    """A button that edits its message, one that is off, and a menu."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.page = 1

    @discord.ui.button(label="Next", custom_id="next")
    async def next_page(self, interaction: discord.Interaction, _: discord.ui.Button[Pages]) -> None:
        self.page += 1
        await interaction.response.edit_message(content=f"page {self.page}", view=self)

    @discord.ui.button(label="Slow", custom_id="slow")
    async def slow(self, interaction: discord.Interaction, _: discord.ui.Button[Pages]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="slowly edited")

    @discord.ui.button(label="Off", custom_id="off", disabled=True)
    async def off(self, interaction: discord.Interaction, _: discord.ui.Button[Pages]) -> None: ...

    @discord.ui.button(label="Note", custom_id="note")
    async def note(self, interaction: discord.Interaction, _: discord.ui.Button[Pages]) -> None:
        await interaction.response.send_modal(Note())

    @discord.ui.select(custom_id="kind", options=[discord.SelectOption(label=x) for x in ("a", "b")])
    async def kind(self, interaction: discord.Interaction, menu: discord.ui.Select[Pages]) -> None:
        await interaction.response.send_message(f"picked {menu.values}", ephemeral=True)


class Note(discord.ui.Modal, title="A note"):
    """One text field."""

    text: discord.ui.TextInput[Note] = discord.ui.TextInput(label="Text", custom_id="text")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"noted: {self.text.value}", ephemeral=True)


def commands(bot: Bot) -> Bot:
    """Registers the commands that these tests run."""
    tree = bot.tree
    staff = app_commands.Group(name="staff", description="Staff", guild_only=True)

    @tree.command(description="Who invited a member")
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.guild_only()
    async def lookup(interaction: discord.Interaction, user: discord.User) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        embed = discord.Embed(title="Lookup", description=f"{user.name} {type(user).__name__}")
        file = discord.File(io.BytesIO(b"id,name\n"), "log.csv")
        await interaction.edit_original_response(embed=embed, attachments=[file], view=Pages())
        await interaction.followup.send("and more", ephemeral=True)

    @staff.command(name="set", description="Sets a staff member")
    async def staff_set(
        interaction: discord.Interaction, member: discord.Member, code: str, level: app_commands.Range[int, 1, 5] = 1
    ) -> None:
        assert interaction.permissions.manage_guild
        assert interaction.app_permissions.manage_guild
        await interaction.response.send_message(f"{member.display_name} {code} {level}")

    @tree.command(description="Exports")
    @app_commands.choices(kind=KINDS)
    async def export(interaction: discord.Interaction, kind: str) -> None:
        await interaction.response.send_message(f"{kind} {interaction.context.dm_channel} {interaction.filesize_limit}")

    @tree.command(description="Completes")
    async def pick(interaction: discord.Interaction, code: str) -> None:
        await interaction.response.send_message(code)

    @pick.autocomplete("code")
    async def pick_code(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{current}{n}", value=f"{current}{n}") for n in range(3)]

    @tree.command(description="Says nothing")
    async def silent(interaction: discord.Interaction) -> None: ...

    @tree.command(description="Sends too much")
    async def large(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        try:
            await interaction.followup.send(file=discord.File(io.BytesIO(b"x" * 2_000), "large.csv"))
        except discord.HTTPException as error:
            await interaction.followup.send(f"{error.status} {error.code}")

    @tree.command(description="Answers twice")
    async def twice(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("first")
        interaction.response._response_type = None
        try:
            await interaction.response.send_message("second")
        except discord.HTTPException as error:
            await interaction.followup.send(str(error.code))

    @tree.context_menu(name="Who invited")
    async def who_invited(interaction: discord.Interaction, member: discord.Member) -> None:
        await interaction.response.send_message(f"about {member.name}")

    tree.add_command(staff)

    async def setup() -> None:
        await tree.sync()

    bot.setup_hook = setup
    return bot


@pytest.fixture
def guild(sandbox: Sandbox) -> Guild:
    """A guild."""
    return sandbox.add_guild("PipVault")


@pytest.fixture
def staff(sandbox: Sandbox, guild: Guild) -> Member:
    """A member who may manage it."""
    return sandbox.add_member(guild.id, "TravisP", display_name="Travis", permissions="MANAGE_GUILD")


@pytest.fixture
async def bot(connect: Connect, guild: Guild) -> Bot:
    """A connected bot with the commands."""
    return await connect(commands(Bot()))


pytestmark = pytest.mark.usefixtures("bot")


async def test_a_deferred_answer_arrives_with_embed_file_button_and_followup(
    sandbox: Sandbox, guild: Guild, staff: Member
) -> None:
    reply = await sandbox.invoke(guild.id, staff.id, "lookup", {"user": staff.id})
    assert (reply.deferred, reply.ephemeral) == (True, True)
    assert reply.embeds[0]["description"] == "TravisP Member"
    assert [(f.name, f.data) for f in reply.files] == [("log.csv", b"id,name\n")]
    await reply.wait(lambda r: bool(r.followups))
    assert reply.followups[0].content == "and more"
    assert reply.followups[0].ephemeral
    assert "Lookup" in reply.text
    channel = guild.first_text_channel()
    assert channel is not None
    assert sandbox.messages(channel.id) == []


async def test_a_user_who_is_no_member_can_be_asked_about(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    gone = await sandbox.join(guild.id, "gone")
    await sandbox.leave(guild.id, gone.user_id)
    reply = await sandbox.invoke(guild.id, staff.id, "lookup", {"user": gone.user_id})
    assert reply.embeds[0]["description"] == "gone User"


async def test_buttons_edit_their_message(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    reply = await sandbox.invoke(guild.id, staff.id, "lookup", {"user": staff.id})
    clicked = await sandbox.click(reply, "Next")
    assert (clicked.updated, clicked.content, reply.content) == (True, "page 2", "page 2")
    clicked = await sandbox.click(clicked, "next")
    assert clicked.content == "page 3"
    clicked = await sandbox.click(clicked, "Slow")
    assert (clicked.deferred, clicked.content) == (True, "slowly edited")
    for wrong in ("Off", "Nowhere"):
        with pytest.raises(CommandRefused):
            await sandbox.click(reply, wrong)


async def test_a_menu_and_a_modal_are_answered(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    reply = await sandbox.invoke(guild.id, staff.id, "lookup", {"user": staff.id})
    assert (await sandbox.select(reply, "kind", ["b"])).content == "picked ['b']"
    opened = await sandbox.click(reply, "Note")
    assert opened.modal is not None
    assert opened.modal["title"] == "A note"
    assert (await sandbox.submit(opened, {"text": "hello"})).content == "noted: hello"


async def test_a_subcommand_gets_its_options(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    reply = await sandbox.invoke(guild.id, staff.id, "staff set", {"member": staff.id, "code": "abc", "level": 3})
    assert (reply.content, reply.ephemeral, reply.deferred) == ("Travis abc 3", False, False)
    channel = guild.first_text_channel()
    assert channel is not None
    assert [m.content for m in sandbox.messages(channel.id)] == ["Travis abc 3"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nothing", {}),
        ("staff", {}),
        ("staff drop", {}),
        ("staff set", {"code": "abc"}),
        ("staff set", {"member": 1, "code": "abc"}),
        ("staff set", {"member": None, "code": "abc", "level": 9}),
        ("export", {"kind": "xml"}),
        ("export", {"kind": 5}),
        ("silent", {"extra": 1}),
    ],
)
async def test_what_discord_would_not_send_is_refused(
    sandbox: Sandbox, guild: Guild, staff: Member, name: str, values: dict[str, object]
) -> None:
    with pytest.raises(CommandRefused):
        await sandbox.invoke(guild.id, staff.id, name, values)


async def test_a_command_needs_its_permissions_and_its_place(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    plain = sandbox.add_member(guild.id, "plain")
    with pytest.raises(CommandRefused, match="permission"):
        await sandbox.invoke(guild.id, plain.id, "lookup", {"user": staff.id})
    with pytest.raises(CommandRefused, match="servers only"):
        await sandbox.invoke(None, staff.id, "lookup", {"user": staff.id})
    sandbox.set_member_permissions(guild.id, plain.id, "ADMINISTRATOR")
    assert (await sandbox.invoke(guild.id, plain.id, "lookup", {"user": staff.id})).deferred


async def test_a_command_runs_in_a_direct_message(sandbox: Sandbox, staff: Member) -> None:
    reply = await sandbox.invoke(None, staff.id, "export", {"kind": "csv"})
    assert reply.content == "csv True 10485760"


async def test_autocomplete_offers_choices(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    choices = await sandbox.autocomplete(guild.id, staff.id, "pick", "code", "ab")
    assert [c["value"] for c in choices] == ["ab0", "ab1", "ab2"]


async def test_a_user_menu_gets_its_target(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    reply = await sandbox.invoke_on_user(guild.id, staff.id, "Who invited", staff.id)
    assert reply.content == "about TravisP"


async def test_too_large_a_file_is_refused_in_an_answer(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    guild.filesize_limit = 1_000
    reply = await sandbox.invoke(guild.id, staff.id, "large")
    assert reply.content == "413 40005"
    assert reply.errors[0]["code"] == 40005


async def test_a_second_callback_is_refused(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    reply = await sandbox.invoke(guild.id, staff.id, "twice")
    await reply.wait(lambda r: bool(r.followups))
    assert (reply.content, reply.followups[0].content) == ("first", "40060")


async def test_a_silent_bot_is_noticed(sandbox: Sandbox, guild: Guild, staff: Member) -> None:
    sandbox.desk.first_answer_s = 0.05
    with pytest.raises(NoReply):
        await sandbox.invoke(guild.id, staff.id, "silent")


async def test_an_answer_after_the_first_three_seconds_is_refused(
    sandbox: Sandbox, guild: Guild, staff: Member, bot: Bot
) -> None:
    seen: asyncio.Queue[int] = asyncio.Queue()

    @bot.event
    async def on_interaction(interaction: discord.Interaction) -> None:
        try:
            await interaction.response.send_message("late")
        except discord.NotFound as error:
            seen.put_nowait(error.code)

    sandbox.desk.first_answer_s = 0.0
    with pytest.raises(NoReply):
        await sandbox.invoke(guild.id, staff.id, "silent")
    assert await seen.get() == 10062


async def test_a_token_dies(sandbox: Sandbox, guild: Guild, staff: Member, bot: Bot) -> None:
    held: asyncio.Queue[discord.Interaction] = asyncio.Queue()

    @bot.event
    async def on_interaction(interaction: discord.Interaction) -> None:
        held.put_nowait(interaction)

    await sandbox.invoke(guild.id, staff.id, "export", {"kind": "csv"})
    sandbox.desk.token_s = 0.0
    with pytest.raises(discord.HTTPException) as caught:
        await (await held.get()).followup.send("too late")
    assert caught.value.code == 50027


@pytest.mark.parametrize(
    "command",
    [
        {"name": "Upper", "description": "d"},
        {"name": "ok", "description": ""},
        {"name": "ok", "description": "d" * 101},
        {"name": "x" * 33, "description": "d"},
        {"name": "ok", "description": "d", "options": [TEXT | {"name": f"o{n}"} for n in range(26)]},
        {
            "name": "ok",
            "description": "d",
            "options": [TEXT, TEXT | {"name": "b", "required": True}],
        },
        {
            "name": "ok",
            "description": "d",
            "options": [
                TEXT | {"choices": [{"name": "n", "value": str(v)} for v in range(26)]},
            ],
        },
    ],
)
async def test_a_malformed_command_is_refused(bot: Bot, command: dict[str, object]) -> None:
    with pytest.raises(discord.HTTPException) as caught:
        await bot.http.bulk_upsert_global_commands(bot.application_id, [command])
    assert caught.value.code == 50035


async def test_a_sync_keeps_the_ids_of_commands_that_stay(sandbox: Sandbox, bot: Bot, guild: Guild) -> None:
    before = {c.name: c.id for c in await bot.tree.fetch_commands()}
    assert {c.name: c.id for c in await bot.tree.sync()} == before
    assert sandbox.commands.overwrites == 2
    bot.tree.copy_global_to(guild=guild)
    here = await bot.tree.sync(guild=guild)
    assert {c.guild_id for c in here} == {guild.id}
    assert set(before.values()).isdisjoint({c.id for c in here})


async def test_an_interaction_without_a_client_is_noticed(
    sandbox: Sandbox, guild: Guild, staff: Member, bot: Bot
) -> None:
    await bot.close()
    await sandbox.wait_disconnected()
    with pytest.raises(NoReply):
        await sandbox.invoke(guild.id, staff.id, "silent")
