"""The watch: verifies by itself, leaves anchors, and calls the monitor while all is well, and only then."""

from __future__ import annotations

import http.server
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from joins import keys, process_report, verified
from joins.log_files import json_path
from joins.process_report import Report
from joins.records import CHANGES, JOINS
from joins.redis_url import Client, connect
from joins.settings import Settings
from joins.verified import ALTERED, SOUND, UNSETTLED, Verified
from ops.health import state
from ops.overview import look
from ops.status import lines
from ops.watch import Rhythm, Watch
from producer import troubles
from tests.ops.verified_house import House

QUICK = Rhythm(look=0.02, beat=0.0, verify=86_400.0, settle=0.0, unsettled=3_600.0)
DEADLINE = 30.0


class Monitor(http.server.ThreadingHTTPServer):
    """Counts the calls."""

    calls = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/ping/secret-key"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.calls += 1  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    server = Monitor(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Watched:
    def __init__(self, house: House, client: Client, monitor: str | None) -> None:
        self.house, self.client = house, client
        settings = Settings(
            invite_logs_dir=house.folder, cloud_backup_url=house.settings.cloud_backup_url, heartbeat_url=monitor
        )
        self.watch = Watch(settings, client, QUICK)
        self.works()

    def works(self, **producer: object) -> None:
        """Every process reports that it works."""
        for sink in keys.SINKS:
            process_report.send(self.client, Report(sink, "working"))
        process_report.send(self.client, Report("producer", "working", details=dict(producer)))

    def until(self, holds: Callable[[], object]) -> None:
        """Lets it look until something holds."""
        deadline = time.monotonic() + DEADLINE
        while not holds():
            assert time.monotonic() < deadline
            self.watch.tick()
            time.sleep(QUICK.look)

    def outcome(self) -> Verified:
        self.until(lambda: verified.read(self.client) is not None)
        found = verified.read(self.client)
        assert found is not None
        return found


@pytest.fixture
def watched(tmp_path: Path, redis_client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    house = House(tmp_path)
    monkeypatch.setenv("INVITE_LOGS_DIR", str(house.folder))
    monkeypatch.setenv("CLOUD_BACKUP_URL", house.settings.cloud_backup_url or "")
    made = Watched(house, redis_client, None)
    yield made
    made.watch.close()


def test_it_verifies_leaves_anchors_and_everybody_can_see_the_outcome(watched: Watched) -> None:
    outcome = watched.outcome()
    head = watched.house.records[JOINS][-1]
    assert (outcome.status, outcome.sentences) == (SOUND, [])
    assert outcome.day == datetime.now(UTC).date().isoformat()
    assert f"joins:{head['event_id']}:{head['hash']}" in outcome.anchors
    assert (watched.house.folder / "cloud" / "anchors" / f"{outcome.day}.json").exists()
    assert any(line.startswith("verified: all sound") for line in lines(look(watched.client)))
    assert state(watched.client)["verified"] == "all sound"
    verdict = watched.house.verify()
    assert (verdict.status, verdict.anchors) == (0, 2)
    assert all(anchor in troubles.anchored(outcome) for anchor in outcome.anchors)


def test_no_connection_is_held_between_two_looks(watched: Watched, server_url: str) -> None:
    client = connect(Settings(redis_url=server_url), connections=1)
    watch = Watch(watched.watch._settings, client, QUICK)
    watch.tick()
    name = client.client_id()
    assert any(int(one["id"]) == name for one in watched.client.client_list())
    watch.tick()
    assert not any(int(one["id"]) == name for one in watched.client.client_list())
    watch.close()
    client.close()


def test_an_altered_log_is_said_everywhere_and_stays_said(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    path = json_path(watched.house.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'"uses_after": 6', b'"uses_after": 9', 1))
    with caplog.at_level(logging.INFO):
        outcome = watched.outcome()
    assert outcome.status == ALTERED
    assert f"{path}, line 2" in outcome.sentences[0]
    assert f"{path}, line 2" in caplog.text
    view = look(watched.client)
    assert not view.ok
    assert any("SOMETHING WAS ALTERED" in line for line in lines(view))
    said = troubles.of_verified(outcome, time.time())["altered"]
    assert said is not None
    assert "line 2" in said.begun
    assert not list((watched.house.folder / "cloud").glob("anchors/*"))


def test_what_could_not_be_told_is_tried_again_sooner(watched: Watched) -> None:
    path = json_path(watched.house.folder, CHANGES)
    whole = path.read_bytes()
    path.write_bytes(whole.rstrip(b" ]\n")[:-40])
    outcome = watched.outcome()
    assert outcome.status == UNSETTLED
    assert look(watched.client).ok, "nothing is known to be altered"
    path.write_bytes(whole)
    watched.until(lambda: True)
    assert verified.read(watched.client) == outcome, "not at once"
    verified.write(watched.client, Verified(time.time() - 2 * QUICK.unsettled, UNSETTLED))
    watched.until(lambda: (found := verified.read(watched.client)) is not None and found.status == SOUND)


def test_the_monitor_is_called_while_all_is_well_and_only_then(
    watched: Watched, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    watched.outcome()
    calling = Watched(watched.house, watched.client, monitor.url)
    calling.until(lambda: monitor.calls >= 2)

    def silent() -> bool:
        before = monitor.calls
        for _ in range(5):
            calling.watch.tick()
        return monitor.calls == before

    assert not silent()
    process_report.send(watched.client, Report("csv", "failing", "the disk is full"))
    assert silent()
    calling.works(away_since=time.time() - 600)
    assert silent()
    calling.works()
    assert not silent()
    verified.write(watched.client, Verified(time.time() - 3 * 86_400, SOUND, day="x"))
    calling.watch._rhythm = Rhythm(beat=0.0, verify=float("inf"))
    assert silent()
    assert troubles.of_verified(verified.read(watched.client), time.time())["late"] is not None
    verified.write(watched.client, Verified(time.time(), ALTERED, ["json: line 2"]))
    assert silent()
    assert "secret-key" not in caplog.text


def test_a_monitor_that_is_away_is_said_once_without_its_address(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.outcome()
    calling = Watched(watched.house, watched.client, "http://127.0.0.1:9/ping/secret-key")
    with caplog.at_level(logging.INFO):
        for _ in range(4):
            calling.watch.tick()
    assert caplog.text.count("HEARTBEAT_URL cannot be reached") == 1
    assert "secret-key" not in caplog.text


def test_a_run_that_ends_without_an_outcome_is_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "no port")
    outcome = watched.outcome()
    assert outcome.status == UNSETTLED
    assert "PORT" in outcome.sentences[0]
