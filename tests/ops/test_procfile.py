"""The Procfile as a platform runs it: bare commands in the app's folder, an environment of its own, SIGTERM to end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from joins import keys
from ops.demo_verdict import judge
from ops.overview import look
from tests.ops.app import App
from tests.ops.pipeline import start_sandbox, stop_sandbox, until


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    process, discord = start_sandbox()
    made = App(tmp_path, discord)
    yield made
    made.close()
    stop_sandbox(process)


def test_every_process_type_runs_by_itself_ends_in_time_and_loses_nothing_in_flight(app: App) -> None:
    guild = app.discord.add_guild("PipVault")["id"]
    staff = app.discord.add_member(guild, "TravisP", permissions="MANAGE_GUILD")["id"]
    code = app.discord.add_invite(guild, inviter=staff)["code"]
    app.start("web")
    until(app.is_well, "the whole tree works")
    crowd = threading.Thread(target=lambda: [app.discord.join(guild, f"m{n}", code=code) for n in range(150)])
    crowd.start()
    until(lambda: app.client.xlen(keys.stream("joins")) > 20, "joins flow")
    assert app.end() == [0]
    crowd.join()

    app.start(*(name for name in app.commands if name != "web"))
    until(lambda: look(app.client).ok, "each works by itself")
    until(app.handles_sigterm, "each is ready to be stopped")
    joins = len(app.discord.ledger())
    until(lambda: app.client.xlen(keys.stream("joins")) == joins == 150, "all that was in flight is recorded")
    until(lambda: all(app.client.llen(keys.queue(sink)) == 0 for sink in keys.SINKS), "every backlog is empty")
    assert app.end() == [0] * (len(app.commands) - 1)
    assert judge(app.discord.ledger(), app.logs, app.cloud).problems == []


def test_rq_info_runs_as_a_one_off_process_with_what_the_platform_sets(app: App) -> None:
    shown = subprocess.run(
        'rq info -u "$REDIS_URL"', shell=True, cwd=app.folder, env=app.environment, capture_output=True, text=True
    )
    assert (shown.returncode, "0 workers" in shown.stdout) == (0, True), shown.stderr
