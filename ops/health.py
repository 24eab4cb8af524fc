"""`invitelog health`: answers GET /healthz on PORT, for the platform's checks and an outside monitor."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import click
from redis.exceptions import RedisError

from joins import settings as settings_module
from joins import verified
from joins.errors import SettingsError
from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded
from ops.overview import look

READ_TIMEOUT = 5.0  # seconds that a client may take for its request
REQUEST_BYTES = 8_192  # the longest line of a request that is read
FRESH_SECONDS = 1.0  # an answer is reused for so long, so that many callers cost Redis no more than one
REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def state(client: Client) -> dict[str, Any]:
    """What the world may know: who works and how much waits, but no names, paths or reasons. Raises redis errors."""
    view = look(client)
    return {
        "ok": view.ok,
        "producer": view.producer.state if view.producer else "down",
        "sinks": {name: {"ok": sink.ok, "backlog": sink.backlog} for name, sink in view.sinks.items()},
        "heads": view.heads,
        "verified": "not yet" if view.verified is None else verified.WORDS[view.verified.status].lower(),
    }


class Health:
    """Whether all is well, asked of Redis at most once a second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._asked = float("-inf")
        self._answer: tuple[int, dict[str, Any]] = (503, {})

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """The HTTP status and the JSON object to send."""
        async with self._lock:
            if time.monotonic() - self._asked > FRESH_SECONDS:
                self._answer = await asyncio.to_thread(self._ask)
                self._asked = time.monotonic()
            return self._answer

    def _ask(self) -> tuple[int, dict[str, Any]]:
        try:
            found = state(self._client)
        except RedisError:
            return 503, {"ok": False, "sinks": {}, "fault": "Redis does not answer"}
        return 200 if found["ok"] else 503, found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request and closes the connection."""
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                method, path = await _request(reader)
                if path.partition("?")[0] != "/healthz":
                    status, body = 404, {"fault": "there is only /healthz"}
                elif method not in ("GET", "HEAD"):
                    status, body = 405, {"fault": "GET or HEAD only"}
                else:
                    status, body = await self.answer()
                writer.write(_response(status, body, with_body=method != "HEAD"))
                await writer.drain()
        except (TimeoutError, ValueError, OSError, asyncio.IncompleteReadError):
            pass  # a caller that sends no request gets no answer
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    method, path, _ = (await reader.readline()).decode("latin-1").split()
    while (await reader.readline()).strip():
        pass
    return method, path


def _response(status: int, body: dict[str, Any], with_body: bool) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if with_body else b"")


async def listen(client: Client, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    server = await asyncio.start_server(Health(client).serve, "0.0.0.0", port, limit=REQUEST_BYTES)
    await stop.wait()
    server.close()


def url(settings: Settings) -> str:
    """REDIS_URL, or the embedded server's."""
    return settings.redis_url or embedded.url(settings.invite_logs_dir)


@click.command()
def health() -> None:
    """Answer GET /healthz on PORT: 200 when all is well, 503 when not, the state of each sink as JSON."""
    settings = settings_module.load()
    if settings.port is None:
        raise SettingsError("PORT is not set: `invitelog health` needs a port to listen on.")
    client = connect(settings, url(settings), connections=1)
    try:
        asyncio.run(listen(client, settings.port))
    except OSError as error:
        raise SettingsError(f"PORT {settings.port} cannot be listened on ({error.strerror}).") from error
    finally:
        client.close()
