"""The whole system as processes that may die at any moment, and whoever starts them again, as a supervisor would."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from processes import ROOT, plain_environment
from redis.exceptions import RedisError

from joins import event_id, keys, process_report
from joins.records import JOINS
from joins.redis_url import connect
from joins.scripts import text
from joins.settings import Settings
from ops import embedded
from ops.demo_stage import TOKEN
from ops.overview import EQUAL, look
from tests.chaos.disk import Disk
from tests.ops.pipeline import start_sandbox, stop_sandbox

SERVER, PRODUCER = "server", "producer"
ROLES = (SERVER, PRODUCER, *keys.SINKS)
RESTART_SECONDS = 0.3  # from an end that nobody ordered to the next start
SAY_EVERY = 5.0  # seconds between two lines of progress
BATCH = 1000  # entries of the stream read at once


class Stage:
    """Processes by role; more than one of a role while they overlap."""

    def __init__(self, folder: Path, disk_bytes: int, **settings: str) -> None:
        self.folder, self.logs, self.cloud = folder, folder / "invite_logs", folder / "cloud"
        self.disk = Disk(self.logs, disk_bytes)
        self.cloud.mkdir()
        self._sandbox, self.discord = start_sandbox()
        self.url = embedded.url(self.logs)
        self.client = connect(Settings(redis_url=self.url))
        self._environment = plain_environment() | {
            "DISCORD_TOKEN": TOKEN,
            "DISCORD_API_URL": f"{self.discord.url}/api/v10",
            "REDIS_URL": self.url,
            "INVITE_LOGS_DIR": str(self.logs),
            "CLOUD_BACKUP_URL": self.cloud.as_uri(),
        } | settings  # fmt: skip
        self.running: dict[str, list[subprocess.Popen[bytes]]] = {role: [] for role in ROLES}
        self.absent: set[str] = set()  # roles that a fault keeps away
        self.kills: Counter[str] = Counter()
        self.ends: Counter[tuple[str, int]] = Counter()  # role and status of those that ended without being told to
        self.recorded: dict[str, str] = {}  # join id -> event id of each join that the stream was seen to hold
        self.newest = event_id.ZERO
        self.doubled: list[str] = []  # join ids seen in the stream under a second event id
        self._ended_at = dict.fromkeys(ROLES, 0.0)
        self._said = 0.0
        self.state = ""  # what the next line of progress says besides

    def start(self, role: str) -> subprocess.Popen[bytes]:
        """Starts one more of a role."""
        if role == SERVER:
            command = embedded.command(self.logs)
        else:
            command = [sys.executable, "-m", *([role] if role == PRODUCER else ["consumers", role])]
        with (self.folder / f"{role}.out").open("ab") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=output, stderr=output)
        self.running[role].append(process)
        return process

    def kill(self, role: str, chance: random.Random) -> None:
        """kill -9 of one that runs; who is away already is not killed."""
        if not self.running[role]:
            return
        process = self.running[role].pop(chance.randrange(len(self.running[role])))
        if process.poll() is None:
            process.kill()
            self.kills[role] += 1
            process.wait()
        else:
            self.ends[role, process.returncode] += 1
        if role == PRODUCER and not self.running[role]:
            # Nobody can resume the session of a dead process; the sandbox need not keep its events.
            self.discord.drop_gateway(resumable=False)

    def end(self, role: str) -> None:
        """SIGTERM to all of a role, and until they have ended."""
        for process in self.running[role]:
            process.terminate()
        for process in self.running[role]:
            process.wait(timeout=20)
        self.running[role].clear()

    def run(self, seconds: float) -> None:
        """Lets it go on for so long."""
        until = time.monotonic() + seconds
        while True:
            self.tend()
            self.observe()
            if time.monotonic() > self._said + SAY_EVERY:
                self._said = time.monotonic()
                print(f"{sum(self.kills.values())} kills, {len(self.recorded)} recorded{self.state}", flush=True)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.05, left))

    def tend(self) -> None:
        """Starts again what has ended, unless a fault keeps it away."""
        for role, processes in self.running.items():
            for process in [process for process in processes if process.poll() is not None]:
                processes.remove(process)
                self.ends[role, process.returncode] += 1
                self._ended_at[role] = time.monotonic()
            if not processes and role not in self.absent and time.monotonic() > self._ended_at[role] + RESTART_SECONDS:
                self.start(role)

    def observe(self) -> None:
        """Notes what the stream holds that was not seen before."""
        stream: Any = keys.stream(JOINS)
        try:
            while entries := self.client.xrange(stream, min=f"({self.newest}", count=BATCH):
                for name, fields in entries:  # type: ignore[union-attr]
                    self.newest, join = text(name), text(fields[b"id"])
                    if self.recorded.setdefault(join, self.newest) != self.newest:
                        self.doubled.append(join)
        except RedisError:
            return

    def alone(self) -> None:
        """Ends whoever is one too many."""
        for processes in self.running.values():
            while len(processes) > 1:
                process = processes.pop()
                process.kill()
                process.wait()

    def is_settled(self, joins: int) -> bool:
        """Whether so many joins are recorded and every process says that nothing is left to do."""
        try:
            overview = look(self.client)
            waiting = self.client.hlen(keys.ARRIVALS)
        except RedisError:
            return False
        self.state = f" of {joins}, backlogs {[sink.backlog for sink in overview.sinks.values()]}"
        return (
            len(self.recorded) >= joins
            and overview.ok
            and not waiting
            and not any(sink.backlog for sink in overview.sinks.values())
            and set(overview.heads.values()) == {EQUAL}
            and overview.producer is not None
            and not any(overview.producer.details.get(what) for what in ("arrivals", "outbox", "unconfirmed"))
        )

    def reports(self) -> list[str]:
        """What each process says of itself, for a verdict that is no good."""
        try:
            reports = process_report.read(self.client, (*keys.SINKS, PRODUCER)).values()
            return [f"{report.name}: {report.state} {report.reason or ''} {report.details}" for report in reports]
        except RedisError as error:
            return [f"the server does not answer: {error}"]

    def faults(self) -> list[str]:
        """Ends of processes that no fault explains, and tracebacks in what they said."""
        found = [
            f"{role} ended {n} times with status {code}" for (role, code), n in self.ends.items() if role != SERVER
        ]
        for path in sorted(self.folder.glob("*.out")):
            said = path.read_text(errors="replace")
            if count := said.count("Traceback (most recent call last)"):
                found.append(f"{path} holds {count} tracebacks")
        return found

    def close(self, keep: bool) -> None:
        """Ends everything; `keep` leaves the folders."""
        for processes in self.running.values():
            for process in processes:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()
        self.client.close()
        stop_sandbox(self._sandbox)
        self.disk.close(keep)
