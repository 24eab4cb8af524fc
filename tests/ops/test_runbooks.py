"""The runbooks' commands, as they stand in docs/runbooks.md, on the disasters they are for."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from joins import keys
from joins.log_files import database_path, json_path
from joins.records import JOINS
from joins.settings import Settings
from ops.overview import look
from ops.verifying.verification import Verification
from tests.ops.pipeline import DEADLINE, Pipeline, pipeline, until

RUNBOOKS = (Path(__file__).parents[2] / "docs" / "runbooks.md").read_text()


def blocks(title: str) -> list[str]:
    """The commands of a runbook, a block each."""
    text = RUNBOOKS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found, title
    return found


class Incident:
    """A running product with some joins, and a shell in which a person types the runbook's commands."""

    def __init__(self, running: Pipeline, folder: Path) -> None:
        self.running, self.home = running, folder / "home"
        self.home.mkdir()
        discord = running.discord
        self.guild = discord.add_guild("PipVault")["id"]
        staff = discord.add_member(self.guild, "TravisP", permissions="MANAGE_GUILD")["id"]
        self.code = discord.add_invite(self.guild, inviter=staff)["code"]
        self.join(30)
        assert running.verdict().problems == []

    def join(self, count: int) -> None:
        self.running.discord.join_many(self.guild, count, f"m{len(self.running.discord.ledger())}", code=self.code)

    def type(self, block: str, environment: dict[str, str] | None = None) -> str:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = (environment or self.running.environment) | {"PATH": path, "HOME": str(self.home)}
        done = subprocess.run(["bash", "-euc", block], env=ours, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout

    def stop(self) -> None:
        for name in list(self.running.processes):
            self.running.processes[name].terminate()
        for name in list(self.running.processes):
            self.running.processes.pop(name).wait(timeout=15)

    def start(self) -> None:
        for name in ("producer", *keys.SINKS):
            self.running.start(name)
        self.running.discord.wait_connected(timeout=DEADLINE)

    def is_whole(self) -> None:
        """Everything works, and every join is in every copy."""
        self.join(3)
        verdict = self.running.verdict()
        assert verdict.problems == []
        until(lambda: look(self.running.client).ok, "all is well")
        settings = Settings(invite_logs_dir=self.running.logs, cloud_backup_url=self.running.cloud.as_uri())
        assert Verification(settings).run().findings == []


@pytest.fixture
def incident(tmp_path: Path) -> Iterator[Incident]:
    with pipeline(tmp_path) as running:
        yield Incident(running, tmp_path)


def test_every_runbook_is_tried() -> None:
    tried = Path(__file__).read_text()
    assert all(f'blocks("{title}")' in tried for title in re.findall(r"^## (.*)$", RUNBOOKS, re.MULTILINE))


def test_the_database_is_damaged(incident: Incident) -> None:
    database = sqlite3.connect(database_path(incident.running.logs))
    database.execute("update joins set staff_id = '1' where rowid % 2")
    database.commit()
    database.close()
    [block] = blocks("The database is damaged")
    assert "All is sound" in incident.type(block)
    incident.is_whole()


def test_the_servers_disk_died(incident: Incident) -> None:
    incident.stop()
    incident.running.stop_server()
    shutil.rmtree(incident.running.logs)
    restore, earlier = blocks("The server's disk died")
    assert "All is sound" in incident.type(restore)
    incident.running.start_server()
    incident.join(4)
    incident.start()
    incident.is_whole()
    incident.type(earlier.replace("1 minute ago", "now"))
    assert json_path(incident.home / "then", JOINS).exists()


def test_redis_lost_its_data(incident: Incident) -> None:
    incident.running.kill("producer")
    incident.running.client.flushall()
    [block] = blocks("Redis lost its data")
    dry, heal, status = block.strip().splitlines()
    assert "the stream lacks records" in incident.type(dry)
    assert "records were added again" in incident.type(heal)
    incident.running.start("producer")
    incident.running.discord.wait_connected(timeout=DEADLINE)
    until(lambda: look(incident.running.client).ok, "all is well")
    assert "the four heads are equal" in incident.type(status)
    incident.is_whole()


def test_somebody_edited_the_log(incident: Incident) -> None:
    path = json_path(incident.running.logs, JOINS)
    incident.running.kill("json")
    path.write_bytes(path.read_bytes().replace(b"PipVault", b"PopVault", 1))
    look_first, mend = blocks("Somebody edited the log")
    assert f"{path}, line 2: edited" in incident.type(look_first)
    incident.running.start("json")
    assert "All is sound" in incident.type(mend)
    assert list(incident.running.logs.glob("invite_joins.json.replaced-*"))
    incident.is_whole()


def test_moving_hosts(incident: Incident, tmp_path: Path) -> None:
    old, new = blocks("Moving hosts")
    assert "it can be restored" in incident.type(old)
    incident.stop()
    moved = tmp_path / "new_host"
    environment = incident.running.environment | {"INVITE_LOGS_DIR": str(moved)}
    assert "All is sound" in incident.type(new, environment)
    incident.running.environment, incident.running.logs = environment, moved
    incident.join(2)
    incident.start()
    incident.is_whole()
