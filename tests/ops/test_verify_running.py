"""`invitelog verify` beside the running product: what is being written is no fault, and what was altered is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from joins.log_files import csv_path
from joins.records import JOINS
from tests.ops.pipeline import Pipeline, pipeline


def verify(running: Pipeline) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "ops", "verify", "--json"]
    done = subprocess.run(command, env=running.environment, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def test_copies_that_are_being_written_are_sound_and_an_edit_is_found_among_them(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        guild = running.discord.add_guild("PipVault")["id"]
        staff = running.discord.add_member(guild, "TravisP", permissions="MANAGE_GUILD")["id"]
        code = running.discord.add_invite(guild, inviter=staff)["code"]
        for wave in range(3):
            running.discord.join_many(guild, 60, f"wave{wave}", code=code)
            status, told = verify(running)  # the consumers are in the middle of it
            wrong = [one for one in told["findings"] if one["kind"] not in ("note", "unsettled")]
            assert (wrong, status != 1) == ([], True)
        assert running.verdict().problems == []
        status, told = verify(running)
        assert (status, told["findings"]) == (0, [])
        assert {logs[JOINS]["records"] for logs in told["copies"].values()} == {180}
        path = csv_path(running.logs, JOINS)
        path.write_bytes(path.read_bytes().replace(b"PipVault", b"PipVaulT", 1))
        status, told = verify(running)
        assert (status, told["findings"][0]["where"]) == (1, f"{path}, line 2")
