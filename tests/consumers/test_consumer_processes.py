"""Real consumers as processes, a real server, the real `rq info`."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import Feed, queue_length
from moto_process import ENVIRONMENT, free_port
from processes import ROOT, Consumers, Server, plain_environment, rq_info, until
from sink_kinds import LOCAL

from joins import keys, process_report
from joins.records import CHANGES, JOINS
from joins.redis_url import Client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def consumers(server_url: str, redis_client: Client, folder: Path) -> Iterator[Consumers]:
    made = Consumers(server_url, folder)
    yield made
    made.stop_all()


@pytest.fixture
def feed(redis_client: Client) -> Feed:
    return Feed(redis_client)


def working(client: Client, *sinks: str) -> bool:
    reports = process_report.read(client, sinks)
    return len(reports) == len(sinks) and all(report.state == "working" for report in reports.values())


def drained(client: Client, *sinks: str) -> bool:
    return all(queue_length(client, sink) == 0 and pending(client, sink) == 0 for sink in sinks)


def pending(client: Client, sink: str) -> int:
    counts = 0
    for log in (JOINS, CHANGES):
        groups = {group["name"].decode(): group for group in client.xinfo_groups(keys.stream(log))}
        if sink not in groups:
            return 1
        counts += groups[sink]["pending"] + (groups[sink]["lag"] or 0)
    return counts


def counts(shown: str) -> dict[str, int]:
    """The queues and their counts, as `rq info` prints them: what waits, and what is being tried just now."""
    lines = re.findall(r"^(json|csv|sqlite|cloud)\s+\|\W*?(\d+), (\d+) executing", shown, re.MULTILINE)
    return {name: int(count) + int(executing) for name, count, executing in lines}


def assert_whole(feed: Feed, folder: Path) -> None:
    """Each sink holds each record once, in order, under the same hashes."""
    for name, place in LOCAL.items():
        for log in (JOINS, CHANGES):
            records, expected = place(folder).read(log), feed.chain(log)
            assert [r["event_id"] for r in records] == [r["event_id"] for r in expected], f"{name} {log}"
            assert records == expected, f"{name} {log}"


def test_rq_info_shows_true_counts_and_workers_and_one_stopped_sink_delays_itself_alone(
    consumers: Consumers, feed: Feed, folder: Path, server_url: str
) -> None:
    client = feed.client
    consumers.start(*keys.SINKS)
    until(lambda: working(client, *keys.SINKS), what="the consumers did not start")
    feed.publish(40)
    feed.publish(5, CHANGES)
    until(lambda: drained(client, *keys.SINKS))
    shown = rq_info(server_url)
    assert counts(shown) == dict.fromkeys(keys.SINKS, 0), shown
    assert "4 workers, 4 queues" in shown, shown

    assert consumers.stop("cloud") == 0
    feed.publish(30)
    until(lambda: drained(client, "json", "csv", "sqlite"))
    shown = rq_info(server_url)
    assert counts(shown) == {"json": 0, "csv": 0, "sqlite": 0, "cloud": 30}, shown
    assert "3 workers" in shown

    consumers.start("cloud")
    until(lambda: drained(client, "cloud"))
    assert_whole(feed, folder)
    assert consumers.end() == dict.fromkeys(keys.SINKS, 0)
    assert process_report.read(client, keys.SINKS) == {}


def test_consumers_killed_at_random_moments_of_a_burst_hold_every_record_once_and_in_order(
    consumers: Consumers, feed: Feed, folder: Path
) -> None:
    dice = random.Random(20251031)
    consumers.start(*keys.SINKS)
    until(lambda: working(feed.client, *keys.SINKS))
    while len(feed.published[JOINS]) < 2000:
        feed.publish(dice.randint(1, 100))
        feed.publish(dice.randint(0, 3), CHANGES)
        if dice.random() < 0.3:
            sink = dice.choice(keys.SINKS)
            consumers.stop(sink, signal.SIGKILL)
            consumers.start(sink)
        time.sleep(dice.random() * 0.03)
    until(lambda: drained(feed.client, *keys.SINKS), 40, "the burst was not delivered")
    assert_whole(feed, folder)


def test_a_cloud_that_does_not_answer_fails_visibly_and_alone_and_clears_when_it_works(
    consumers: Consumers, feed: Feed, folder: Path, server_url: str
) -> None:
    client = feed.client
    sure = consumers.environment
    consumers.environment = sure | ENVIRONMENT | {
        "AWS_ENDPOINT": f"http://127.0.0.1:{free_port()}", "CLOUD_BACKUP_URL": "s3://bucket/x",
    }  # fmt: skip
    consumers.start("json", "cloud")
    until(lambda: working(client, "json"))
    feed.publish(20)
    until(lambda: drained(client, "json"))
    until(lambda: client.zcard("rq:failed:cloud") == 1, what="no failed job was shown")
    until(lambda: "cloud" in process_report.read(client, ("cloud",)), what="no report came")
    reports = process_report.read(client, ("json", "cloud"))
    assert (reports["json"].state, reports["cloud"].state) == ("working", "failing")
    assert "cloud backup s3://bucket/x" in (reports["cloud"].reason or "")
    assert reports["cloud"].since is not None
    # `rq info` asks for one number after the other, so it may meet a try that is just beginning.
    until(lambda: counts(rq_info(server_url)) == {"json": 0, "csv": 20, "sqlite": 20, "cloud": 20})
    assert re.search(r"^cloud.*\b1 failed", rq_info(server_url), re.MULTILINE)
    assert consumers.running["cloud"].poll() is None, "no process ends for it"
    assert "Traceback" not in consumers.said("cloud")

    consumers.stop("cloud")
    consumers.environment = sure
    consumers.start("cloud")
    until(lambda: drained(client, "cloud"))
    until(lambda: client.zcard("rq:failed:cloud") == 0, what="the failed job was not cleared")
    assert LOCAL["cloud"](folder).read(JOINS) == feed.chain()


def test_consumers_outlive_a_server_that_is_killed_and_started_again(tmp_path: Path, folder: Path) -> None:
    server = Server(tmp_path / "server")
    consumers = Consumers(server.url, folder)
    try:
        server.start()
        feed = Feed(server.client())
        consumers.start(*keys.SINKS)
        until(lambda: working(feed.client, *keys.SINKS))
        feed.publish(200)
        server.kill()
        time.sleep(1)  # long enough for every consumer to meet a server that is not there
        assert [process.poll() for process in consumers.running.values()] == [None] * 4
        server.start()
        feed.publish(50)
        until(lambda: drained(feed.client, *keys.SINKS), 40)
        assert_whole(feed, folder)
        assert consumers.end() == dict.fromkeys(keys.SINKS, 0)
        assert not any("Traceback" in consumers.said(sink) for sink in keys.SINKS)
        feed.client.close()
    finally:
        consumers.stop_all()
        server.kill()


def test_a_second_consumer_of_a_sink_waits_and_takes_over(consumers: Consumers, feed: Feed, folder: Path) -> None:
    consumers.start("json")
    until(lambda: working(feed.client, "json"))
    first = consumers.running.pop("json")
    consumers.start("json")
    feed.publish(10)
    until(lambda: drained(feed.client, "json"))
    assert consumers.running["json"].poll() is None
    first.kill()
    first.wait()
    feed.publish(10)
    until(lambda: drained(feed.client, "json"))
    assert LOCAL["json"](folder).read(JOINS) == feed.chain()
    assert consumers.stop("json") == 0


def run(*arguments: str, first_contact: float = 0.3, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m consumers …`, with less patience for a server that does not answer."""
    code = (
        "import runpy, sys; import joins.redis_url as redis_url; "
        f"redis_url.FIRST_CONTACT = {first_contact}; sys.argv[1:] = {list(arguments)!r}; "
        "runpy.run_module('consumers', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=plain_environment() | environment, capture_output=True, text=True,
        timeout=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        ([], {}, 10, "which sink"),
        (["jsno"], {}, 10, "json|csv|sqlite|cloud"),
        (["json", "csv"], {}, 10, "which sink"),
        (["json"], {"REDIS_URL": "http://nonsense"}, 10, "REDIS_URL"),
        (["json"], {"REDIS_URI": "redis://host"}, 10, "did you mean REDIS_URL"),
        (["json"], {}, 14, "REDIS_URL is not set"),
        (["json"], {"REDIS_URL": "redis://:hunter2@127.0.0.1:PORT/0"}, 14, "does not answer"),
        (["json"], {"REDIS_URL": "redis://127.0.0.1", "INVITE_LOGS_DIR": "/dev/null/logs"}, 16, "INVITE_LOGS_DIR"),
    ],
)
def test_a_wrong_start_is_one_sentence_and_an_exit_code_of_its_own(
    arguments: list[str], environment: dict[str, str], code: int, says: str, tmp_path: Path
) -> None:
    environment = {key: value.replace("PORT", str(free_port())) for key, value in environment.items()}
    done = run(*arguments, **{"INVITE_LOGS_DIR": str(tmp_path)} | environment)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert "hunter2" not in done.stderr + done.stdout
