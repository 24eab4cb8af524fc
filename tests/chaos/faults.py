"""What goes wrong on the stage, by name. Each fault does its harm when entered and cures it when left."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from processes import RQ, plain_environment
from redis.exceptions import RedisError

from joins import keys
from tests.chaos.copies import can_lose, delete, truncate
from tests.chaos.stage import PRODUCER, ROLES, SERVER, Stage

Fault = Callable[[Stage, random.Random], AbstractContextManager[None]]
PAUSED_SECONDS = (7.0, 9.0)  # longer than a lease lasts


@contextmanager
def server_away(stage: Stage, chance: random.Random) -> Iterator[None]:
    """The server dies and stays away for a while."""
    stage.absent.add(SERVER)
    stage.kill(SERVER, chance)
    try:
        yield
    finally:
        stage.absent.discard(SERVER)


@contextmanager
def server_restart(stage: Stage, chance: random.Random) -> Iterator[None]:
    """The server ends in order and is started again."""
    stage.end(SERVER)
    yield


@contextmanager
def blackout(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Everything dies at once."""
    for role in ROLES:
        stage.kill(role, chance)
    yield


@contextmanager
def rq_empty(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Somebody empties the queues by hand."""
    command = [RQ, "empty", "-u", stage.url, *keys.SINKS]
    # The server may be away just now; then there is nothing to empty.
    subprocess.run(command, env=plain_environment(), capture_output=True, timeout=60, check=False)
    yield


@contextmanager
def flushall(stage: Stage, chance: random.Random) -> Iterator[None]:
    """The server forgets everything. At least one copy is whole, or the records would be nowhere."""
    if can_lose(stage):
        with suppress(RedisError):
            stage.client.flushall()
    yield


@contextmanager
def data_deleted(stage: Stage, chance: random.Random) -> Iterator[None]:
    """All of one sink's data is gone; another copy is whole."""
    sink = chance.choice(keys.SINKS)
    if can_lose(stage, sink):
        delete(stage, sink)
    yield


@contextmanager
def file_cut(stage: Stage, chance: random.Random) -> Iterator[None]:
    """A sink's file ends somewhere in the middle; another copy is whole."""
    sink = chance.choice(("json", "csv", "sqlite"))
    if can_lose(stage, sink):
        truncate(stage, sink, chance)
    yield


@contextmanager
def full_disk(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Not a byte is left on the disk of the logs, the outbox and the server."""
    if stage.disk.refusal is not None:
        print(f"no disk can be filled here ({stage.disk.refusal}): the server is restarted instead", flush=True)
        with server_restart(stage, chance):
            yield
        return
    stage.disk.fill()
    try:
        yield
    finally:
        stage.disk.free()


@contextmanager
def cloud_unusable(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Where the cloud's folder was there is something else, as with a mount that broke."""
    away = stage.cloud.with_name("cloud.away")
    stage.cloud.rename(away)
    stage.cloud.touch()
    try:
        yield
    finally:
        stage.cloud.unlink()
        away.rename(stage.cloud)


@contextmanager
def overlap(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Two of the same, as in a deploy; then one of them dies."""
    role = chance.choice((PRODUCER, PRODUCER, *keys.SINKS))
    stage.start(role)
    yield
    stage.kill(role, chance)


@contextmanager
def paused(stage: Stage, chance: random.Random) -> Iterator[None]:
    """A process stands still for longer than its lease lasts, and wakes."""
    role = chance.choice((PRODUCER, *keys.SINKS))
    process = stage.running[role][0] if stage.running[role] else stage.start(role)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def gateway_cut(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Discord's gateway drops the connection; half of the time the session with it."""
    stage.discord.drop_gateway(resumable=chance.random() < 0.5)
    yield


FAULTS: dict[str, Fault] = {
    "server away": server_away,
    "server restart": server_restart,
    "blackout": blackout,
    "rq empty": rq_empty,
    "FLUSHALL": flushall,
    "data deleted": data_deleted,
    "file cut": file_cut,
    "full disk": full_disk,
    "cloud unusable": cloud_unusable,
    "overlap": overlap,
    "paused": paused,
    "gateway cut": gateway_cut,
}
LASTING: dict[str, tuple[float, float]] = {"paused": PAUSED_SECONDS, "overlap": (0.5, 8.0)}
