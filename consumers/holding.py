"""Having a sink to oneself for a while: what a command does that replaces a sink's data.

The command claims the sink; its consumer, where one is at work on this folder, sees that within seconds, lets go of
lock and lease, and goes on afterwards. A claim dies with its holder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from redis.exceptions import RedisError

from joins.durable import FolderLock, folder_id, make_folder
from joins.errors import InviteLogError, LeaseLost
from joins.lease import RENEW_EVERY, Lease
from joins.redis_url import Client, connect
from joins.settings import Settings

PATIENCE = 30.0  # seconds that the consumer may take to let go; it may be in the middle of a batch
GLANCE = 2.0  # seconds; a consumer that looks whether there is a claim holds the lock for an instant
STEP = 0.1  # seconds between two looks


def claim_of(folder: Path, sink: str) -> FolderLock:
    """The lock by which a command claims a sink from its consumer."""
    return FolderLock(folder, f"{sink}-claim")


@contextmanager
def held(settings: Settings, sink: str, redis_url: str | None) -> Iterator[None]:
    """Holds the sink's lock, and its lease where a server is named and answers; gives both up at the end.

    Raises FolderUnusable, and InviteLogError when another process keeps the sink.
    """
    folder = make_folder(settings.invite_logs_dir)
    claim, lock = claim_of(folder, sink), FolderLock(folder, sink)
    _acquire(claim, f"another command works on the {sink} sink already: wait for it to end", GLANCE)
    try:
        _acquire(lock, f"the consumer of the {sink} sink does not let go of it: stop it, then try again", PATIENCE)
        client = connect(settings, redis_url, connections=1) if redis_url else None
        try:
            with _leased(client, sink, folder):
                yield
        finally:
            if client is not None:
                client.close()
    finally:
        lock.release()
        claim.release()


def _acquire(lock: FolderLock, otherwise: str, patience: float) -> None:
    until = time.monotonic() + patience
    while not lock.acquire():
        if time.monotonic() >= until:
            raise InviteLogError(otherwise)
        time.sleep(STEP)


@contextmanager
def _leased(client: Client | None, sink: str, folder: Path) -> Iterator[None]:
    """Keeps the lease in a thread, so that no consumer on another machine writes meanwhile."""
    if client is None:
        yield
        return
    lease, ended = Lease(client, sink, folder_id(folder)), threading.Event()
    try:
        until = time.monotonic() + PATIENCE
        while not lease.acquire():
            if time.monotonic() > until:
                raise InviteLogError(
                    f"a consumer of the {sink} sink is at work on another machine: stop it, or run this there"
                )
            time.sleep(STEP)
    except RedisError:
        yield  # no consumer can be at work without the server
        return
    keeper = threading.Thread(target=_keep, args=(lease, ended), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        with suppress(RedisError):  # it runs out by itself
            lease.release()


def _keep(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEW_EVERY):
        try:
            lease.renew()
        except (RedisError, LeaseLost):
            continue  # the flock still keeps this machine's consumers away
