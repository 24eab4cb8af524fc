"""Power cuts under `appendfsync everysec`: the server forgets what it had not synced, up to its last second.

The server is killed, and its append-only file cut where it ended at a moment before, or in the middle of a command
after that. The producer and the consumers live on with what they hold, as on other machines. `make powercuts N=20`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import change, join
from processes import Consumers, Server
from redis.exceptions import RedisError
from test_healing import recording, stream, until

from joins import keys
from joins.chain import chained, genesis
from joins.records import CHANGES, JOINS, LOGS
from joins.redis_url import Client
from producer.recorder import Recorder
from tests.consumers.sink_kinds import LOCAL

CUTS = int(os.environ.get("POWER_CUTS", "3"))
SEED = int(os.environ.get("SEED", "20251031"))
FORGOTTEN = 1.0  # seconds: the most that `everysec` may lose
SINKS = ("json", "csv", "sqlite")
DEADLINE = 60.0  # seconds for the sinks to have it all


@dataclass
class Power:
    """The server's append-only file, its size over the last moments, and the cuts."""

    server: Server
    dice: random.Random
    sizes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=1000))
    forgotten: list[int] = field(default_factory=list)  # bytes, a cut

    @property
    def file(self) -> Path:
        folder = self.server.folder / "redis" / "appendonlydir"
        return max(folder.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)

    def note(self) -> None:
        """Where the file ends now."""
        self.sizes.append((time.monotonic(), self.file.stat().st_size))

    def cut(self, least: int = 0) -> None:
        """Kills the server and takes from its file what was written after some moment of the last second.

        The file keeps at least `least` bytes.
        """
        self.server.kill()
        now = time.monotonic()
        synced = [size for at, size in self.sizes if now - at <= FORGOTTEN] or [self.file.stat().st_size]
        end = self.file.stat().st_size
        length = max(self.dice.randint(self.dice.choice(synced), end), least)
        os.truncate(self.file, length)
        self.forgotten.append(end - length)
        self.sizes.clear()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server", appendfsync="everysec")
    made.start()
    yield made
    made.kill()


class Joiners:
    """Records joins and changes for as long as it runs, and keeps the order in which they were given their places."""

    def __init__(self, made: Recorder, dice: random.Random, first: int) -> None:
        self._made, self._dice, self.number = made, dice, first
        self.placed: dict[str, list[tuple[str, str]]] = {JOINS: [], CHANGES: []}

    async def some(self) -> None:
        """A few at once, then a moment's rest."""
        log = self._dice.choices(LOGS, (4, 1))[0]
        numbers = range(self.number, self.number + self._dice.randint(1, 8))
        self.number = numbers.stop
        records = [join(n) if log == JOINS else change(n) for n in numbers]
        ids = await asyncio.gather(*(self._made.record(log, record) for record in records))
        key = "join_id" if log == JOINS else "change_id"
        self.placed[log] += [(event, str(record[key])) for event, record in zip(ids, records, strict=True)]
        await asyncio.sleep(self._dice.choice([0, 0, 0.01, 0.05]))

    async def go_on(self, power: Power, seconds: float) -> None:
        """For so long; meanwhile the size of the server's file is noted."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await self.some()
            with suppress(OSError, ValueError):
                power.note()


async def settled(client: Client, placed: dict[str, list[tuple[str, str]]], folder: Path) -> None:
    """Waits until the streams and every sink hold all of it; or gives up, and what is wrong is seen."""
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        with suppress(RedisError):  # it reads its file yet
            if all(stream(client, log) == placed[log] for log in LOGS) and all(
                len(LOCAL[sink](folder).read(log)) == len(placed[log]) for sink in SINKS for log in LOGS
            ):
                return
        await asyncio.sleep(0.2)


def assert_whole(client: Client, placed: dict[str, list[tuple[str, str]]], folder: Path) -> None:
    """The streams hold every record once and in order, and the sinks' logs are equal, hash by hash."""
    for log in LOGS:
        key = "join_id" if log == JOINS else "change_id"
        assert stream(client, log) == placed[log], log
        copies = {sink: LOCAL[sink](folder).read(log) for sink in SINKS}
        for sink, records in copies.items():
            assert [(r["event_id"], r[key]) for r in records] == placed[log], f"{sink} {log}"
            bare = [{name: value for name, value in r.items() if name != "hash"} for r in records]
            assert [r["hash"] for r in records] == [r["hash"] for r in chained(genesis(log), bare)], f"{sink} {log}"
        assert copies["json"] == copies["csv"] == copies["sqlite"], log
    assert client.xlen(keys.DEAD_LETTERS) == 0


async def test_power_cuts_of_the_server_lose_double_and_reorder_nothing(server: Server, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    power, folder = Power(server, dice), tmp_path / "logs"
    folder.mkdir()
    consumers = Consumers(server.url, folder)
    healed, epoch = 0, b""
    try:
        async with recording(server.url, folder) as made:
            consumers.start(*SINKS)
            joiners = Joiners(made, dice, 0)
            client = server.client()
            for _ in range(CUTS):
                await joiners.go_on(power, dice.uniform(1.0, 2.5))
                epoch = client.get(keys.EPOCH) or b""
                await asyncio.to_thread(power.cut)
                await joiners.go_on(power, dice.choice([0.0, 0.2, 1.5]))
                await asyncio.to_thread(server.start)
                await joiners.go_on(power, dice.choice([0.0, 0.5]))
                if dice.random() < 0.7:  # else the next cut may meet a stream that is being healed
                    await settled(client, joiners.placed, folder)
                    healed += client.get(keys.EPOCH) != epoch
                    assert_whole(client, joiners.placed, folder)
            await settled(client, joiners.placed, folder)
            assert_whole(client, joiners.placed, folder)
            client.close()
        assert set((await asyncio.to_thread(consumers.end)).values()) == {0}
    finally:
        consumers.stop_all()
    print(f"seed {SEED}: {CUTS} cuts, bytes forgotten {power.forgotten}, {healed} times healed")
    print(f"{len(joiners.placed[JOINS])} joins, {len(joiners.placed[CHANGES])} changes")
    assert any(power.forgotten)


async def test_a_cut_that_takes_the_epoch_too_is_healed_from_what_the_sinks_have(
    server: Server, tmp_path: Path
) -> None:
    """Everything but an empty file is gone, while the sinks hold all of it."""
    power, folder = Power(server, random.Random(SEED)), tmp_path / "logs"
    folder.mkdir()
    consumers = Consumers(server.url, folder)
    try:
        async with recording(server.url, folder) as made:
            consumers.start(*SINKS)
            joiners, client = Joiners(made, random.Random(SEED), 0), server.client()
            await joiners.go_on(power, 0.5)
            await settled(client, joiners.placed, folder)
            epoch = client.get(keys.EPOCH)
            server.kill()
            os.truncate(power.file, 0)
            await joiners.go_on(power, 0.2)
            await asyncio.to_thread(server.start)
            await joiners.go_on(power, 0.2)
            await settled(client, joiners.placed, folder)
            assert client.get(keys.EPOCH) not in (None, epoch)
            assert_whole(client, joiners.placed, folder)
            client.close()
    finally:
        consumers.stop_all()


async def test_a_cut_that_the_producer_slept_through_is_noticed_at_its_next_start(
    server: Server, tmp_path: Path
) -> None:
    power, folder = Power(server, random.Random(SEED)), tmp_path / "logs"
    folder.mkdir()
    consumers = Consumers(server.url, folder)
    placed: dict[str, list[tuple[str, str]]] = {log: [] for log in LOGS}
    try:
        consumers.start(*SINKS)
        client = server.client()
        for start in range(0, 3000, 1000):
            async with recording(server.url, folder) as made:
                joiners = Joiners(made, random.Random(start), start)
                await joiners.go_on(power, 0.6)
                for log in LOGS:
                    placed[log] += joiners.placed[log]
                early = power.sizes[len(power.sizes) // 2][1]
                await settled(client, placed, folder)
            server.kill()
            os.truncate(power.file, early + 7)
            power.sizes.clear()
            await asyncio.to_thread(server.start)
        async with recording(server.url, folder):
            await settled(client, placed, folder)
            assert_whole(client, placed, folder)
        client.close()
    finally:
        consumers.stop_all()


async def test_what_a_cut_took_is_published_again_though_nobody_joins_afterwards(
    server: Server, tmp_path: Path
) -> None:
    async with recording(server.url, tmp_path / "logs") as made:
        power, client = Power(server, random.Random(SEED)), server.client()
        joiners = Joiners(made, random.Random(SEED), 0)
        await joiners.some()
        await until(lambda: not made.publishing.backlog().records)
        power.note()
        await joiners.go_on(power, 0.2)
        await until(lambda: not made.publishing.backlog().records)
        server.kill()
        os.truncate(power.file, power.sizes[0][1])
        await asyncio.to_thread(server.start)
        await until(lambda: stream(client, JOINS) == joiners.placed[JOINS], DEADLINE)
        client.close()
