"""`doctor`'s questions to Redis: reachable and new enough, durable, with memory and connections to spare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redis.exceptions import RedisError, ResponseError

from joins.errors import StartupError
from joins.redis_url import Client, check_server, connect, shown
from joins.settings import Settings
from ops import embedded
from ops.finding import FAIL, OK, WARN, Finding, failed

CONNECTIONS_NEEDED = 18  # the whole system's, at most
FULL = 0.8  # share of the memory limit from which it is worth a warning
# setting: the value wanted, what is lost otherwise, how bad that is
WANTED = {
    "maxmemory-policy": ("noeviction", "records may be thrown away when memory is full", FAIL),
    "appendonly": ("yes", "what is on the way is lost when the server restarts; the outbox sends it again", WARN),
    "appendfsync": ("always", "up to a second is lost in a power cut; the outbox sends it again", WARN),
}


def check_redis(settings: Settings) -> Iterator[Finding]:
    """The server of REDIS_URL, or the embedded one where it runs."""
    if settings.redis_url is None:
        try:
            program = embedded.find()
        except StartupError as error:
            yield failed("Redis", error)
            return
        if not embedded.answers(settings.invite_logs_dir):
            yield Finding(OK, "Redis", f"REDIS_URL is unset: `invitelog up` will run {program}")
            return
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    try:
        yield Finding(OK, "Redis", f"{check_server(client, url)} at {shown(url)}")
        yield from _persistence(client)
        yield from _room(client.info())
    except StartupError as error:
        yield failed("Redis", error)
    except RedisError as error:
        yield Finding(FAIL, "Redis", f"the server stopped answering: {error}", "Look at the server's own log.")
    finally:
        client.close()


def _persistence(client: Client) -> Iterator[Finding]:
    try:
        found = client.config_get(*WANTED)
    except ResponseError:
        wanted = ", ".join(f"{name} {value}" for name, (value, _, _) in WANTED.items())
        yield Finding(
            WARN,
            "Redis settings",
            "a managed server that does not show them",
            f"Set there, where it can be done: {wanted} (Heroku: `heroku redis:maxmemory --policy noeviction`).",
        )
        return
    for name, (value, loss, state) in WANTED.items():
        actual = found.get(name)
        if actual == value:
            yield Finding(OK, f"Redis {name}", value)
        else:
            yield Finding(state, f"Redis {name}", f"is {actual}: {loss}", f"`CONFIG SET {name} {value}`, and keep it.")


def _room(info: dict[str, Any]) -> Iterator[Finding]:
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    shares = f"{_mb(used)} used of {_mb(limit) if limit else 'no limit'}"
    if limit and used > FULL * limit:
        remedy = "Look with `invitelog status` for a sink that lags; else take a larger plan."
        yield Finding(WARN, "Redis memory", shares, remedy)
    else:
        yield Finding(OK, "Redis memory", shares)
    clients, most = int(info["connected_clients"]), int(info.get("maxclients", 0))
    if most and most < CONNECTIONS_NEEDED:
        remedy = f"Take a plan with {CONNECTIONS_NEEDED} or more."
        yield Finding(FAIL, "Redis connections", f"only {most} are allowed", remedy)
    elif most and clients > FULL * most:
        remedy = "See with `CLIENT LIST` whose they are."
        yield Finding(WARN, "Redis connections", f"{clients} of {most} in use", remedy)
    else:
        yield Finding(OK, "Redis connections", f"{clients} of {most or 'any number'} in use")


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
