"""`invitelog status` about what waits in the outbox, and about dead letters."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Feed

from joins import keys, process_report
from joins.process_report import Report
from joins.records import JOINS
from joins.redis_url import Client
from ops.__main__ import main
from producer.outbox import Outbox


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, server_url: str, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.chdir(tmp_path)


def shown(*arguments: str) -> str:
    return CliRunner().invoke(main, ["status", *arguments]).output


def test_what_waits_in_the_outbox_is_shown_with_its_share_of_the_limit(redis_client: Client) -> None:
    details = {"outbox": 250_000, "outbox_bytes": 220_000_000, "outbox_limit": 500_000, "arrivals": 2}
    process_report.send(redis_client, Report("producer", "failing", "Redis is full", 1.0, details=details))
    line = next(line for line in shown().splitlines() if line.startswith("producer: "))
    assert "Redis is full" in line
    assert "250000 records in its outbox (50 % of OUTBOX_LIMIT, 220 MB on disk), 2 arrivals being attributed" in line
    assert json.loads(shown("--json"))["producer"]["details"]["outbox_limit"] == 500_000


def test_an_empty_outbox_is_not_dwelt_on(redis_client: Client) -> None:
    details = {"outbox": 0, "outbox_bytes": 4000, "outbox_limit": 500_000, "arrivals": 0}
    process_report.send(redis_client, Report("producer", "working", details=details))
    assert "; 0 records in its outbox, 0 arrivals being attributed; " in shown()


def test_without_a_server_the_outbox_of_this_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    assert "outbox" not in shown()
    box = Outbox(tmp_path / "invite_logs" / "outbox" / "outbox.jsonl")
    box.add_arrivals({"join_id": str(number), "text": "x" * 1000} for number in range(2000))
    box.close()
    assert "does not answer" in shown()
    assert "The outbox in invite_logs has 2 MB meanwhile." in shown()


def test_dead_letters_are_counted_until_they_are_requeued_and_the_command_is_named(redis_client: Client) -> None:
    Feed(redis_client)
    assert "dead letters: 0" in shown()
    letter = redis_client.xadd(keys.DEAD_LETTERS, {"log": JOINS, "event_id": "1-0", "reason": "x", "sink": "json"})
    redis_client.xadd(keys.DEAD_LETTERS, {"log": JOINS, "event_id": "2-0", "reason": "x", "sink": "json"})
    assert "dead letters: 2 (`invitelog dead-letters list`)" in shown()
    redis_client.hset(keys.REQUEUED, letter, "2025-10-31T14:30:45.123456 me")  # type: ignore[arg-type]
    assert "dead letters: 1 (" in shown()


def test_what_a_consumer_cannot_do_besides_is_told(redis_client: Client) -> None:
    details = {"delivered": 3, "undone": "no daily backup yet: no room", "undone_since": time.time() - 7300}
    process_report.send(redis_client, Report("cloud", "working", details=details))
    assert "every record is written, but for 2 h: no daily backup yet: no room" in shown()
    assert json.loads(shown("--json"))["sinks"]["cloud"]["undone"] == "no daily backup yet: no room"
