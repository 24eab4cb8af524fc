"""What this process gives to the slash commands."""

from __future__ import annotations

import pytest
from producer_fakes import GUILD, FakeInvites

import commands
from producer.command_serving import counts
from producer.snapshot import Vanity


async def test_the_commands_get_discords_own_counts() -> None:
    invites = FakeInvites(a=5)
    invites.vanity = Vanity("pip", 12)
    found = await counts(invites, GUILD)
    assert found.invites == {"a": commands.InviteCount(5, "7", "maria")}
    assert found.vanity == commands.VanityCount("pip", 12)


async def test_counts_that_discord_withholds_are_a_missing_permission_and_never_an_empty_list() -> None:
    invites = FakeInvites(a=5)
    invites.permitted = False
    with pytest.raises(commands.PermissionMissing, match="Manage Server"):
        await counts(invites, GUILD)
