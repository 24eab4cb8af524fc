"""`python -m producer` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from ops.sandbox import Sandbox

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def producer(environment: Mapping[str, str]) -> AsyncIterator[Process]:
    """The process, killed at the end if it still runs."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DISCORD_", "REDIS_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "producer", cwd=ROOT, env={**clean, **environment}, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def environment(sandbox: Sandbox, server_url: str, folder: Path, **more: str) -> dict[str, str]:
    return {
        "DISCORD_TOKEN": sandbox.token,
        "DISCORD_API_URL": sandbox.api_url,
        "REDIS_URL": server_url,
        "INVITE_LOGS_DIR": str(folder),
    } | more
