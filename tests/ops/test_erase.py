"""`invitelog erase` on the running product: the names are in no byte of it afterwards, and never come back."""

from __future__ import annotations

import gzip
from pathlib import Path

from click.testing import CliRunner, Result

from joins import keys
from joins.log_files import csv_path, json_path
from joins.records import JOINS
from joins.scripts import text
from ops.__main__ import main
from tests.ops.pipeline import Pipeline, pipeline, until

NAME, AGAIN = "zsuzsanna_quux", "zsuzsanna_back"


def erase(running: Pipeline, *arguments: str) -> Result:
    kept = {"INVITE_LOGS_DIR", "REDIS_URL", "CLOUD_BACKUP_URL"}
    environment = {name: value for name, value in running.environment.items() if name in kept}
    return CliRunner().invoke(main, ["erase", *arguments], env=environment)


def holding(folder: Path, name: str) -> list[str]:
    """The files, the server's own among them, in which the name still stands."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if name.encode() in (gzip.decompress(data) if path.name.endswith(".gz") else data):
                found.append(str(path.relative_to(folder)))
    return sorted(found)


def test_no_byte_has_the_names_afterwards_and_no_restart_brings_them_back(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        guild = running.discord.add_guild("PipVault")["id"]
        staff = running.discord.add_member(guild, "TravisP", permissions="MANAGE_GUILD")["id"]
        code = running.discord.add_invite(guild, inviter=staff)["code"]
        person = str(running.discord.join(guild, NAME, code=code)["user_id"])
        running.discord.join_many(guild, 20, "other", code=code)
        assert running.verdict().problems == []
        csv = csv_path(running.logs, JOINS)
        aside = csv.with_name(f"{csv.name}.torn-20261126T120000.000000Z")
        aside.write_bytes(b"the line of somebody else\n" + csv.read_bytes().splitlines(keepends=True)[1])
        letter = running.client.xadd(
            keys.DEAD_LETTERS,
            {
                "log": JOINS,
                "event_id": "1-1",
                "reason": "it is none",
                "sink": "csv",
                "fields": f'["r","{person} {NAME}"]',
            },
        )
        running.client.hset(keys.REQUEUED, text(letter), "2026-11-26T12:00:00.000000 someone")
        running.client.set(keys.proposal("1"), f'{{"user_id": "{person}", "username": "{NAME}"}}', ex=3600)
        before = {path: path.read_bytes() for path in (json_path(running.logs, JOINS), csv)}
        refused = erase(running, person)
        assert refused.exit_code == 1
        assert "--yes" in refused.output
        assert {path: path.read_bytes() for path in before} == before

        done = erase(running, person, "--yes")
        assert (done.exit_code, done.output.splitlines()[-1]) == (0, "Every copy has obeyed."), done.output
        until(lambda: not holding(tmp_path, NAME), f"the name is gone from {holding(tmp_path, NAME)}")
        assert b"the line of somebody else" in aside.read_bytes()
        letters = running.client.xrange(keys.DEAD_LETTERS)
        assert [fields[b"reason"] for _, fields in letters] == [b"erased on request"]
        assert running.client.hkeys(keys.REQUEUED) == [letters[0][0]]
        for sink in ("json", "csv", "sqlite"):
            running.kill(sink)
        json_path(running.logs, JOINS).unlink()
        csv.write_bytes(before[csv])  # somebody puts yesterday's file back
        running.client.flushall()
        for sink in ("json", "csv", "sqlite"):
            running.start(sink)
        running.discord.join(guild, "newcomer", code=code)
        until(lambda: running.backlogs() == dict.fromkeys(keys.SINKS, 0), "every backlog is empty")
        until(lambda: not holding(tmp_path, NAME), f"the name stays away from {holding(tmp_path, NAME)}")
        problems = running.verdict().problems
        assert problems == []
        assert all(person.encode() in path.read_bytes() for path in before)


def test_nothing_is_done_to_nobody(tmp_path: Path, server_url: str) -> None:
    settings = {
        "INVITE_LOGS_DIR": str(tmp_path),
        "REDIS_URL": server_url,
        "CLOUD_BACKUP_URL": (tmp_path / "c").as_uri(),
    }
    wrong = CliRunner().invoke(main, ["erase", "Travis", "--yes"], env=settings)
    assert (wrong.exit_code, "is no user id" in wrong.output) == (10, True)
    unknown = CliRunner().invoke(main, ["erase", "700000000000000001", "--yes"], env=settings)
    assert (unknown.exit_code, "no record" in unknown.output) == (1, True)
