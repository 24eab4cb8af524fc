"""The promises of the whole, on real processes: the real client, the real server, the real sinks."""

from __future__ import annotations

import random
import signal
import time

import pytest

from joins import keys
from tests.ops.pipeline import DEADLINE, Pipeline, pipeline, until


class Guild:
    """A guild with one invite and members who join by it."""

    def __init__(self, running: Pipeline) -> None:
        self._discord = running.discord
        self.id = running.discord.add_guild("PipVault")["id"]
        self.staff = running.discord.add_member(self.id, "TravisP", permissions="MANAGE_GUILD")["id"]
        self.code = running.discord.add_invite(self.id, inviter=self.staff)["code"]
        self._count = 0

    def joins(self, count: int) -> None:
        """So many members join at once."""
        for _ in range(count):
            self._count += 1
            self._discord.join(self.id, f"member_{self._count}", code=self.code)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """One pipeline for the tests of this module; each leaves it working."""
    with pipeline(tmp_path_factory.mktemp("pipeline")) as started:
        yield started


def test_a_stopped_consumer_delays_itself_alone_and_drains_when_it_is_back(running: Pipeline) -> None:
    guild = Guild(running)
    running.processes["csv"].send_signal(signal.SIGTERM)
    assert running.processes["csv"].wait(timeout=10) == 0
    before = len(running.discord.ledger())
    guild.joins(40)
    published = before + 40
    until(lambda: running.client.xlen(keys.stream("joins")) == published, "the joins are published")
    until(lambda: running.backlogs() == {"json": 0, "csv": 40, "sqlite": 0, "cloud": 0}, "only csv has a backlog")
    running.start("csv")
    assert running.verdict().problems == []


def test_killing_consumers_in_the_middle_of_a_burst_loses_and_doubles_nothing(running: Pipeline) -> None:
    guild = Guild(running)
    chance = random.Random(20251031)
    for _ in range(12):
        guild.joins(15)
        victim = chance.choice(keys.SINKS)
        running.kill(victim)
        running.start(victim)
    assert running.verdict().problems == []


def test_a_server_that_is_away_for_ten_seconds_costs_no_join(running: Pipeline) -> None:
    guild = Guild(running)
    guild.joins(5)
    running.stop_server()
    for _ in range(10):
        guild.joins(4)
        time.sleep(1)  # the ten seconds are the point
    running.start_server()
    verdict = running.verdict()
    assert verdict.problems == []
    assert all(process.poll() is None for process in running.processes.values())


def test_killing_the_producer_loses_no_arrival_that_it_had_received(running: Pipeline) -> None:
    guild = Guild(running)
    received = running.client.xlen(keys.stream("joins")) + 20
    guild.joins(20)
    until(
        lambda: running.client.hlen(keys.ARRIVALS) + running.client.xlen(keys.stream("joins")) == received,
        "every arrival is kept in Redis",
    )
    running.kill("producer")
    running.start("producer")
    running.discord.wait_connected(timeout=DEADLINE)
    verdict = running.verdict()
    assert verdict.problems == []


def test_sigterm_ends_every_process_within_ten_seconds_and_the_next_start_goes_on(running: Pipeline) -> None:
    guild = Guild(running)
    guild.joins(10)
    for process in running.processes.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(timeout=10) for process in running.processes.values()] == [0] * 5
    for name in ("producer", *keys.SINKS):
        running.start(name)
    running.discord.wait_connected(timeout=DEADLINE)
    guild.joins(5)
    assert running.verdict().problems == []


@pytest.mark.parametrize("waiting", [0, 10], ids=["idle", "with joins that wait"])
def test_sigterm_ends_the_producer_within_ten_seconds_while_the_server_hangs(running: Pipeline, waiting: int) -> None:
    guild = Guild(running)
    guild.joins(3)
    assert running.verdict().problems == []
    assert running.server is not None
    running.server.send_signal(signal.SIGSTOP)
    try:
        guild.joins(waiting)
        time.sleep(1)  # so that threads hang in what the server was asked
        running.processes["producer"].send_signal(signal.SIGTERM)
        assert running.processes["producer"].wait(timeout=10) == 0  # the ten seconds are the requirement
    finally:
        running.server.send_signal(signal.SIGCONT)
    running.start("producer")
    running.discord.wait_connected(timeout=DEADLINE)
    assert running.verdict().problems == []
