"""Log lines on standard output: `14:30:45 WARNING message`. Supervisor or platform add the process's name."""

from __future__ import annotations

import logging
import sys


def setup(level: str) -> None:
    """Sends this process's log lines of `level` and above to standard output. Secrets never get into one."""
    logging.basicConfig(
        level=level,
        stream=sys.stdout,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
