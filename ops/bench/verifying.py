"""`python -m ops.bench.verifying`: time and memory of `invitelog verify` next to plainly reading the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import click

from consumers.sink import opener
from joins import chain, records
from joins.chain import Record
from joins.keys import SINKS
from joins.records import CHANGES, JOINS, LOGS
from joins.settings import Settings
from ops.bench.__main__ import made_join

BATCH = 2000  # records written at once; an object in the cloud holds as many
MEGABYTE = 1 << 20
# Each process tells at its end the most memory that it had resident, in kilobytes; only Linux knows.
_TELL = """
import atexit, os, sys
from pathlib import Path
told = Path(sys.argv.pop(1))
def tell():
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0"]
    told.write_text(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
atexit.register(tell)
"""
READ = """
for path in Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 20):
                pass
"""
_START = "import ops.verify, ops.verifying.verification"
_VERIFY = """
import ops.__main__
ops.__main__.main(["verify"])
"""


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and the most memory that was resident, in bytes."""

    seconds: float
    memory: int


@click.command()
@click.option("--joins", default=1_000_000, show_default=True, help="Joins in each copy; a tenth as many changes.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def bench(joins: int, as_json: bool) -> None:
    """Fill all four copies, then read their bytes, then verify them, each in a process of its own."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        counts = {JOINS: joins, CHANGES: joins // 10}
        fill(folder, counts)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        costs = {
            "read all bytes": cost(READ, folder),
            "start, verify nothing": cost(_START, folder),
            "verify": cost(_VERIFY, folder),
        }
    plain, ours = costs["read all bytes"], costs["verify"]
    if as_json:
        figures = {name: [spent.seconds, spent.memory] for name, spent in costs.items()}
        click.echo(json.dumps({"joins": joins, "bytes": size, "cost": figures}))
        return
    click.echo(f"{joins:,} joins and {joins // 10:,} changes in four copies: {size / MEGABYTE:,.0f} MB")
    for what, spent in costs.items():
        click.echo(f"{what:<24} {spent.seconds:>8.2f} s {spent.memory / MEGABYTE:>8.0f} MB")
    rate = len(SINKS) * sum(counts.values()) / ours.seconds
    times, memory = ours.seconds / plain.seconds, ours.memory / max(plain.memory, 1)
    click.echo(
        f"verifying takes {times:.0f} x the time, {memory:.1f} x the memory of reading; {rate:,.0f} records a second"
    )


def fill(folder: Path, counts: dict[str, int], names: Sequence[str] = SINKS, apart: float = 1.0) -> None:
    """Writes so many records of each log into these sinks' copies in a folder; they are `apart` seconds."""
    settings = Settings(invite_logs_dir=folder)
    sinks = [opener(name)(settings) for name in names]
    try:
        for log in LOGS:
            made, previous = _records(log, counts[log], apart), chain.genesis(log)
            while batch := chain.chained(previous, list(islice(made, BATCH))):
                previous = batch[-1]["hash"]
                for sink in sinks:
                    sink.write(log, batch)
    finally:
        for sink in sinks:
            sink.close()


def _records(log: str, count: int, apart: float) -> Iterator[Record]:
    began = datetime(2025, 10, 31, tzinfo=UTC)
    for number in range(count):
        moment = began + timedelta(seconds=number * apart)
        join = made_join(number, moment)
        record = join if log == JOINS else _confirmed(join, number)
        event = f"{int(moment.timestamp() * 1000)}-{number % 3}"
        yield {**chain.seal(records.normal(log, record)), "event_id": event}


def _confirmed(join: Record, number: int) -> Record:
    kept = ("recorded_at", "join_id", "guild_id", "user_id", "invite_code", "staff_id", "staff_username", "confidence")
    return {
        **{key: join[key] for key in kept},
        "change": "attribution_confirmed",
        "change_id": f"confirmed-{number}",
        "actor_id": "member_search",
    }


def cost(code: str, folder: Path) -> Cost:
    """What a process takes that runs this code. Raises CalledProcessError when it fails."""
    with tempfile.NamedTemporaryFile() as told:
        command = [sys.executable, "-c", _TELL + code, told.name, str(folder)]
        environment = {**os.environ, "INVITE_LOGS_DIR": str(folder)}
        began = time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        return Cost(time.perf_counter() - began, 1024 * int(Path(told.name).read_text()))


if __name__ == "__main__":
    bench()
