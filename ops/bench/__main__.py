"""`python -m ops.bench`: joins a second, from publish until durable in all four sinks, next to simpler things."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from joins import keys, records
from joins.chain import seal
from joins.groups import Group
from joins.json_format import to_line
from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded
from producer.recorder import Recorder

STEP = 100  # joins recorded at once in the burst


@click.command()
@click.option("--joins", default=5000, show_default=True, help="Joins in the burst.")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def bench(joins: int, as_json: bool) -> None:
    """Measure the pipeline and its baselines in one run."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        with _server(folder) as client:
            payload = to_line(seal(records.normal(records.JOINS, _join(0))))
            rates = {
                "bare append + fdatasync, one by one": _rate(
                    1000, lambda n: _append(folder / "bare.jsonl", payload, n)
                ),
                "bare XADD, one by one": _rate(1000, lambda n: _xadd(client, payload, n, 1)),
                "bare XADD, by 100": _rate(joins, lambda n: _xadd(client, payload, n, 100)),
                f"simple bot: rewrite {joins:,} joins at each": _rate(20, lambda n: _rewrite(folder / "bot", joins, n)),
            }
            client.delete("bench")
            rates["this: recorded, one by one"], rates["this: burst, until durable in all four sinks"] = asyncio.run(
                _pipeline(folder, client, joins)
            )
    ours = rates["this: burst, until durable in all four sinks"]
    if as_json:
        click.echo(json.dumps({"joins": joins, "per_second": rates, "ratio": {k: ours / v for k, v in rates.items()}}))
        return
    for what, rate in rates.items():
        click.echo(f"{what:<48} {rate:>9,.0f} /s   the burst is {ours / rate:>6.2f} x this")


def _rate(count: int, run: Callable[[int], None]) -> float:
    began = time.perf_counter()
    run(count)
    return count / (time.perf_counter() - began)


def _append(path: Path, payload: bytes, count: int) -> None:
    with path.open("ab", buffering=0) as file:
        for _ in range(count):
            file.write(payload + b"\n")
            os.fdatasync(file.fileno())


def _xadd(client: Client, payload: bytes, count: int, batch: int) -> None:
    for _ in range(0, count, batch):
        pipeline = client.pipeline(transaction=False)
        for _ in range(batch):
            pipeline.xadd("bench", {"r": payload})
        pipeline.execute()


def _rewrite(path: Path, joins: int, count: int) -> None:
    """What a simple bot does at each join, with a log of `joins` records; it gets slower with every one."""
    path.write_text(json.dumps([_join(number) for number in range(joins)], indent=2))
    for number in range(count):
        log = json.loads(path.read_text())
        log.append(_join(number))
        path.write_text(json.dumps(log, indent=2))


async def _pipeline(folder: Path, client: Client, joins: int) -> tuple[float, float]:
    """Joins a second: recorded one by one (durable in the outbox), and in a burst until all four sinks have them."""
    recorder = await Recorder.start(Settings(redis_url=embedded.url(folder), invite_logs_dir=folder), client)
    with _consumers(folder):
        alone = 500
        began = time.perf_counter()
        for number in range(alone):
            await recorder.record(records.JOINS, _join(number))
        one_by_one = alone / (time.perf_counter() - began)
        await _drained(client, alone)
        began = time.perf_counter()
        for start in range(alone, alone + joins, STEP):
            batch = range(start, min(start + STEP, alone + joins))
            await asyncio.gather(*(recorder.record(records.JOINS, _join(number)) for number in batch))
        await _drained(client, alone + joins)
        burst = joins / (time.perf_counter() - began)
    await recorder.stop()
    return one_by_one, burst


async def _drained(client: Client, count: int) -> None:
    groups = [Group(client, sink) for sink in keys.SINKS]
    # Other processes do the work: there is no event of ours to wait for.
    while client.xlen(keys.stream(records.JOINS)) < count or any(group.settle() for group in groups):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Client]:
    with _processes([embedded.command(folder)]):
        while not embedded.answers(folder):
            time.sleep(0.01)
        client = connect(Settings(redis_url=embedded.url(folder)))
        yield client
        client.close()


@contextlib.contextmanager
def _consumers(folder: Path) -> Iterator[None]:
    environment = {
        **os.environ,
        "REDIS_URL": embedded.url(folder),
        "INVITE_LOGS_DIR": str(folder),
        "LOG_LEVEL": "ERROR",
    }
    commands = [[sys.executable, "-m", "consumers", sink] for sink in keys.SINKS]
    with _processes(commands, environment):
        client = connect(Settings(redis_url=embedded.url(folder)))
        while client.exists(*(keys.process(sink) for sink in keys.SINKS)) < len(keys.SINKS):
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def _processes(commands: list[list[str]], environment: dict[str, str] | None = None) -> Iterator[None]:
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=15)


def _join(number: int) -> dict[str, Any]:
    return made_join(number, datetime.now(UTC) + timedelta(microseconds=number))


def made_join(number: int, moment: datetime) -> dict[str, Any]:
    """The join of a member of that number, at that moment."""
    guild, user = "111222333444555666", str(10**17 + number)
    joined = records.timestamp(moment)
    return {
        "timestamp": joined,
        "user_id": user,
        "username": f"member_{number}",
        "display_name": f"Member {number}",
        "discriminator": "0",
        "invite_code": "abc123XYZ",
        "staff_id": "987654321098765432",
        "staff_username": "TravisP",
        "uses_before": number,
        "uses_after": number + 1,
        "guild_id": guild,
        "guild_name": "PipVault",
        "recorded_at": joined,
        "join_id": records.join_id(guild, user, joined),
        "source": "invite",
        "method": "invite_difference",
        "confidence": "exact",
        "candidates": [],
        "inviter_id": "987654321098765432",
        "flags": [],
        "evidence": {},
    }


if __name__ == "__main__":
    bench()
