"""The end of the process: one deadline for all that is done after SIGTERM, and a last resort against what hangs.

A platform grants 10 s. A server that hangs holds each call for up to 15 s, and threads that wait for it can neither be
ended nor abandoned by the interpreter; so the process leaves them, once all that must be durable is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("producer")

STOP_SECONDS = 8.5  # from the signal to the end of every step
LAST_RESORT = 9.0  # from the signal to the end of the process, whatever hangs
THREADS_SECONDS = 0.3  # for threads to end once every step has
CANCEL_SECONDS = 1.5  # for work that is under way when the signal comes


class Stopping:
    """Set by a signal, seen by the loop and by threads."""

    def __init__(self, ends_process: bool = False) -> None:
        """`ends_process`: this process ends with it, by force if need be."""
        self._ends_process = ends_process
        self.event, self.in_threads = asyncio.Event(), threading.Event()
        self.make_durable: Callable[[], None] | None = None  # what must be done before the process may be left
        self._set_at: float | None = None
        self._stepped = threading.Event()

    def set(self) -> None:
        """The process is to end when it is safe."""
        if self._set_at is not None:
            return
        self._set_at = time.monotonic()
        self.event.set()
        self.in_threads.set()
        if self._ends_process:
            threading.Thread(target=self._leave, name="last resort", daemon=True).start()

    def left(self, at_most: float = STOP_SECONDS) -> float:
        """Seconds that a step of the stop may take."""
        spent = time.monotonic() - self._set_at if self._set_at is not None else 0.0
        return max(min(STOP_SECONDS - spent, at_most), 0.0)

    async def step(self, work: Coroutine[Any, Any, Any], at_most: float = STOP_SECONDS) -> None:
        """Does a step of the stop within what is left; what takes longer is given up."""
        task = asyncio.create_task(work)
        await asyncio.wait({task}, timeout=self.left(at_most))
        if not task.done():
            task.cancel()
        elif not task.cancelled() and (error := task.exception()):
            log.error("a fault in stopping", exc_info=error)

    def stepped(self) -> None:
        """Every step is done: only threads may still hang."""
        self._stepped.set()

    async def or_done(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, or None when the process is to stop before that."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self.event.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        return None

    def _leave(self) -> None:
        """Ends the process under threads that hang; the interpreter ends this one where none does."""
        if self._stepped.wait(LAST_RESORT):
            time.sleep(THREADS_SECONDS)
        with contextlib.suppress(Exception):
            if self.make_durable:
                self.make_durable()
        log.warning("the Redis server or Discord hangs; stopped without waiting for it: what is recorded is on disk")
        os._exit(0)
