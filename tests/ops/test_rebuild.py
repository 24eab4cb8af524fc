"""`invitelog rebuild`: every copy from every other one, with and without its consumer at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from factories import Feed, batch
from processes import ROOT, Consumers, until

from joins import process_report
from joins.copies.finding import checked, open_copy
from joins.keys import SINKS
from joins.log_files import json_path
from joins.process_report import read
from joins.records import CHANGES, JOINS, LOGS
from joins.redis_url import Client
from joins.settings import Settings
from joins.tail import empty_head
from ops.__main__ import main
from tests.consumers.sink_kinds import LOCAL

COUNT = 700
EXPECTED = {JOINS: batch(JOINS, 0, COUNT), CHANGES: batch(CHANGES, 0, 40)}


def made(folder: Path, *sinks: str) -> None:
    for sink in sinks:
        opened = LOCAL[sink](folder).open()
        for log in LOGS:
            for start in range(0, len(EXPECTED[log]), 100):
                opened.write(log, EXPECTED[log][start : start + 100])
        opened.close()


def rebuild(folder: Path, *arguments: str, url: str | None = None) -> tuple[int, str]:
    environment = {"INVITE_LOGS_DIR": str(folder), "REDIS_URL": url, "CLOUD_BACKUP_URL": None}
    done = CliRunner().invoke(main, ["rebuild", *arguments], env=environment)
    return done.exit_code, done.output


def holds(folder: Path, sink: str) -> bool:
    settings = Settings(invite_logs_dir=folder)
    for log in LOGS:
        copy = open_copy(sink, log, folder, settings.cloud_url)
        if copy is None or list(checked(copy, log, empty_head(log))) != EXPECTED[log]:
            return False
    return True


@pytest.mark.parametrize("source", SINKS)
@pytest.mark.parametrize("sink", SINKS)
def test_each_copy_is_rebuilt_from_each_other_one_and_the_old_one_is_kept(
    sink: str, source: str, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    made(folder, source)
    if sink == source:
        status, said = rebuild(folder, sink, "--from", source)
        assert status == 1
        assert "name another one" in said
        return
    old = LOCAL[sink](folder).open()
    old.write(JOINS, batch(JOINS, 0, 9, username="somebody else"))
    old.close()
    status, said = rebuild(folder, sink, "--from", source)
    assert status == 0, said
    assert f"{COUNT + 40} records, each checked" in said
    assert holds(folder, sink)
    assert holds(folder, source)
    kept = [line.rpartition(": ")[2] for line in said.splitlines() if "is kept" in line]
    assert kept
    assert not list(folder.glob(".rebuild-*"))
    if sink != "cloud":
        assert all((folder / name).exists() for name in kept)
    assert len(LOCAL[sink](folder).open().head(JOINS)) == 2, "a consumer goes on from there"


def test_a_source_that_was_edited_replaces_nothing_and_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    made(folder, "json", "csv")
    path = json_path(folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'"abc123XYZ"', b'"abc123XYy"', 1))
    before = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
    status, said = rebuild(folder, "csv", "--from", "json")
    assert status == 1
    assert f"the json copy of the joins log, record {EXPECTED[JOINS][0]['event_id']}" in said
    assert {file.name: file.read_bytes() for file in folder.glob("*.csv")} == before
    assert not list(folder.glob(".rebuild-*"))


def test_there_is_one_sentence_where_there_is_nothing_to_rebuild_from(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    status, said = rebuild(folder, "csv", "--from", "json")
    assert (status, said.strip()) == (
        1, "invitelog: the json copy holds no record yet, so there is nothing to rebuild from"
    )  # fmt: skip


@pytest.mark.parametrize("sink", SINKS)
def test_a_consumer_at_work_steps_aside_and_goes_on_with_what_came_meanwhile(
    sink: str, redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    feed, consumers = Feed(redis_client), Consumers(server_url, folder)
    source = "json" if sink != "json" else "csv"
    try:
        consumers.start(*SINKS)
        until(lambda: len(process_report.read(redis_client, SINKS)) == len(SINKS))
        feed.publish(300)
        until(lambda: all(LOCAL[name](folder).read(JOINS) == feed.chain() for name in SINKS))
        status, said = rebuild(folder, sink, "--from", source, url=server_url)
        assert status == 0, said
        feed.publish(50)
        until(lambda: all(LOCAL[name](folder).read(JOINS) == feed.chain() for name in SINKS if name != "cloud"))
        settings = Settings(invite_logs_dir=folder)
        cloud = open_copy("cloud", JOINS, folder, settings.cloud_url)
        assert cloud is not None
        until(lambda: list(cloud.__class__(cloud._bucket, JOINS).after("0-0")) == feed.chain())  # type: ignore[attr-defined]
        until(lambda: read(redis_client, (sink,))[sink].state == "working")
    finally:
        consumers.stop_all()


def test_a_rebuild_that_is_killed_leaves_the_old_copy_and_the_consumer_free(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    made(folder, *SINKS)
    command = [sys.executable, "-m", "ops", "rebuild", "sqlite", "--from", "json"]
    environment = {"PATH": os.environ["PATH"], "INVITE_LOGS_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    for _ in range(3):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while process.poll() is None and not (folder / ".rebuild-sqlite" / "invites.db").exists():
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holds(folder, "sqlite")
    status, said = rebuild(folder, "sqlite", "--from", "json")
    assert status == 0, said
    assert holds(folder, "sqlite")
