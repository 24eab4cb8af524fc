"""Whatever stands in a name or in Redis: every record on one line of valid logs, nothing that runs, nothing lost."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from factories import join

from joins import inbox, keys
from joins.chain import seal
from joins.columns import HEADERS
from joins.csv_format import unguarded
from joins.log_files import csv_path, json_path
from joins.records import JOINS
from joins.settings import Settings
from ops.verifying.verification import Verification
from tests.ops.pipeline import Pipeline, pipeline, until

NAMES = [
    *(f"a{chr(code)}b" for code in (*range(32), *range(127, 160), 0x2028, 0x2029, 0xFEFF, 0xFFFE)),
    *(f"\u202e{name}\u2066" for name in ("gpj.exe", "@everyone")),
    '=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1", "''", "'", '"', '","',
    "\\", "\\n", "\\u0041", "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 4, "\U0001f600" * 32, "null", "NaN", "", " ",
    "[", "]}", "<script>alert(1)</script>", "${jndi:x}", "%s%n", "'; drop table joins; --", "z\u0310\u0489" * 8,
    "\U0010ffff",
]  # fmt: skip
HIGHEST = str(2**64 - 1)


def hand_over(running: Pipeline, number: int, **values: object) -> None:
    running.client.rpush(keys.INBOX, inbox.item(JOINS, seal(join(number, **values))))


def test_hostile_names_and_keys_of_others_reach_every_copy_and_run_nowhere(tmp_path: Path) -> None:
    with pipeline(tmp_path) as running:
        guild = running.discord.add_guild("=cmd|' /C calc'!A0")["id"]
        for number, name in enumerate(NAMES):
            running.discord.join(guild, f"member {number}", display_name=name)
            hand_over(running, number, username=name, display_name=name, guild_name=name, staff_username=name)
        hand_over(
            running,
            1000,
            user_id=HIGHEST,
            guild_id=HIGHEST,
            staff_id=HIGHEST,
            uses_before=2**53 - 2,
            uses_after=2**53 - 1,
        )
        for name, value in (
            ("invitelog:joinss", "x"),
            ("invitelog:", "x"),
            ("rq:queue:", "x"),
            ("rq:job:invitelog-jsonn", "x"),
        ):
            running.client.set(name, value)
        running.client.xadd(keys.stream(JOINS), {"r": "x" * (1 << 20), "v": "1", "id": "big"})
        running.client.xadd(keys.stream(JOINS), {"\xff\0": "x"})
        running.client.rpush(keys.INBOX, b"\xff\0", b"{" * 100_000, b"x" * (1 << 20))
        wanted = 2 * len(NAMES) + 1
        until(lambda: running.client.xlen(keys.stream(JOINS)) >= wanted + 2, "all are published")
        until(lambda: running.backlogs() == dict.fromkeys(keys.SINKS, 0), "every backlog is empty")
        until(lambda: running.client.xlen(keys.DEAD_LETTERS) == 5, "what is no record is set aside, and only that")
        settings = Settings(invite_logs_dir=running.logs, cloud_backup_url=running.cloud.as_uri())
        verdict = Verification(settings).run()
        assert (verdict.status, verdict.findings) == (0, [])
        assert {logs[JOINS]["records"] for logs in verdict.copies.values()} == {wanted}

        lines = json_path(running.logs, JOINS).read_bytes().rstrip(b" ").split(b"\n")[1:-1]
        records = [json.loads(line.removesuffix(b",")) for line in lines]
        assert len(records) == wanted
        assert HIGHEST in {record["user_id"] for record in records}
        with csv_path(running.logs, JOINS).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == wanted == len(csv_path(running.logs, JOINS).read_bytes().splitlines()) - 1
        for row, record in zip(rows, records, strict=True):
            assert row.keys() == set(HEADERS[JOINS])
            assert not any(cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) for cell in row.values())
            assert unguarded(row["Username"]) == (record["username"] or "")
            assert row["User ID"] == record["user_id"]
