from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from joins import keys, process_report
from joins.process_report import Report
from joins.redis_url import Client
from ops.health import FRESH_SECONDS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(port: int, redis_url: str, cwd: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "health"],
        env={**os.environ, "PORT": str(port), "REDIS_URL": redis_url, "PYTHONPATH": str(Path.cwd())},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise AssertionError("health does not listen")


def ask(port: int, path: str = "/healthz", method: str = "GET") -> tuple[int, dict[str, Any] | None]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    return status, json.loads(body) if body else None


@pytest.fixture(scope="module")
def healthy(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    process = start(port, server_url, tmp_path_factory.mktemp("health"))
    yield port
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (0, "")


def report(client: Client, **states: str) -> None:
    """Every process works, but for those in `states`."""
    for name in (*keys.SINKS, "producer"):
        process_report.send(client, Report(name, states.get(name, "working"), reason="secret path"))


def ask_anew(port: int, path: str = "/healthz", method: str = "GET") -> tuple[int, dict[str, Any] | None]:
    """Waits until an answer given before can no longer be repeated."""
    time.sleep(FRESH_SECONDS + 0.05)
    return ask(port, path, method)


def test_all_processes_at_work_are_healthy(healthy: int, redis_client: Client) -> None:
    report(redis_client)
    status, body = ask_anew(healthy)
    assert status == 200
    assert body is not None
    assert body["ok"] is True
    assert body["producer"] == "working"
    assert body["sinks"]["json"] == {"ok": True, "backlog": 0}


def test_a_sink_in_trouble_is_unhealthy_and_named_without_its_reason(healthy: int, redis_client: Client) -> None:
    report(redis_client, cloud="failing")
    status, body = ask_anew(healthy)
    assert status == 503
    assert body is not None
    assert [name for name, sink in body["sinks"].items() if not sink["ok"]] == ["cloud"]
    assert "secret" not in json.dumps(body)


def test_a_producer_that_is_gone_is_unhealthy(healthy: int, redis_client: Client) -> None:
    report(redis_client)
    process_report.withdraw(redis_client, "producer")
    status, body = ask_anew(healthy)
    assert status == 503
    assert body is not None
    assert body["producer"] == "down"


def test_head_is_answered_without_a_body(healthy: int, redis_client: Client) -> None:
    report(redis_client)
    assert ask_anew(healthy, method="HEAD") == (200, None)


def test_there_is_nothing_else_to_ask_for(healthy: int) -> None:
    assert ask(healthy, "/")[0] == 404
    assert ask(healthy, method="POST")[0] == 405


def test_a_caller_that_talks_nonsense_does_not_disturb_the_next(healthy: int, redis_client: Client) -> None:
    report(redis_client)
    for nonsense in (b"\r\n\r\n", b"\x16\x03\x01", b"x" * 20_000 + b"\r\n"):
        with socket.create_connection(("127.0.0.1", healthy)) as caller:
            caller.sendall(nonsense)
    assert ask_anew(healthy)[0] == 200


def test_without_redis_it_says_503_and_why(tmp_path: Path) -> None:
    port = free_port()
    process = start(port, f"unix://{tmp_path}/nowhere.sock", tmp_path)
    try:
        assert ask(port) == (503, {"ok": False, "sinks": {}, "fault": "Redis does not answer"})
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert said == ""


def test_it_holds_neither_discord_nor_aiohttp_in_memory() -> None:
    code = "import sys, ops.health; print([name for name in ('discord', 'aiohttp', 'rq') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
