"""The processes of a machine, and supervisord's configuration of them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from joins.keys import SINKS
from joins.settings import Settings
from ops import embedded

# An end sooner than this after the start, in seconds, counts as a failed start and delays the next. Discord resets the
# token of a bot that identifies 1000 times a day: a producer that crashes every two minutes stays below that.
STEADY_SECONDS = {"producer": 120}
STEADY_OTHERWISE = 10
GRACE_SECONDS = {3: 3, 2: 3, 1: 2}  # by rank, from SIGTERM to SIGKILL: all ranks together stay under ten seconds
FOR_EVER = 1_000_000_000  # supervisord wants a number of tries


@dataclass(frozen=True)
class Program:
    """One process. Lower ranks start first and stop last; those of one rank stop together."""

    name: str
    command: list[str]
    rank: int


def programs(settings: Settings) -> list[Program]:
    """Every process of this machine, in the order of starting. Raises ServerMissing or FolderUnusable."""
    python = sys.executable
    found = [Program("producer", [python, "-m", "producer"], rank=3)]
    found += [Program(sink, [python, "-m", "consumers", sink], rank=2) for sink in SINKS]
    found.append(Program("watch", [python, "-m", "ops", "watch"], rank=3))
    if settings.port is not None:
        found.append(Program("health", [python, "-m", "ops", "health"], rank=3))
    if settings.redis_url is None:
        found.append(Program("redis", embedded.command(settings.invite_logs_dir), rank=1))
    return sorted(found, key=lambda program: program.rank)


def write_configuration(folder: Path, programs: Iterable[Program]) -> Path:
    """Writes supervisord's configuration into `folder` and returns its path."""
    user = ["user=root"] if os.getuid() == 0 else []  # says that running as root is meant: no warning about it
    lines = [
        "[supervisord]", "nodaemon=true", "silent=true", "logfile=/dev/null", "logfile_maxbytes=0",
        "pidfile=%(here)s/supervisord.pid", "minfds=256", "minprocs=1", "nocleanup=true", *user,
    ]  # fmt: skip
    ranks: dict[int, list[str]] = defaultdict(list)
    for program in programs:
        ranks[program.rank].append(program.name)
        lines += [
            f"[program:{program.name}]", f"command={_line(program.command)}",
            "autorestart=true", f"startretries={FOR_EVER}",
            f"startsecs={STEADY_SECONDS.get(program.name, STEADY_OTHERWISE)}",
            "stopsignal=TERM", f"stopwaitsecs={GRACE_SECONDS[program.rank]}", "killasgroup=true",
            "stdout_logfile=NONE", "redirect_stderr=true", "stdout_events_enabled=true",
        ]  # fmt: skip
    for rank, names in ranks.items():
        lines += [f"[group:rank{rank}]", f"programs={','.join(names)}", f"priority={rank}"]
    path = folder / "supervisord.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _line(command: list[str]) -> str:
    """The command as supervisord reads it: `%` doubled, and nothing in it that its parser takes for a comment."""
    # A comment begins at `#` or `;` after a space; within shell quotes, an empty string keeps the two apart.
    return re.sub(r"(?<=\s)(?=[#;])", "''", shlex.join(command).replace("%", "%%"))
