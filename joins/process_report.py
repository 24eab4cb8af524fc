"""How a process is, in its own words, kept in Redis while it lives: what `status`, `/healthz` and alarms read."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from joins import keys
from joins.redis_url import Client
from joins.scripts import script, text

EXPIRES_AFTER = 15  # seconds without a report, after which a process counts as gone


@dataclass(frozen=True)
class Report:
    """What a process says of itself. Times are seconds since 1970 UTC."""

    name: str
    state: str = "starting"  # starting, waiting (another process is the writer), working, failing
    reason: str | None = None  # why it is failing or waiting, as a sentence
    since: float | None = None  # when that began
    heads: dict[str, str] = field(default_factory=dict)  # log -> last event id, of a sink
    hashes: dict[str, str] = field(default_factory=dict)  # log -> hash of that record
    started: float = field(default_factory=time.time)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    rss: int = 0  # resident memory in bytes
    details: dict[str, Any] = field(default_factory=dict)


def send(client: Client, report: Report) -> None:
    """Stores the report until EXPIRES_AFTER, on a server that is full too. Raises redis errors."""
    report = replace(report, rss=resident_bytes())
    script(client, "report")(keys=[keys.process(report.name)], args=[json.dumps(asdict(report)), EXPIRES_AFTER])


def withdraw(client: Client, name: str) -> None:
    """Removes the report of a process that ends in order."""
    client.delete(keys.process(name))


def read(client: Client, names: tuple[str, ...]) -> dict[str, Report]:
    """The reports of those processes that live."""
    values = client.mget([keys.process(name) for name in names])
    return {name: Report(**json.loads(text(value))) for name, value in zip(names, values, strict=True) if value}


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process of this machine; 0 where the system does not tell (only Linux does, in /proc)."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
