"""A verification's progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from ops.verifying.finding import Verdict
from ops.verifying.verification import Verification

STEP = 1000  # records between two moves of the bar


def run(checked: Verification, label: str, expected: Callable[[], int]) -> Verdict:
    """Verifies, with a bar on standard error where that is a terminal; `expected` gives about how many records."""
    if not sys.stderr.isatty():
        return checked.run()
    with click.progressbar(length=expected(), label=label, file=sys.stderr) as bar:
        counted = 0

        def step() -> None:
            nonlocal counted
            counted += 1
            if counted % STEP == 0:
                bar.update(STEP)

        verdict = checked.run(step)
        bar.update(counted % STEP)
    return verdict
