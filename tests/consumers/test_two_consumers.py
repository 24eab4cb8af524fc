"""Two consumers of a sink at once, as in every deploy: one works, the other takes over, nothing is written twice.

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

import pytest
from factories import Feed, queue_length
from processes import ROOT, plain_environment, until
from sink_kinds import LOCAL

from consumers.consumer import Consumer
from consumers.holding import claim_of
from joins import keys, lease, process_report
from joins.durable import FolderLock
from joins.records import CHANGES, JOINS
from joins.redis_url import Client
from joins.scripts import text
from joins.settings import Settings
from ops.overview import look

SECONDS = float(os.environ.get("WRITERS_SECONDS", "4"))
SEED = int(os.environ.get("WRITERS_SEED", "20251031"))
TAKE_OVER = 10.0  # seconds within which the one who waits shall have taken over: the promise
WAITS, RAN_OUT = "another process has this sink, a consumer or a command", "the lease of cloud ran out"
ONE_HOST, TWO_HOSTS = keys.SINKS, ("cloud",)  # which sinks both want; on two hosts only the cloud is the same for both


class Hosts:
    """Consumers that share a server and a cloud, on one host (one log folder) or on two."""

    def __init__(self, client: Client, url: str, folder: Path, count: int) -> None:
        self.client, self.folder = client, folder
        self.folders = [folder / f"host{number}" for number in range(count)]
        for path in self.folders:
            path.mkdir()
        self._environment = plain_environment() | {
            "REDIS_URL": url, "CLOUD_BACKUP_URL": (folder / "cloud").as_uri(),
        }  # fmt: skip
        self.running: dict[int, tuple[str, int, subprocess.Popen[bytes]]] = {}  # by process id: sink, host
        self._said: dict[int, Path] = {}

    def start(self, sink: str, host: int) -> int:
        """One more consumer; gives its process id."""
        folder = self.folders[host % len(self.folders)]
        path = self.folder / f"said-{len(self._said)}"
        with path.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "consumers", sink], cwd=ROOT, stdout=said, stderr=said,
                env=self._environment | {"INVITE_LOGS_DIR": str(folder)},
            )  # fmt: skip
        self.running[process.pid], self._said[process.pid] = (sink, host, process), path
        return process.pid

    def writer(self, sink: str) -> int:
        """The process id of the one that holds the sink's lease; 0 when nobody does."""
        value = self.client.get(keys.lease(sink))
        return int(text(value).split("|")[1].rpartition(":")[2]) if value else 0

    def other(self, sink: str, pid: int) -> int:
        """The process id of the second consumer of a sink."""
        (other,) = (one for one, (name, _, _) in self.running.items() if name == sink and one != pid)
        return other

    def said(self, pid: int, what: str) -> int:
        """How often a process has said that."""
        return self._said[pid].read_text().count(what)

    def wait_second(self, sink: str) -> tuple[int, int]:
        """The process ids of who works and of who waits, once the latter says so."""
        until(lambda: self.writer(sink) in self.running, what="nobody has the lease")
        writer = self.writer(sink)
        waiting = self.other(sink, writer)
        until(lambda: self.said(waiting, WAITS), what="the second consumer does not wait")
        return writer, waiting

    def wait_taken_over(self, sink: str, successor: int) -> None:
        """Until the successor has the lease: within the time that is promised."""
        until(lambda: self.writer(sink) == successor, TAKE_OVER, f"the second {sink} consumer did not take over")

    def wait_said(self, pid: int, what: str, times: int) -> None:
        """Until a process has said that so often."""
        until(lambda: self.said(pid, what) >= times, what=f"it did not say that {what}")

    def signal(self, pid: int, number: signal.Signals) -> None:
        self.running[pid][2].send_signal(number)

    def kill(self, pid: int) -> int:
        """kill -9; gives the host on which it was."""
        _, host, process = self.running.pop(pid)
        process.kill()
        process.wait()
        return host

    def drained(self, sinks: tuple[str, ...]) -> bool:
        overview = look(self.client)
        return all(not queue_length(self.client, sink) and not overview.sinks[sink].backlog for sink in sinks)

    def assert_whole(self, sinks: tuple[str, ...], feed: Feed) -> None:
        """Each record once, in order, under the same hashes as in any other copy."""
        for sink in sinks:
            copy = LOCAL[sink](self.folder if sink == "cloud" else self.folders[0])
            for log in (JOINS, CHANGES):
                assert copy.read(log) == feed.chain(log), (sink, log)

    def end(self) -> None:
        for pid in list(self.running):
            self.kill(pid)


@pytest.fixture(params=[(1, ONE_HOST), (2, TWO_HOSTS)], ids=["one host", "two hosts"])
def both(
    request: pytest.FixtureRequest, redis_client: Client, server_url: str, tmp_path: Path
) -> Iterator[tuple[Hosts, tuple[str, ...], Feed]]:
    """Two consumers of each sink, the first of them at work, and who feeds them."""
    count, sinks = request.param
    hosts, feed = Hosts(redis_client, server_url, tmp_path, count), Feed(redis_client)
    try:
        for sink in (*sinks, *sinks):
            hosts.start(sink, len(hosts.running) // len(sinks))
        yield hosts, sinks, feed
    finally:
        hosts.end()


def test_one_works_the_other_takes_over_when_it_is_killed_and_no_record_is_there_twice(
    both: tuple[Hosts, tuple[str, ...], Feed],
) -> None:
    hosts, sinks, feed = both
    dice, end, deaths = random.Random(SEED), time.monotonic() + SECONDS, 0
    while time.monotonic() < end or not deaths:
        feed.publish(dice.randint(1, 100))
        feed.publish(dice.randint(0, 3), CHANGES)
        time.sleep(dice.random() * 0.1)
        if dice.random() < 0.1:
            sink = dice.choice(sinks)
            writer, successor = hosts.wait_second(sink)
            host = hosts.kill(writer)
            hosts.wait_taken_over(sink, successor)
            hosts.start(sink, host)
            deaths += 1
    until(lambda: hosts.drained(sinks), 40, "the backlog was not delivered")
    hosts.assert_whole(sinks, feed)


def test_a_writer_that_wakes_after_its_lease_ran_out_writes_nothing(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    hosts, feed = Hosts(redis_client, server_url, tmp_path, 2), Feed(redis_client)
    dice, end = random.Random(SEED), time.monotonic() + SECONDS
    try:
        hosts.start("cloud", 0)
        hosts.start("cloud", 1)
        sleeper = 0
        while time.monotonic() < end or not sleeper:
            sleeper, successor = hosts.wait_second("cloud")
            for _ in range(dice.randint(1, 20)):  # it falls asleep in the middle of its work
                feed.publish(dice.randint(1, 100))
            hosts.signal(sleeper, signal.SIGSTOP)
            hosts.wait_taken_over("cloud", successor)
            feed.publish(50)
            until(lambda: hosts.drained(("cloud",)), 40)
            noticed = hosts.said(sleeper, RAN_OUT)
            hosts.signal(sleeper, signal.SIGCONT)
            feed.publish(50)
            hosts.wait_said(sleeper, RAN_OUT, noticed + 1)
            feed.publish(50)
            until(lambda: hosts.drained(("cloud",)), 40)
            assert hosts.writer("cloud") == successor
            hosts.assert_whole(("cloud",), feed)
    finally:
        hosts.end()


def test_a_sleeping_writer_keeps_its_folder_to_itself_and_status_says_that_the_sink_is_down(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    hosts, feed = Hosts(redis_client, server_url, tmp_path, 1), Feed(redis_client)
    sinks = keys.SINKS
    try:
        for sink in (*sinks, *sinks):
            hosts.start(sink, 0)
        sleepers = {sink: hosts.wait_second(sink)[0] for sink in sinks}
        feed.publish(50)
        until(lambda: hosts.drained(sinks) and len(process_report.read(redis_client, sinks)) == len(sinks))
        for sleeper in sleepers.values():
            hosts.signal(sleeper, signal.SIGSTOP)
        feed.publish(50)
        for sink in sinks:
            assert 0 < redis_client.ttl(keys.process(sink)) <= process_report.EXPIRES_AFTER
            redis_client.pexpire(keys.process(sink), 1)  # as if that time were over
        until(lambda: not any(hosts.writer(sink) for sink in sinks), 2 * lease.TTL, "a sleeper's lease did not run out")
        assert {view.state for view in look(redis_client).sinks.values()} == {"down"}
        assert {view.backlog for view in look(redis_client).sinks.values()} == {50}

        for sink in ("json", "cloud"):  # those two wake: nobody has written meanwhile, and they go on
            hosts.signal(sleepers[sink], signal.SIGCONT)
            hosts.wait_taken_over(sink, sleepers[sink])
        for sink in ("csv", "sqlite"):  # and those are killed in their sleep
            successor = hosts.other(sink, sleepers[sink])
            hosts.kill(sleepers[sink])
            hosts.wait_taken_over(sink, successor)
        until(lambda: hosts.drained(sinks))
        hosts.assert_whole(sinks, feed)
    finally:
        hosts.end()


def test_one_that_waits_for_a_lease_leaves_the_sink_to_a_command(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    claim, command = claim_of(tmp_path, "json"), FolderLock(tmp_path, "json")
    with Consumer(Settings(redis_url=server_url, invite_logs_dir=tmp_path), "json") as consumer:
        redis_client.set(keys.lease("json"), "1|elsewhere:1|another folder", px=60_000)
        assert not consumer.take()
        assert not command.acquire(), "it has the lock, and waits for the lease"
        assert claim.acquire()
        assert not consumer.take()
        assert command.acquire()
    command.release()
    claim.release()
