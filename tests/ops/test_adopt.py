"""`invitelog adopt` with real processes: an earlier bot's log is set aside, and taken over once, in its order."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import EXAMPLE, GUILD, batch
from old_logs import COLUMNS, KEYS, as_csv, as_json, old

from joins import keys
from joins.csv_file import parse_line
from joins.json_format import to_line
from joins.log_files import csv_path, database_path, json_path
from joins.records import JOINS, moment
from ops import embedded
from ops.demo_stage import TOKEN
from tests.ops.pipeline import Pipeline, pipeline, until

FIRST = [old(number, username=f"m{number}") for number in range(40)]
MANY = 3000  # records of a run that is killed


class Before:
    """What was said before anything was started, with another bot's log at our path."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "invite_logs"
        self.logs.mkdir()
        self.content = as_json(FIRST, indent=2)
        self.path = json_path(self.logs, JOINS)
        self.path.write_bytes(self.content)
        nobody = {"REDIS_URL": embedded.url(self.logs), "DISCORD_API_URL": "http://127.0.0.1:1", "DISCORD_TOKEN": TOKEN}
        self.environment = {**os.environ, **nobody, "INVITE_LOGS_DIR": str(self.logs)}
        self.up = self.run("up")
        self.zoneless = self.run("adopt", str(self.path))
        self.dry = self.run("adopt", str(self.path), "--timezone", "UTC", "--dry-run")
        self.untouched = os.listdir(self.logs) == [self.path.name] and self.path.read_bytes() == self.content
        self.adopt = self.run("adopt", str(self.path), "--timezone", "UTC")
        (self.aside,) = self.logs.glob("invite_joins.json.foreign-*")

    def run(self, *arguments: str) -> tuple[int, str]:
        return run(self.environment, *arguments)


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The exit status of a command, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adopt")


@pytest.fixture(scope="module")
def before(folder: Path) -> Before:
    return Before(folder)


@pytest.fixture(scope="module")
def running(folder: Path, before: Before) -> Iterator[Pipeline]:
    with pipeline(folder) as started:
        yield started


def adopt(running: Pipeline, path: Path, *options: str) -> tuple[int, str]:
    return run(running.environment, "adopt", str(path), "--timezone", "UTC", *options)


def settled(running: Pipeline) -> None:
    until(lambda: running.client.llen(keys.INBOX) == 0, "the inbox is empty")
    until(lambda: running.backlogs() == dict.fromkeys(keys.SINKS, 0), "every copy has all")


def records(running: Pipeline, guild: str = GUILD) -> list[dict[str, Any]]:
    """The joins of a guild in the JSON log, once every copy has all; no join is there twice."""
    settled(running)
    path = json_path(running.logs, JOINS)
    found = json.loads(path.read_bytes()) if path.exists() else []
    assert max(Counter(record["join_id"] for record in found).values(), default=1) == 1
    return [record for record in found if record["guild_id"] == guild]


def twelve(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in EXAMPLE}


def test_up_refuses_the_log_of_another_bot_and_names_the_command(before: Before) -> None:
    code, said = before.up
    assert code == 17
    assert f"run `invitelog adopt {before.path}`" in said
    assert "is left as it is" in said


def test_the_time_zone_is_asked_for_and_a_dry_run_touches_nothing(before: Before) -> None:
    code, said = before.zoneless
    assert code == 1
    assert "such as '2025-10-31T14:30:45.123456', name no time zone: say with --timezone" in said
    code, said = before.dry
    assert code == 0, said
    assert "only what the database holds is compared" in said
    assert "of 40 records 40 are new" in said
    assert "40 would be recorded" in said
    assert before.untouched


def test_a_log_in_the_way_is_set_aside_whole_and_what_is_to_be_done_next_is_said(before: Before) -> None:
    code, said = before.adopt
    assert code == 14
    assert not before.path.is_symlink()
    assert before.aside.read_bytes() == before.content
    assert f"it is now {before.aside}" in said
    assert f"start `invitelog up`, then run `invitelog adopt {before.aside} --timezone UTC`" in said


def test_the_log_is_taken_over_into_every_copy_in_its_order(running: Pipeline, before: Before) -> None:
    code, said = adopt(running, before.aside)
    assert code == 0, said
    assert "40 were handed to the producer" in said
    found = records(running)
    assert [twelve(record) for record in found] == FIRST
    assert {record["method"] for record in found} == {"adopted"}
    assert found[2]["evidence"] == {"adopted_from": before.aside.name, "line": 30}
    rows = csv_path(running.logs, JOINS).read_bytes().splitlines()[1:]
    assert [{key: parse_line(JOINS, row)[key] for key in EXAMPLE} for row in rows] == FIRST
    with sqlite3.connect(database_path(running.logs)) as database:
        columns = ", ".join(KEYS)
        assert database.execute(f"select {columns} from joins order by position").fetchall() == [
            tuple(record[key] for key in KEYS) for record in FIRST
        ]
    database.close()


def test_a_second_run_and_the_csv_of_the_same_bot_add_nothing(
    running: Pipeline, before: Before, tmp_path: Path
) -> None:
    sibling = tmp_path / "invite_joins.csv"
    sibling.write_bytes(as_csv(FIRST))
    running.client.delete(keys.PUBLISHED)  # the stream reaches back only so far; then the database tells
    for path in (before.aside, sibling):
        code, said = adopt(running, path)
        assert (code, "0 are new, 40 have a record already, 0 repeat" in said) == (0, True), said
    assert len(records(running)) == 40


def test_what_cannot_be_read_is_named_by_line_and_the_rest_is_taken_over(running: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    lines = as_csv([old(number, guild_id="7") for number in range(100, 104)]).splitlines(keepends=True)
    lines[2:2] = [b"2025-10-31T14:30:45.123456,1.23E+17,a,b,c,1,d,5,6,7,P\r\n", b"torn\r\n", lines[1]]
    lines.append(b"2025-10-31T14:30:45.123456,1,\x1b[31m=1+1,b,c,1,d,many,6,7,P\r\n")
    path.write_bytes(b"".join(lines))
    expected = (
        "old.csv:3: user_id is '1.23E+17': a spreadsheet has rounded it",
        "old.csv:4: the line has 1 cells where the header has 11",
        "old.csv:9: uses_before must be a count, not 'many'",
        "of 8 records 4 are new, 0 have a record already, 1 repeat an earlier line, 3 cannot be read",
    )
    for options, done in ((("--dry-run",), "4 would be recorded"), ((), "4 were handed to the producer")):
        code, said = adopt(running, path, *options)
        assert code == 1
        assert [sentence for sentence in (*expected, done) if sentence not in said] == []
        assert "\x1b" not in said
        assert "invitelog: 3 records of old.csv could not be read, see above." in said
        assert len(records(running, "7")) == (0 if options else 4)
    code, said = adopt(running, path)
    assert (code, "0 are new, 5 have a record already" in said) == (1, True)
    assert len(records(running, "7")) == 4


def test_a_time_zone_that_seems_wrong_is_refused_unless_forced(running: Pipeline, before: Before) -> None:
    running_with = ("adopt", str(before.aside), "--timezone", "+02:00")
    code, said = run(running.environment, *running_with)
    assert code == 1
    assert (
        "of 40 records that can be compared with those here, 40 fit only when their times are moved by +2:00 (40)"
        in said
    )
    assert "Nothing is recorded" in said
    assert len(records(running)) == 40
    assert run(running.environment, *running_with, "--dry-run")[0] == 1
    code, said = run(running.environment, *running_with, "--force")
    assert (code, "40 were handed" in said) == (0, True), said
    assert len(records(running)) == 80


def test_a_join_that_the_producer_has_recorded_is_matched_by_time_and_its_record_stays(
    running: Pipeline, tmp_path: Path
) -> None:
    guild = running.discord.add_guild("Live")["id"]
    owner = running.discord.add_member(guild, "maria")["id"]
    code = running.discord.add_invite(guild, code="live", inviter=owner)["code"]
    # A baseline is needed before the join: the first look happens once the guild is there.
    until(lambda: running.client.hexists(keys.EVIDENCE, str(guild)), "the invites were looked at")
    running.discord.join(guild, "john", code=code)
    until(lambda: len(records(running, str(guild))) == 1, "the join is recorded")
    (john,) = records(running, str(guild))
    seen = {key: john[key] for key in EXAMPLE}
    later = (moment(john["timestamp"]) + timedelta(seconds=1)).replace(tzinfo=None).isoformat()
    path = tmp_path / "old.json"
    path.write_bytes(as_json([seen | {"timestamp": later, "invite_code": "other"}]))
    status, said = adopt(running, path)
    assert status == 0, said
    assert "old.json:1: names another invite than the record here, which stays" in said
    assert records(running, str(guild)) == [john]


def test_a_run_that_is_killed_is_run_again_and_all_is_there_once(running: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    path.write_bytes(as_json([old(number, guild_id="8") for number in range(MANY)]))
    begun = running.client.xlen(keys.stream(JOINS))
    command = [sys.executable, "-m", "ops", "adopt", str(path), "--timezone", "UTC"]
    process = subprocess.Popen(command, env=running.environment, stdout=subprocess.DEVNULL)
    until(lambda: running.client.xlen(keys.stream(JOINS)) > begun, "the first records are published")
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    code, said = adopt(running, path)
    assert code == 0, said
    assert [record["user_id"] for record in records(running, "8")] == [old(n)["user_id"] for n in range(MANY)]


def test_in_a_terminal_the_time_zone_is_asked_for(running: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(as_json([old(0, guild_id=None, timestamp="2025-07-01 14:00:00")]))
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "ops", "adopt", str(path), "--guild", "6"]
    process = subprocess.Popen(
        command, env=running.environment, stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    os.write(terminal, b"Europe/Berlin\n")
    said, _ = process.communicate(timeout=60)
    os.close(terminal)
    os.close(inside)
    assert process.returncode == 0, said
    assert "In which one did the old bot write them?" in said
    (record,) = records(running, "6")
    assert record["timestamp"] == "2025-07-01T12:00:00.000000"


def test_a_log_of_ours_is_never_touched(running: Pipeline, tmp_path: Path) -> None:
    settled(running)
    copy = tmp_path / "copy.json"
    copy.write_bytes(b"[\n" + b",\n".join(map(to_line, batch(JOINS, 0, 3))) + b"\n]")
    for path in (json_path(running.logs, JOINS), csv_path(running.logs, JOINS), copy):
        content = path.read_bytes()
        code, said = adopt(running, path)
        assert code == 1
        assert "was written by this program" in said
        assert path.read_bytes() == content


def test_a_csv_in_the_way_is_set_aside_too(running: Pipeline, tmp_path: Path) -> None:
    """While nothing runs on that folder; the producer and its server are elsewhere."""
    path = csv_path(tmp_path, JOINS)
    path.write_text(f"{','.join(COLUMNS)}\n")
    environment = running.environment | {"INVITE_LOGS_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    code, said = run(environment, "adopt", str(path))
    assert code == 14
    (aside,) = tmp_path.glob("invite_joins.csv.foreign-*")
    assert f"run `invitelog adopt {aside}`" in said
    assert not path.exists()


def test_without_a_producer_it_says_what_to_do(running: Pipeline, tmp_path: Path) -> None:
    running.processes["producer"].terminate()
    assert running.processes["producer"].wait(timeout=15) == 0
    path = tmp_path / "old.json"
    path.write_bytes(as_json([old(0, guild_id="5")]))
    code, said = adopt(running, path, "--within", "1")
    assert code == 1
    assert f"start it (`invitelog up`), then run `invitelog adopt {path} --timezone UTC --within 1`." in said
    running.start("producer")


def test_a_time_in_the_future_is_refused(running: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    soon = (datetime.now(UTC) + timedelta(hours=2)).replace(tzinfo=None).isoformat()
    path.write_bytes(as_json([old(0, guild_id="5", timestamp=soon)]))
    code, said = adopt(running, path, "--dry-run")
    assert code == 1
    assert "lies in the future: is --timezone right" in said
