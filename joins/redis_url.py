"""The Redis connection: timeouts, TLS, Sentinel, and whether the server can do what streams need.

redis-py repeats a command whose reply was lost; every write of ours is a script that may be repeated, so that is safe.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from joins.errors import ServerTooOld, ServerUnreachable, SettingsError
from joins.settings import Settings

SOCKET_TIMEOUT = 5.0  # seconds; every blocking read stays well under it
FIRST_CONTACT = 30.0  # seconds that a starting process waits for the server
BLOCK_SECONDS = 2  # how long a worker waits for work before it looks around
MIN_REDIS, MIN_VALKEY = (7, 0), (8, 0)  # the first with `lag` in XINFO GROUPS
Client = redis.Redis
_log = logging.getLogger("joins.redis")


def connect(settings: Settings, url: str | None = None, connections: int = 4) -> Client:
    """A client for `url` (default: REDIS_URL) with at most `connections` sockets. Nothing is sent yet."""
    url = url or settings.redis_url
    if url is None:
        raise ServerUnreachable(
            "REDIS_URL is not set: start everything with `invitelog up` (it runs a server of its own), "
            "or set REDIS_URL=redis://host:6379/0."
        )
    options: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=2),
        "health_check_interval": 30,
        "protocol": 2,  # one shape of replies, whatever the server or redis-py prefers
    }
    if "+sentinel://" in url:
        return _through_sentinel(url, settings, options)
    if url.startswith("rediss://") and not settings.redis_tls_verify and "ssl_cert_reqs" not in url:
        options |= {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=connections, timeout=SOCKET_TIMEOUT, **options
        )
        pool.connection_class(**pool.connection_kwargs)  # makes an object, no connection: it knows what it can take
    except (ValueError, TypeError) as error:
        raise SettingsError(f"REDIS_URL {shown(url)} has an option that redis-py does not take: {error}.") from error
    return redis.Redis(connection_pool=pool)


def _through_sentinel(url: str, settings: Settings, options: dict[str, Any]) -> Client:
    """`redis+sentinel://[:password@]host:26379,host2:26379/service[/db]`, or `rediss+sentinel://` for TLS."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    if parts.scheme == "rediss+sentinel":
        options |= {"ssl": True}
        if not settings.redis_tls_verify or parse_qs(parts.query).get("ssl_cert_reqs") == ["none"]:
            options |= {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    if user:
        options["username"] = unquote(user)
    if password:
        options["password"] = unquote(password)
    addresses = [(host.partition(":")[0], int(host.partition(":")[2] or 26379)) for host in hosts.split(",")]
    # redis-py leaves its Sentinel class without annotations.
    untyped: Any = Sentinel
    sentinel = untyped(addresses, sentinel_kwargs={"socket_timeout": SOCKET_TIMEOUT}, **options)
    client: Client = sentinel.master_for(service or "mymaster", db=int(database or 0))
    return client


def shown(url: str) -> str:
    """The URL without its password, for messages."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url.partition("?")[0]
    return f"{parts.scheme}://…@{parts.netloc.rpartition('@')[2]}{parts.path}"


def wait_for_server(client: Client, url: str, stopping: threading.Event) -> None:
    """Waits, for FIRST_CONTACT seconds at most, until the server answers: after a deploy it may start later than we.

    Raises ServerUnreachable or ServerTooOld.
    """
    until = time.monotonic() + FIRST_CONTACT
    while not stopping.is_set():
        try:
            check_server(client, url)
            return
        except ServerUnreachable as error:
            if time.monotonic() >= until:
                raise
            if until - time.monotonic() > FIRST_CONTACT - 1:
                _log.warning("%s Waiting for it.", error)
        stopping.wait(0.25)


def check_server(client: Client, url: str) -> str:
    """The server's name and version, once it is seen to answer and to be new enough.

    Raises ServerUnreachable or ServerTooOld.
    """
    try:
        info: dict[str, Any] = client.info("server")
    except RedisError as error:
        remedy, why = "start it, or correct REDIS_URL.", str(error).partition(" : <")[0]  # a Sentinel dumps objects
        if _is_certificate_fault(error):
            remedy = "give it a certificate that this machine trusts, or set REDIS_TLS_VERIFY=no to trust any."
        raise ServerUnreachable(f"the Redis server at {shown(url)} does not answer ({why}): {remedy}") from error
    if "valkey_version" in info:
        name, version, least = "Valkey", str(info["valkey_version"]), MIN_VALKEY
    else:
        name, version, least = "Redis", str(info["redis_version"]), MIN_REDIS
    if tuple(int(part) for part in version.split(".")[:2]) < least:
        raise ServerTooOld(
            f"the server at {shown(url)} is {name} {version}: the invite log needs Redis 7.0 or Valkey 8.0, "
            "or later; upgrade it, or unset REDIS_URL to let `invitelog up` run its own."
        )
    return f"{name} {version}"


def _is_certificate_fault(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
