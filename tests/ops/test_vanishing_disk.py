"""A platform whose disk vanishes: everything is killed, the folder is gone, one command brings all of it back.

`make vanish N=10` does it that often.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from joins import keys
from joins.records import JOINS
from joins.settings import Settings
from ops.demo_verdict import judge
from ops.verifying.verification import Verification
from tests.ops.app import App
from tests.ops.pipeline import start_sandbox, stop_sandbox, until

TIMES = int(os.environ.get("VANISH", "2"))
SEED = int(os.environ.get("VANISH_SEED", "20261126"))
JOINS_EACH = 120  # while everything is killed once
SECONDS = 60.0  # that anything may take


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    process, discord = start_sandbox()
    made = App(tmp_path, discord)
    yield made
    made.close()
    stop_sandbox(process)


def test_nothing_is_missing_after_the_disk_has_vanished_while_members_joined(app: App) -> None:
    chance = random.Random(SEED)
    guild = app.discord.add_guild("PipVault")["id"]
    staff = app.discord.add_member(guild, "TravisP", permissions="MANAGE_GUILD")["id"]
    code = app.discord.add_invite(guild, inviter=staff)["code"]

    def crowd(number: int) -> None:
        for one in range(JOINS_EACH):
            app.discord.join(guild, f"m{number}_{one}", code=code)
            time.sleep(0.02)

    app.start("web")
    until(app.is_well, "the whole tree works", SECONDS)
    for number in range(TIMES):
        joining = threading.Thread(target=crowd, args=(number,))
        joining.start()
        time.sleep(chance.uniform(0.2, 2.5))
        app.kill()
        shutil.rmtree(app.logs)
        app.logs.mkdir()
        if number % 2:
            app.client.flushall()  # the server lost everything too: only the cloud and Discord know
        app.start("web")
        joining.join()
        joins = (number + 1) * JOINS_EACH
        assert len(app.discord.ledger()) == joins
        wanted = dict.fromkeys(keys.SINKS, joins)
        until(lambda: recorded(app) == wanted, f"all {joins} are in every copy", SECONDS)  # noqa: B023
    assert judge(app.discord.ledger(), app.logs, app.cloud).problems == []
    settings = Settings(invite_logs_dir=app.logs, cloud_backup_url=app.cloud.as_uri())
    assert Verification(settings).run().findings == []
    print(f"{TIMES} times the disk vanished, {joins} joins, none lost")


def recorded(app: App) -> dict[str, int]:
    """How many joins each copy has."""
    settings = Settings(invite_logs_dir=app.logs, cloud_backup_url=app.cloud.as_uri())
    found = Verification(settings).run().copies
    return {sink: found.get(sink, {}).get(JOINS, {}).get("records", 0) for sink in keys.SINKS}
