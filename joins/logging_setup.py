"""Log lines on standard output: `14:30:45 json WARNING message`. Platforms add the date; secrets never get here."""

from __future__ import annotations

import logging
import sys


def setup(level: str, name: str) -> None:
    """Sends this process's log lines of `level` and above to standard output, under the process's name."""
    logging.basicConfig(
        level=level,
        stream=sys.stdout,
        format=f"%(asctime)s {name} %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
