"""`python -m ops.sandbox`: the sandbox as a process of its own, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from .server import Sandbox
from .world import WorldError
from .world_file import load


async def run(port: int, token: str, world: Path | None) -> None:
    """Serves until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Sandbox(port, token) as sandbox:
        if world is not None:
            load(sandbox, world)
        print(f"sandbox Discord at {sandbox.url}; DISCORD_API_URL={sandbox.api_url}", flush=True)
        await stopped.wait()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ops.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--token", default="sandbox-token", help="the bot token it accepts")
    parser.add_argument("--world", type=Path, help="JSON file with guilds, members and invites (see README.md)")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.port, arguments.token, arguments.world))
    except (OSError, ValueError, WorldError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
