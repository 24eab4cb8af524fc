"""The app's folder as a platform has it, the Procfile's commands in it, and a server and a cloud elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from joins.redis_url import connect
from joins.settings import Settings
from ops import embedded
from ops.demo_stage import TOKEN
from ops.sandbox.control import SandboxClient
from tests.moto_process import free_port
from tests.ops.pipeline import until

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

    def kill(self) -> None:
        """kill -9 of everything at once, whoever started it."""
        mine = f"HOME={self.environment['HOME']}\0".encode()
        for _ in range(3):  # a supervisor may start another one meanwhile
            for entry in Path("/proc").glob("[0-9]*/environ"):
                with contextlib.suppress(OSError):
                    if mine in entry.read_bytes():
                        os.kill(int(entry.parent.name), signal.SIGKILL)
        for process in self.running:
            process.wait()
        self.running.clear()

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
        self.kill()
        self.client.close()
        self.server.kill()
        self.server.wait()
