"""`invitelog backfill` on a running pipeline: members from before the log are recorded once, when asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from joins import keys
from joins.log_files import json_path
from joins.records import JOINS
from ops.sandbox.control import SandboxClient
from tests.ops.pipeline import Pipeline, pipeline, until

LARGE, MEMORY = 5000, 12 << 20  # members; bytes of resident memory that more pages may take than one


class World:
    """A large guild whose members' invites Discord does not know, and a small one."""

    def __init__(self) -> None:
        self.large = self.small = self.missed = 0

    def prepare(self, discord: SandboxClient) -> None:
        self.small = discord.add_guild("Small")["id"]
        maria = discord.add_member(self.small, "maria", joined_at="2024-01-01T00:00:00.123456+00:00")["id"]
        add = discord.add_member
        for number in range(3):
            joined = f"2025-01-0{number + 1}T10:00:00.5+00:00"
            add(self.small, f"m{number}", joined_at=joined, source="invite", code="maria", inviter=maria)
        add(self.small, "vera", joined_at="2025-02-01T10:00:00+00:00", source="vanity", code="pipvault")
        add(self.small, "dora", joined_at="2025-02-02T10:00:00+00:00", source="discovery")
        add(self.small, "added", joined_at="2025-02-02T11:00:00+00:00", source="bot")
        add(self.small, "helper", joined_at="2025-02-03T10:00:00+00:00", bot=True)
        self.missed = discord.add_guild("Missed")["id"]
        discord.add_member(self.missed, "during", joined_at=datetime.now(UTC).isoformat())
        self.large = discord.add_guild("Large")["id"]
        discord.call("add_members", self.large, LARGE)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, world: World):  # type: ignore[no-untyped-def]
    with pipeline(tmp_path_factory.mktemp("backfill"), world.prepare) as started:
        yield started


def started(running: Pipeline, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ops", "backfill", *arguments]
    return subprocess.Popen(
        command,
        env=running.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As in a terminal: a shell that runs the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def backfill(running: Pipeline, *arguments: str) -> tuple[int, str]:
    process = started(running, *arguments)
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def measured(running: Pipeline, *arguments: str) -> tuple[str, int]:
    """What a run that succeeds says, and the most memory that it took, in bytes."""
    process = started(running, *arguments)
    assert process.stdout is not None
    with process.stdout as stdout:
        said = stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return said, usage.ru_maxrss * 1024


def records(running: Pipeline, guild: int, count: int) -> dict[str, dict[str, Any]]:
    """The records of a guild in the JSON log by name, once there are so many."""
    until(lambda: running.client.llen(keys.INBOX) == 0, "the inbox is empty")
    path = json_path(running.logs, JOINS)

    def read() -> list[dict[str, Any]]:
        log = json.loads(path.read_bytes()) if path.exists() else []
        return [record for record in log if record["guild_id"] == str(guild)]

    until(lambda: len(read()) >= count, f"{count} joins are in the log")
    found = read()
    assert len(found) == count
    assert max(Counter(record["join_id"] for record in found).values(), default=1) == 1
    return {record["username"]: record for record in found}


def test_a_dry_run_counts_and_records_nobody(running: Pipeline, world: World) -> None:
    code, said = backfill(running, "--guild", str(world.small), "--dry-run")
    assert code == 0
    assert "of 10 members 9 would be recorded" in said
    assert "invite 3" in said
    assert running.client.xlen(keys.stream(JOINS)) == 0


def test_members_are_recorded_as_history_with_source_code_inviter_and_time(running: Pipeline, world: World) -> None:
    running.discord.limit(r"members-search", 0.2, count=2)
    code, said = backfill(running, "--guild", str(world.small))
    assert code == 0, said
    found = records(running, world.small, 9)
    first = found["m0"]
    assert (first["method"], first["confidence"], first["invite_code"]) == ("member_search", "exact", "maria")
    assert (first["timestamp"], first["inviter_id"]) == ("2025-01-01T10:00:00.500000", found["maria"]["user_id"])
    assert "backfilled" in first["flags"]
    assert (found["vera"]["source"], found["vera"]["invite_code"]) == ("vanity", "pipvault")
    assert (found["dora"]["source"], found["dora"]["invite_code"]) == ("discovery", None)
    assert (found["added"]["source"], found["added"]["evidence"]) == ("integration", {"added_by_application": True})
    assert (found["helper"]["source"], found["helper"]["invite_code"]) == ("bot", None)
    assert found["maria"]["confidence"] == "unknown", "Discord does not say how she came in"


def test_nobody_is_recorded_twice(running: Pipeline, world: World) -> None:
    until(lambda: running.backlogs() == dict.fromkeys(keys.SINKS, 0), "every copy has them")
    running.client.delete(keys.PUBLISHED)  # the stream reaches back only so far; then the database tells
    code, said = backfill(running, "--guild", str(world.small))
    assert (code, "of 10 members 0 were handed" in said) == (0, True), said
    records(running, world.small, 9)


def test_without_member_search_it_says_so_and_records_times_alone_when_asked(running: Pipeline, world: World) -> None:
    running.discord.set_fault(member_search="refused")
    try:
        code, said = backfill(running, "--guild", str(world.large))
        assert code == 1
        assert "there is no member search here (Discord answers 403" in said
        records(running, world.large, 0)
        code, said = backfill(running, "--guild", str(world.large), "--without-invites", "--dry-run")
        assert f"{LARGE + 1} would be recorded (unknown {LARGE + 1})" in said
        code, said = backfill(running, "--guild", str(world.large), "--without-invites", "--dry-run")
    finally:
        running.discord.set_fault(member_search="on")


def test_a_run_that_is_killed_goes_on_where_it_was_and_its_memory_stays_flat(running: Pipeline, world: World) -> None:
    running.discord.set_fault(member_search="refused")
    running.discord.slow(r"GET /guilds/\d+/members", 2000)  # so slow that it is not over before it is killed
    try:
        for number in (signal.SIGKILL, signal.SIGINT):
            before = progress(running, world)  # first: the run may be a page further when its start returns
            process = started(running, "--guild", str(world.large), "--without-invites")
            until(lambda: progress(running, world) > before, "a page was handed over")  # noqa: B023 - called at once
            process.send_signal(number)
            said, _ = process.communicate(timeout=20)
            assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), said
        assert "Stopped. Run it again to go on from here." in said
        running.discord.set_fault(rest=[], member_search="refused")
        said, memory = measured(running, "--guild", str(world.large), "--without-invites")
        assert "going on after" in said
        _, least = measured(running, "--guild", str(world.small), "--without-invites", "--dry-run")
        assert memory - least < MEMORY
        found = records(running, world.large, LARGE + 1)  # the owner too
        assert {(record["method"], record["confidence"]) for record in found.values()} == {("backfill", "unknown")}
        assert progress(running, world) == 0, "it is done, so nothing is kept"
    finally:
        running.discord.set_fault(rest=[], member_search="on")


def test_live_joins_are_recorded_beside_it_by_the_producer_alone(running: Pipeline, world: World) -> None:
    code = running.discord.add_invite(world.small, code="live")["code"]
    time.sleep(0.5)
    running.discord.join(world.small, "john", code=code)
    said = backfill(running, "--guild", str(world.small))[1]
    assert "0 were handed" in said
    john = records(running, world.small, 10)["john"]
    assert (john["method"], john["uses_after"]) == ("invite_difference", 1)


def test_without_a_producer_it_refuses_with_a_sentence(running: Pipeline, world: World, tmp_path: Path) -> None:
    running.processes["producer"].terminate()
    assert running.processes["producer"].wait(timeout=15) == 0
    code, said = backfill(running, "--guild", str(world.small))
    assert code == 1
    assert "no producer is running" in said
    running.client.hset(keys.LISTENED, str(world.missed), "2020-01-01T00:00:00.000000")  # before the bot was added
    said = backfill(running, "--guild", str(world.missed), "--dry-run")[1]
    assert "of 3 members 1 would be recorded" in said, "the owner, who was there before the bot"
    assert "Missed: 1 joined after 20" in said
    assert "left to the producer" in said
    assert "Missed: 1 have a record already, or are the bot" in said
    running.start("producer")


def progress(running: Pipeline, world: World) -> int:
    """How many members the run has handed over, by its own note."""
    kept = running.client.hget(keys.BACKFILL, str(world.large))
    return int(json.loads(kept)["seen"]) if kept else 0
