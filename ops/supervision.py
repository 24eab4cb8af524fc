"""The tree of processes under supervisord: each is restarted on its own, its output is prefixed with its name.

`invitelog up` becomes `python -m ops.supervision <configuration>`. A process that ends soon after its start is tried
again after a delay that grows by a second each time up to a limit, and is never given up.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from collections import defaultdict
from typing import Any

from supervisor import events
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

DELAY_LIMIT = {"producer": 120}  # seconds between two tries, at most
DELAY_OTHERWISE = 30
POLL_SECONDS = 0.25  # supervisord looks at signals and children this often; its own second would add up at the end
LINE_BYTES = 65_536  # a longer line is broken
PR_SET_PDEATHSIG = 1
# What a server says at the level of warnings though nothing is amiss.
NOISE = (
    b"oO0OoO0OoO0Oo",
    b", just started",
    b"Configuration loaded",
    b"Memory overcommit must be enabled",
    b"scheduling shutdown",
    b"requested shutdown",
    b"ready to exit",
)


class _Options(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """Makes a child die with supervisord, so that `kill -9` of `up` leaves no second server behind."""

    def setpgrp(self) -> None:
        super().setpgrp()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Tree(Supervisor):  # type: ignore[misc]  # supervisor has no types
    """supervisord with prefixed output, a limit on its delays and a quicker eye."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.unfinished: dict[str, bytes] = defaultdict(bytes)

    def runforever(self) -> None:
        events.subscribe(events.ProcessLogEvent, self.on_output)
        events.subscribe(events.ProcessStateBackoffEvent, self.on_failed_start)
        events.subscribe(events.ProcessStateExitedEvent, self.on_exit)
        events.subscribe(events.ProcessStateStoppedEvent, self.on_stop)
        poll = self.options.poller.poll
        self.options.poller.poll = lambda timeout: poll(min(timeout, POLL_SECONDS))
        super().runforever()

    def on_output(self, event: Any) -> None:
        name = event.process.config.name
        *lines, rest = (self.unfinished[name] + event.data).split(b"\n")
        if len(rest) > LINE_BYTES:
            lines, rest = [*lines, rest], b""
        self.unfinished[name] = rest
        say(name, lines)

    def on_failed_start(self, event: Any) -> None:
        process = event.process
        name = process.config.name
        wait = min(process.backoff, DELAY_LIMIT.get(name, DELAY_OTHERWISE))
        process.delay -= process.backoff - wait  # supervisord has set both, without a limit
        process.backoff = wait
        self.flush(name)
        say("up", [f"{name} ended; next try in {wait} s".encode()])

    def on_exit(self, event: Any) -> None:
        name = event.process.config.name
        self.flush(name)
        say("up", [f"{name} ended; it is started again".encode()])

    def on_stop(self, event: Any) -> None:
        self.flush(event.process.config.name)

    def flush(self, name: str) -> None:
        rest = self.unfinished.pop(name, b"")
        if rest:
            say(name, [rest])


def say(name: str, lines: list[bytes]) -> None:
    """Writes lines to our standard output, each with its process's name before it."""
    told = [line for line in lines if not (name == "redis" and any(noise in line for noise in NOISE))]
    try:
        sys.stdout.buffer.writelines(f"{name:<8} | ".encode() + line.rstrip(b"\r") + b"\n" for line in told)
        sys.stdout.buffer.flush()
    except OSError:
        pass  # nobody reads any more; the processes go on


def main(configuration: str) -> None:
    """Runs the tree until SIGTERM, SIGINT or a hang-up."""
    options = _Options()
    options.realize(["-c", configuration])
    options.first, options.test = True, False
    with contextlib.suppress(ExitNow):
        Tree(options).main()
    options.close_logger()


if __name__ == "__main__":
    main(sys.argv[1])
