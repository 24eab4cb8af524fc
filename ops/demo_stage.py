"""The demo's processes: a sandbox Discord, and the whole product under `invitelog up`, each a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from joins import keys, process_report
from joins.errors import FolderUnusable, InviteLogError
from joins.records import JOINS
from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded
from ops.overview import EQUAL, Overview, look
from ops.sandbox.control import SandboxClient

TOKEN = "sandbox-token"
START_SECONDS = 40.0  # until every process reports
STOP_SECONDS = 12.0
_MARKER = "made-by-invitelog-demo"
_COMMANDS = ("lookup_user_invite", "view_invite_logs", "export_invite_logs", "sync_member_invites", "staff")


class Stage:
    """Everything the demo starts; it is stopped when the context ends."""

    def __init__(self, folder: Path) -> None:
        """`folder` is emptied when an earlier demo made it. Raises FolderUnusable when it is somebody else's."""
        self.folder = folder.absolute()
        self.logs = self.folder / "invite_logs"
        self.cloud = self.folder / "cloud"
        self.up_log = self.folder / "up.log"
        self.redis_url = embedded.url(self.logs)
        self._processes: list[subprocess.Popen[bytes]] = []
        if self.folder.exists():
            if embedded.answers(self.logs):
                raise FolderUnusable(f"a demo is still running in {self.folder}: stop that one first.")
            if not (self.folder / _MARKER).exists():
                raise FolderUnusable(f"{self.folder} was not made by the demo: move it away, or run from elsewhere.")
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        (self.folder / _MARKER).touch()
        self.cloud.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_discord(self) -> SandboxClient:
        """The sandbox Discord, answering."""
        command = [sys.executable, "-m", "ops.sandbox", "--port", "0", "--token", TOKEN]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._processes.append(process)
        assert process.stdout is not None
        address = re.search(r"http://\S+?(?=;|\s|$)", process.stdout.readline().decode())
        if address is None:
            raise InviteLogError("the sandbox Discord did not start; see what it printed above.")
        return SandboxClient(address[0])

    def start_product(self, discord: SandboxClient) -> Client:
        """The producer, the consumers and the server, as `make run` would start them, all reporting."""
        settings = {
            "DISCORD_TOKEN": TOKEN,
            "DISCORD_API_URL": f"{discord.url}/api/v10",
            "INVITE_LOGS_DIR": str(self.logs),
            "CLOUD_BACKUP_URL": self.cloud.as_uri(),
        }
        # The demo is the same whatever the environment says: a real server or token is not touched.
        ours = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "PORT", "DYNO")}
        with self.up_log.open("wb") as log:
            command = [sys.executable, "-m", "ops", "up"]
            process = subprocess.Popen(command, env={**ours, **settings}, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        client = connect(Settings(redis_url=self.redis_url))
        deadline = time.monotonic() + START_SECONDS
        while not (embedded.answers(self.logs) and len(process_report.read(client, (*keys.SINKS, "producer"))) == 5):
            if process.poll() is not None or time.monotonic() > deadline:
                raise InviteLogError(
                    f"the product did not start; {self.up_log} says:\n{self.up_log.read_text()[-2000:]}"
                )
            time.sleep(0.1)
        discord.wait_connected(timeout=START_SECONDS)
        discord.wait_commands(*_COMMANDS, timeout=START_SECONDS)
        return client

    def take_cloud_away(self) -> None:
        """Makes the cloud fail as a broken mount would: where the folder was there is something else."""
        self.cloud.rename(self.folder / "cloud.away")
        self.cloud.touch()

    def give_cloud_back(self) -> None:
        """Undoes `take_cloud_away`."""
        self.cloud.unlink()
        (self.folder / "cloud.away").rename(self.cloud)

    def rq_info(self) -> list[str]:
        """What plain `rq info -u URL` prints of the queues."""
        rq = Path(sys.executable).with_name("rq")
        command = [str(rq), "info", "-u", self.redis_url, "--only-queues"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()


def settle(client: Client, joins: int, seconds: float, sinks: tuple[str, ...] = keys.SINKS) -> Overview:
    """Waits until so many joins are published and those sinks have them all and say so, or the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        published = client.xlen(keys.stream(JOINS)) >= joins
        if published or time.monotonic() > deadline:
            overview = look(client)
            done = not any(overview.sinks[sink].backlog for sink in sinks)
            agreed = sinks != keys.SINKS or (set(overview.heads.values()) == {EQUAL} and _idle(overview))
            if (done and agreed) or time.monotonic() > deadline:
                return overview
        time.sleep(0.02)


def _idle(overview: Overview) -> bool:
    """Whether the producer reports that it holds nothing more."""
    return overview.producer is not None and not any(overview.producer.details.values())
