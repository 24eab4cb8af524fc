"""One gateway websocket: frames out in order, compressed when asked for.

Source: https://discord.com/developers/docs/events/gateway#transport-compression
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import zlib
from typing import Any, NamedTuple

from aiohttp import web

from .faults import Faults


class _Frame(NamedTuple):
    text: str
    due: float


class _Close(NamedTuple):
    code: int
    reason: str


class Connection:
    """A queue in front of a websocket, so that an event never waits for the network."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, faults: Faults, *, compress: bool) -> None:
        self._request = request
        self._faults = faults
        self._socket = socket
        # One zlib context a connection; each message ends with a sync flush.
        self._zlib = zlib.compressobj(1) if compress else None
        self._queue: asyncio.Queue[_Frame | _Close | None] = asyncio.Queue()
        self.last_heartbeat: int | None = None
        self.closed = False

    def send_text(self, text: str) -> None:
        """Queues one frame."""
        if not self.closed:
            due = time.monotonic() + self._faults.gateway_lag_ms / 1000
            self._queue.put_nowait(_Frame(text, due))

    def send(self, op: int, data: Any = None) -> None:
        """Queues one payload that is not a dispatch."""
        self.send_text(json.dumps({"op": op, "t": None, "s": None, "d": data}))

    def close(self, code: int, reason: str = "") -> None:
        """Closes with a close code after what is queued."""
        if not self.closed:
            self.closed = True
            self._queue.put_nowait(_Close(code, reason))

    def cut(self) -> None:
        """Cuts the TCP connection: no close frame, nothing queued is sent."""
        self.closed = True
        if self._request.transport is not None:
            self._request.transport.abort()
        self._queue.put_nowait(None)

    async def write(self) -> None:
        """Sends what is queued until the connection is closed."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                item = await self._queue.get()
                if item is None:
                    return
                if isinstance(item, _Close):
                    await self._socket.close(code=item.code, message=item.reason.encode())
                    return
                wait = item.due - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                if self._zlib is None:
                    await self._socket.send_str(item.text)
                else:
                    data = self._zlib.compress(item.text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
                    await self._socket.send_bytes(data)
