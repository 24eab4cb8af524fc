"""The judge of the chaos: every join of the sandbox's ledger once, in order, in all four copies, chained, and true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from joins import event_id
from joins.chain import Record, check_commitments, check_link, genesis
from joins.errors import PermanentError
from joins.records import CHANGES, EXACT, JOINS, LOGS, identity
from joins.settings import Settings
from ops.demo_verdict import ledger_join_id
from ops.verifying.verification import Verification
from tests.chaos.stage import Stage
from tests.consumers.sink_kinds import LOCAL

SHOWN = 5  # of each kind of problem


def judge(ledger: Sequence[dict[str, Any]], stage: Stage) -> list[str]:
    """The problems, as sentences; none when all is right."""
    problems: list[str] = []
    copies = {
        (sink, log): place(stage.folder if sink == "cloud" else stage.logs).read(log)
        for sink, place in LOCAL.items()
        for log in LOGS
    }
    truth = {ledger_join_id(join): join for join in ledger}
    for (sink, log), records in copies.items():
        name = f"the {log} log of {sink}"
        problems += _once(name, [identity(log, record) for record in records])
        problems += _chained(name, log, records)
        if not _same(records, copies["json", log]):
            problems.append(f"{name} has {len(records)} records and differs from json's {len(copies['json', log])}")
        if log == JOINS:
            problems += _complete(name, {record["join_id"] for record in records}, truth)
    settings = Settings(invite_logs_dir=stage.logs, cloud_backup_url=stage.cloud.as_uri())
    problems += [f"verify: {finding.sentence}" for finding in Verification(settings).run().findings]
    return problems + _true(copies["json", JOINS], copies["json", CHANGES], truth)


def _once(name: str, ids: list[str]) -> list[str]:
    doubled = [one for one, count in Counter(ids).items() if count > 1]
    return [f"{name} holds {len(doubled)} records twice: {doubled[:SHOWN]}"] if doubled else []


def _complete(name: str, ids: set[str], truth: dict[str, dict[str, Any]]) -> list[str]:
    problems = []
    if missing := [truth[one] for one in truth if one not in ids]:
        shown = [f"{join['username']} at {join['joined_at']}" for join in missing[:SHOWN]]
        problems.append(f"{name} lacks {len(missing)} joins: {', '.join(shown)}")
    if strangers := [one for one in ids if one not in truth]:
        problems.append(f"{name} holds {len(strangers)} joins that never were: {strangers[:SHOWN]}")
    return problems


def _chained(name: str, log: str, records: list[Record]) -> list[str]:
    previous = genesis(log)
    for number, record in enumerate(records):
        try:
            previous = check_link(previous, record, f"record {number} of {name}")
            check_commitments(record)
        except PermanentError as error:
            return [f"record {number} of {name}: {error}"]
    places = [event_id.parse(record["event_id"]) for record in records]
    if any(first >= second for first, second in pairwise(places)):
        return [f"{name} is not in the order of its event ids"]
    return []


def _same(records: list[Record], others: list[Record]) -> bool:
    return [record["hash"] for record in records] == [record["hash"] for record in others]


def _true(joins: list[Record], changes: list[Record], truth: dict[str, dict[str, Any]]) -> list[str]:
    """An exact attribution names the code by which the member came."""
    later = {c["join_id"]: c for c in changes if c["change"].startswith("attribution_")}
    wrong = []
    for record in joins:
        found = later.get(record["join_id"], record)
        join = truth.get(record["join_id"])
        if join is not None and found["confidence"] == EXACT and found["invite_code"] != join["code"]:
            wrong.append(f"{record['username']} came by {join['code']}, not by {found['invite_code']}")
    return [f"{len(wrong)} exact attributions are false: {wrong[:SHOWN]}"] if wrong else []
