"""`invitelog watch`: verifies once a day, leaves anchors elsewhere, and calls the monitor while all is well."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click
from redis.exceptions import RedisError

from joins import event_id, verified
from joins import settings as settings_module
from joins.cloud import anchors
from joins.cloud.bucket import Bucket
from joins.errors import SinkUnavailable
from joins.logging_setup import setup
from joins.records import LOGS, timestamp
from joins.redis_url import Client, connect
from joins.settings import Settings
from joins.tail import Head
from joins.verified import ALTERED, SOUND, UNSETTLED, Verified
from ops import embedded
from ops.heartbeat import Heartbeat
from ops.overview import look

NICE = 10  # verifying gives way to everything else
_log = logging.getLogger("ops.watch")


@dataclass(frozen=True)
class Rhythm:
    """Seconds: between two looks, two calls of the monitor, two runs, until the first, and after an unsettled one."""

    look: float = 15.0
    beat: float = 60.0
    verify: float = 86_400.0
    settle: float = 60.0
    unsettled: float = 3_600.0


class Watch:
    """One process; verifying runs beside it, as a process of its own."""

    def __init__(self, settings: Settings, client: Client, rhythm: Rhythm | None = None) -> None:
        self._settings, self._client, self._rhythm = settings, client, rhythm or Rhythm()
        self._heartbeat = Heartbeat(settings.heartbeat_url) if settings.heartbeat_url else None
        self._started, self._beaten = time.time(), float("-inf")
        self._run: subprocess.Popen[bytes] | None = None

    def tick(self) -> None:
        """One look. Raises redis errors. No connection is held until the next one: a small plan has few."""
        try:
            self._look()
        finally:
            self._client.connection_pool.disconnect()

    def _look(self) -> None:
        outcome = verified.read(self._client)
        if self._run is not None:
            if self._run.poll() is not None:
                self._ended(self._run)
        elif self._due(outcome):
            command = [sys.executable, "-m", "ops", "verify", "--json"]
            self._run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self._reader = _Reader(self._run)
        if self._heartbeat and time.monotonic() - self._beaten > self._rhythm.beat and self._well(outcome):
            self._beaten = time.monotonic()
            self._heartbeat.beat()

    def close(self) -> None:
        """Ends a run that is under way; the next start begins it anew."""
        if self._run is not None:
            self._run.kill()
            self._run.wait()

    def _due(self, outcome: Verified | None) -> bool:
        now = time.time()
        if now - self._started < self._rhythm.settle:
            return False
        every = self._rhythm.unsettled if outcome and outcome.status == UNSETTLED else self._rhythm.verify
        return outcome is None or now - outcome.at > every

    def _well(self, outcome: Verified | None) -> bool:
        """Whether nobody needs to come; before the first run is over nothing is known to be wrong.

        A run that could not tell is tried again; it silences the call only when none was sound for two days.
        """
        if outcome is not None:
            sound_at = outcome.at if outcome.status == SOUND else outcome.sound_at
            if time.time() - sound_at > verified.LATE_SECONDS:
                return False
        return look(self._client).ok

    def _ended(self, run: subprocess.Popen[bytes]) -> None:
        said, complaint = self._reader.result()
        self._run = None
        try:
            verdict: dict[str, Any] = json.loads(said)
        except ValueError:
            reason = complaint.decode(errors="replace").strip().splitlines()[-1:] or [f"status {run.returncode}"]
            outcome = Verified(time.time(), UNSETTLED, [f"`invitelog verify` ended without an outcome: {reason[0]}"])
        else:
            outcome = self._outcome(verdict)
        before = verified.read(self._client)
        if outcome.status != SOUND and before is not None:
            outcome = replace(outcome, sound_at=before.at if before.status == SOUND else before.sound_at)
        for sentence in outcome.sentences:
            _log.log(logging.ERROR if outcome.status == ALTERED else logging.WARNING, "%s", sentence)
        _log.info("verified: %s", verified.WORDS[outcome.status])
        verified.write(self._client, outcome)

    def _outcome(self, verdict: dict[str, Any]) -> Verified:
        status, now = int(verdict["status"]), datetime.now(UTC)
        wrong = [f"{one['sink']}: {one['sentence']}" for one in verdict["findings"] if one["kind"] != "note"]
        heads = sound_heads(verdict)
        if status != SOUND or not heads:
            return Verified(now.timestamp(), status, wrong[: verified.MOST])
        day = now.date().isoformat()
        try:
            anchors.make(Bucket(self._settings.cloud_url, make=True), day, timestamp(now), heads)
        except SinkUnavailable as error:
            _log.warning("no anchor of %s in the cloud: %s", day, error)
        texts = [f"{log}:{event}:{digest}" for log, (event, digest) in heads.items()]
        return Verified(now.timestamp(), status, [], day, texts)


class _Reader:
    """Takes what a process prints, which would else wait for somebody to read."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._said: tuple[bytes, bytes] = b"", b""
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._said = self._process.communicate()

    def result(self) -> tuple[bytes, bytes]:
        """What it printed, once it has ended."""
        self._thread.join()
        return self._said


def sound_heads(verdict: dict[str, Any]) -> dict[str, Head]:
    """Of each log the furthest record that every copy has, by its id and hash."""
    heads: dict[str, Head] = {}
    for log in LOGS:
        held = [logs[log] for logs in verdict["copies"].values() if log in logs and logs[log]["records"]]
        if held:
            shortest = min(held, key=lambda one: event_id.parse(one["event_id"]))
            heads[log] = shortest["event_id"], shortest["hash"]
    return heads


@click.command()
def watch() -> None:
    """Verify once a day, leave anchors in the cloud and the alerts channel, call HEARTBEAT_URL while all is well."""
    settings = settings_module.load()
    setup(settings.log_level)
    os.nice(NICE)
    client = connect(settings, settings.redis_url or embedded.url(settings.invite_logs_dir), connections=1)
    stopping, away = threading.Event(), False
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    rhythm = Rhythm()
    watching = Watch(settings, client, rhythm)
    while not stopping.wait(rhythm.look):
        try:
            watching.tick()
            away = False
        except RedisError as error:
            if not away:
                _log.warning("the Redis server does not answer: %s", error)
            away = True
    watching.close()
    client.close()
