"""The Procfile as a platform runs it: bare commands in the app's folder, an environment of its own, SIGTERM to end."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from joins import keys
from joins.redis_url import connect
from joins.settings import Settings
from ops import embedded
from ops.demo_stage import TOKEN
from ops.demo_verdict import judge
from ops.overview import look
from ops.sandbox.control import SandboxClient
from tests.moto_process import free_port
from tests.ops.pipeline import start_sandbox, stop_sandbox, until

ROOT = Path(__file__).parents[2]
PACKAGES = ("joins", "consumers", "commands", "producer", "ops")
GRACE = 10  # seconds from SIGTERM that a platform is promised


class App:
    """The app's folder as a slug or image has it, and what the platform sets."""

    def __init__(self, folder: Path, discord: SandboxClient) -> None:
        self.folder, self.discord, self.port = folder / "app", discord, free_port()
        self.logs, self.cloud = self.folder / "invite_logs", folder / "cloud"
        for package in PACKAGES:
            shutil.copytree(ROOT / package, self.folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "invite_logs", self.logs)
        self.cloud.mkdir()
        self.server = subprocess.Popen(embedded.command(folder))
        until(lambda: embedded.answers(folder), "the server answers")
        self.client = connect(Settings(redis_url=embedded.url(folder)))
        lines = (ROOT / "Procfile").read_text().splitlines()
        self.commands = {name: command.split() for name, command in (line.split(": ", 1) for line in lines)}
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder), "PORT": str(self.port),
            "REDIS_URL": embedded.url(folder), "DISCORD_TOKEN": TOKEN, "DISCORD_API_URL": f"{discord.url}/api/v10",
            "CLOUD_BACKUP_URL": self.cloud.as_uri(),
        }  # fmt: skip
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *names: str) -> None:
        for name in names:
            self.running.append(subprocess.Popen(self.commands[name], cwd=self.folder, env=self.environment))

    def end(self) -> list[int]:
        """SIGTERM to all at once; their statuses."""
        for process in self.running:
            process.terminate()
        statuses = [process.wait(timeout=GRACE) for process in self.running]
        self.running.clear()
        return statuses

    def handles_sigterm(self) -> bool:
        """Whether every process has a handler of its own for SIGTERM; before that, there is nothing to lose."""
        for process in self.running:
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
            if not int(caught, 16) >> (signal.SIGTERM - 1) & 1:
                return False
        return True

    def is_well(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return bool(json.load(answer)["ok"])
        except (urllib.error.URLError, OSError):
            return False

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self.client.close()
        self.server.kill()
        self.server.wait()


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
