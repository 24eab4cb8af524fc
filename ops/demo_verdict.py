"""The demo's judge: what the four sinks hold, against the sandbox's own ledger of who joined how."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from joins.columns import HEADERS
from joins.log_files import csv_path, database_path, json_path
from joins.records import EXACT, JOINS, join_id, timestamp


@dataclass(frozen=True)
class Verdict:
    """What was found; `problems` are sentences, and there are none when all is right."""

    joins: int
    sinks: dict[str, int]  # records in each sink
    confidences: Counter[str]
    confirmed: int  # exact attributions that are true
    problems: list[str]


def judge(ledger: Sequence[dict[str, Any]], logs: Path, cloud: Path) -> Verdict:
    """Every join of the ledger once, in the same order, in every sink; every exact attribution true."""
    truth = {ledger_join_id(join): join for join in ledger}
    copies = {"json": _json(logs), "csv": _csv(logs), "sqlite": _sqlite(logs), "cloud": _cloud(cloud)}
    problems = []
    for name, copy in copies.items():
        ids = [identity for identity, _ in copy]
        if len(set(ids)) < len(ids):
            problems.append(f"{name} holds {len(ids) - len(set(ids))} joins twice")
        if missing := truth.keys() - set(ids):
            problems.append(f"{name} lacks {len(missing)} joins")
        if strangers := set(ids) - truth.keys():
            problems.append(f"{name} holds {len(strangers)} joins that never were")
        if copy != copies["json"]:
            problems.append(f"{name} differs from json in order or in hashes")
    confidences: Counter[str] = Counter()
    confirmed = 0
    for record in json.loads(json_path(logs, JOINS).read_bytes()):
        confidences[record["confidence"]] += 1
        join = truth.get(record["join_id"])
        if record["confidence"] == EXACT and join is not None:
            if record["invite_code"] == join["code"]:
                confirmed += 1
            else:
                problems.append(f"{record['username']} came by {join['code']}, not by {record['invite_code']}")
    return Verdict(len(truth), {name: len(copy) for name, copy in copies.items()}, confidences, confirmed, problems)


def ledger_join_id(join: dict[str, Any]) -> str:
    """The join id that the record of a join of the sandbox's ledger must have."""
    joined = timestamp(datetime.fromisoformat(join["joined_at"]))
    return join_id(str(join["guild_id"]), str(join["user_id"]), joined)


_Copy = list[tuple[str, str]]  # join id and hash, in order


def _json(logs: Path) -> _Copy:
    return [(record["join_id"], record["hash"]) for record in json.loads(json_path(logs, JOINS).read_bytes())]


def _csv(logs: Path) -> _Copy:
    with csv_path(logs, JOINS).open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        copy = [(row["Join ID"], row["Hash"]) for row in rows]
        return copy if rows.fieldnames == HEADERS[JOINS] else []


def _sqlite(logs: Path) -> _Copy:
    database = sqlite3.connect(f"{database_path(logs).as_uri()}?mode=ro", uri=True)
    try:
        return list(database.execute("select join_id, hash from joins order by position"))
    finally:
        database.close()


def _cloud(cloud: Path) -> _Copy:
    copy = []
    for segment in sorted((cloud / JOINS).iterdir()):
        _, *lines = gzip.decompress(segment.read_bytes()).splitlines()
        copy += [(record["join_id"], record["hash"]) for record in map(json.loads, lines)]
    return copy
