"""Two producers at once, as in every deploy: one publishes, the other takes over, and no join is published twice.

`make writers` lets it go on for a minute.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT, plain_environment, until

from joins import keys
from joins.records import JOINS
from joins.redis_url import Client
from joins.scripts import text
from ops.demo_stage import TOKEN
from ops.demo_verdict import ledger_join_id
from ops.sandbox.control import SandboxClient
from tests.ops.pipeline import DEADLINE, start_sandbox, stop_sandbox

SECONDS = float(os.environ.get("WRITERS_SECONDS", "4"))
SEED = int(os.environ.get("WRITERS_SEED", "20251031"))
TAKE_OVER = 10.0  # seconds within which the one who waits shall have taken over: the promise
WAITS, FENCED = "another producer is at work", "another producer publishes now; records are handed over to it"


class Producers:
    """Producers on hosts that share a server: each host has a log folder of its own."""

    def __init__(self, discord: SandboxClient, client: Client, url: str, folder: Path) -> None:
        self.discord, self._client, self._folder = discord, client, folder
        self._environment = plain_environment() | {
            "DISCORD_TOKEN": TOKEN, "DISCORD_API_URL": f"{discord.url}/api/v10", "REDIS_URL": url,
            "MEMBER_SEARCH": "no",
        }  # fmt: skip
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.guild = int(discord.add_guild("PipVault")["id"])
        staff = discord.add_member(self.guild, "TravisP", permissions="MANAGE_GUILD")["id"]
        self._code = str(discord.add_invite(self.guild, inviter=staff)["code"])
        self._joined = 0

    def start(self, host: str) -> int:
        """One more producer; gives its process id."""
        with (self._folder / f"{host}.out").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "producer"], cwd=ROOT, stdout=said, stderr=said,
                env=self._environment | {"INVITE_LOGS_DIR": str(self._folder / host)},
            )  # fmt: skip
        self.running[process.pid] = process
        return process.pid

    def times_said(self, host: str, what: str) -> int:
        """How often the producers of a host have said that."""
        return (self._folder / f"{host}.out").read_text().count(what)

    def join(self, count: int) -> None:
        self._joined += len(self.discord.join_many(self.guild, count, f"m{self._joined}", code=self._code))

    def writer(self) -> int:
        """The process id of the one that holds the lease; 0 when nobody does."""
        value = self._client.get(keys.lease("sequencer"))
        return int(text(value).split("|")[1].rpartition(":")[2]) if value else 0

    def wait_taken_over(self, successor: int) -> None:
        """Until the successor has the lease: within the time that is promised."""
        until(lambda: self.writer() == successor, TAKE_OVER, "the second producer did not take over")

    def wait_said(self, host: str, what: str, times: int = 1) -> None:
        """Until the producers of a host have said that so often."""
        until(lambda: self.times_said(host, what) >= times, what=f"nobody said that {what}")

    def kill(self, pid: int) -> None:
        process = self.running.pop(pid)
        process.kill()
        process.wait()

    def published(self) -> list[str]:
        """The join ids in the stream, in its order."""
        entries: Any = self._client.xrange(keys.stream(JOINS))
        return [text(fields[b"id"]) for _, fields in entries]

    def assert_once(self) -> None:
        """Every join of the ledger is published once."""
        ledger = [ledger_join_id(join) for join in self.discord.ledger()]
        until(lambda: len(self.published()) >= len(ledger), DEADLINE, "not every join was published")
        assert sorted(self.published()) == sorted(ledger)

    def end(self) -> None:
        for pid in list(self.running):
            self.kill(pid)


@pytest.fixture
def producers(redis_client: Client, server_url: str, tmp_path: Path) -> Iterator[Producers]:
    process, discord = start_sandbox()
    made = Producers(discord, redis_client, server_url, tmp_path)
    try:
        yield made
    finally:
        made.end()
        stop_sandbox(process)


def test_one_publishes_the_other_takes_over_when_it_is_killed_and_no_join_is_there_twice(producers: Producers) -> None:
    dice, end, deaths = random.Random(SEED), time.monotonic() + SECONDS, 0
    producers.start("host")
    producers.start("host")
    producers.discord.wait_connected(timeout=DEADLINE)
    while time.monotonic() < end or not deaths:
        producers.join(dice.randint(1, 30))
        time.sleep(dice.random() * 0.3)
        if dice.random() < 0.2:
            producers.wait_said("host", WAITS, deaths + 1)
            (successor,) = producers.running.keys() - {producers.writer()}
            producers.kill(producers.writer())
            deaths += 1
            producers.wait_taken_over(successor)
            producers.start("host")
    producers.assert_once()


def test_a_producer_that_wakes_after_its_lease_ran_out_publishes_nothing(producers: Producers) -> None:
    first = producers.start("one")
    until(lambda: producers.writer() == first)
    producers.discord.wait_connected(timeout=DEADLINE)
    second = producers.start("two")
    producers.wait_said("two", WAITS)
    dice, end, slept = random.Random(SEED), time.monotonic() + SECONDS, False
    while time.monotonic() < end or not slept:
        sleeper = producers.writer()
        (successor,) = producers.running.keys() - {sleeper}
        host = "one" if sleeper == first else "two"
        producers.join(dice.randint(1, 100))
        time.sleep(dice.random() * 0.1)  # it falls asleep in the middle of its work
        producers.running[sleeper].send_signal(signal.SIGSTOP)
        producers.wait_taken_over(successor)
        producers.join(20)
        noticed = producers.times_said(host, FENCED)
        producers.running[sleeper].send_signal(signal.SIGCONT)
        producers.join(20)
        producers.wait_said(host, FENCED, noticed + 1)
        producers.join(20)
        producers.assert_once()
        assert producers.writer() == successor
        slept = True
    assert {first, second} == producers.running.keys()
