"""The whole product as processes, for end-to-end tests: a sandbox Discord, a server of its own, the supervised tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from joins import keys, process_report
from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded
from ops.demo_stage import TOKEN
from ops.demo_verdict import Verdict, judge
from ops.sandbox.control import SandboxClient

DEADLINE = 40.0  # seconds that anything may take before a test gives up


def until(holds: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Waits until something holds; fails naming it when it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"it never came true that {what}"
        time.sleep(0.05)


class Pipeline:
    """Producer and consumers as processes against a server that the test may stop and start."""

    def __init__(self, folder: Path, discord: SandboxClient) -> None:
        self.discord, self.logs, self.cloud = discord, folder / "invite_logs", folder / "cloud"
        self.url = embedded.url(self.logs)
        self.environment = {
            **os.environ,
            "DISCORD_TOKEN": TOKEN,
            "DISCORD_API_URL": f"{discord.url}/api/v10",
            "REDIS_URL": self.url,
            "INVITE_LOGS_DIR": str(self.logs),
            "CLOUD_BACKUP_URL": self.cloud.as_uri(),
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.server: subprocess.Popen[bytes] | None = None
        self.client: Client = connect(Settings(redis_url=self.url))

    def start_server(self) -> None:
        """Starts the Redis server on the data it left."""
        self.server = subprocess.Popen(embedded.command(self.logs))
        until(lambda: embedded.answers(self.logs), "the server answers")

    def stop_server(self) -> None:
        """Kills the Redis server."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def start(self, name: str) -> None:
        """Starts the producer, or a consumer."""
        module = ["producer"] if name == "producer" else ["consumers", name]
        self.processes[name] = subprocess.Popen([sys.executable, "-m", *module], env=self.environment)

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].kill()
        self.processes[name].wait()

    def start_all(self) -> None:
        """Starts everything and waits until it works."""
        self.start_server()
        for name in ("producer", *keys.SINKS):
            self.start(name)
        names = (*keys.SINKS, "producer")
        until(lambda: len(process_report.read(self.client, names)) == len(names), "every process reports")
        self.discord.wait_connected(timeout=DEADLINE)
        self.discord.wait_commands("lookup_user_invite", timeout=DEADLINE)

    def verdict(self) -> Verdict:
        """Waits until every join of the ledger is in every sink, then judges them."""
        joins = len(self.discord.ledger())
        until(lambda: self.client.xlen(keys.stream("joins")) >= joins, f"{joins} joins are published")
        until(lambda: self.backlogs() == dict.fromkeys(keys.SINKS, 0), "every backlog is empty")
        return judge(self.discord.ledger(), self.logs, self.cloud)

    def backlogs(self) -> dict[str, int]:
        """See `backlogs`."""
        return backlogs(self.url)

    def stop(self) -> None:
        """Ends everything."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=15)
        self.client.close()
        if self.server is not None:
            self.server.terminate()
            self.server.wait(timeout=10)


def backlogs(url: str) -> dict[str, int]:
    """What plain `rq info -u URL` says of each queue, with no variable of RQ's set."""
    command = [str(Path(sys.executable).with_name("rq")), "info", "-u", url, "--raw", "--only-queues"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RQ_")}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in shown.splitlines() if line.startswith("queue ")]
    # RQ shows the token of a running job as executing; it is part of the backlog.
    return {row[1]: int(row[2].rstrip(",")) + int(row[3]) for row in rows}


def start_sandbox() -> tuple[subprocess.Popen[bytes], SandboxClient]:
    """An empty sandbox Discord as a process of its own."""
    command = [sys.executable, "-m", "ops.sandbox", "--port", "0", "--token", TOKEN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    address = process.stdout.readline().decode().split()[3].rstrip(";")
    return process, SandboxClient(address)


def stop_sandbox(process: subprocess.Popen[bytes]) -> None:
    """Ends it."""
    process.terminate()
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()


@contextmanager
def pipeline(folder: Path, prepare: Callable[[SandboxClient], object] = lambda _: None) -> Iterator[Pipeline]:
    """A running pipeline with a sandbox Discord, empty but for what `prepare` does before the first start."""
    discord, client = start_sandbox()
    running = Pipeline(folder, client)
    running.cloud.mkdir()
    try:
        prepare(running.discord)
        running.start_all()
        yield running
    finally:
        running.stop()
        stop_sandbox(discord)
