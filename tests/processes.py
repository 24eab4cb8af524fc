"""Real processes for tests: a server that can be killed and started again on its data, and consumers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded

ROOT = Path(__file__).parent.parent
RQ = Path(sys.executable).parent / "rq"


def until(holds: Callable[[], object], seconds: float = 20.0, what: str = "it did not come true") -> None:
    """Polls until `holds` is true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Server:
    """An embedded server of one's own; `options` are settings of the server that differ."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder, self.url = folder, embedded.url(folder)
        self.options = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([*embedded.command(self.folder), *self.options])
        until(lambda: embedded.answers(self.folder), what="the server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> Client:
        return connect(Settings(redis_url=self.url))


class Consumers:
    """`python -m consumers <sink>` processes on one folder and one server."""

    def __init__(self, url: str, folder: Path, **environment: str) -> None:
        self.environment = plain_environment() | {"REDIS_URL": url, "INVITE_LOGS_DIR": str(folder)} | environment
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *sinks: str) -> None:
        for sink in sinks:
            with (self.folder.parent / f"{sink}.out").open("ab") as output:
                command = [sys.executable, "-m", "consumers", sink]
                self.running[sink] = subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, stdout=output, stderr=output
                )

    def stop(self, sink: str, number: signal.Signals = signal.SIGTERM) -> int:
        process = self.running.pop(sink)
        process.send_signal(number)
        return process.wait(timeout=10)

    def end(self) -> dict[str, int]:
        """Asks all to end, at once; gives their exit codes. Each has ten seconds, as a platform gives it."""
        for process in self.running.values():
            process.terminate()
        codes = {sink: process.wait(timeout=10) for sink, process in self.running.items()}
        self.running.clear()
        return codes

    def stop_all(self) -> None:
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()
        self.running.clear()

    def said(self, sink: str) -> str:
        return (self.folder.parent / f"{sink}.out").read_text()


def plain_environment() -> dict[str, str]:
    """The environment without any setting of ours or of RQ's."""
    return {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TMPDIR")}


def rq_info(url: str) -> str:
    """What plain `rq info -u URL` prints."""
    done = subprocess.run(
        [RQ, "info", "-u", url], env=plain_environment(), capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
