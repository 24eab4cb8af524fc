"""`python -m ops.bench.archiving`: what moving closed months to the archive takes, saves, and costs a reader."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from consumers.json_log import JsonLog
from joins.event_id import ZERO
from joins.form import json_form
from joins.records import CHANGES, JOINS
from joins.whole_log import WholeLog
from ops.bench.verifying import MEGABYTE, fill

YEAR = 365 * 86_400  # seconds over which the joins are spread


@click.command()
@click.option("--joins", default=200_000, show_default=True, help="Joins in the JSON log, spread over a year.")
def bench(joins: int) -> None:
    """Fill a JSON log, read it in the ways that commands do, archive all closed months, and read it again."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        fill(folder, {JOINS: joins, CHANGES: 0}, ("json",), apart=YEAR / joins)
        before, size = _reads(folder), _size(folder)
        log_file = JsonLog(folder)
        began = time.perf_counter()
        months = len(list(iter(lambda: log_file.archive(JOINS, 1), None)))
        spent = time.perf_counter() - began
        log_file.close()
        after, archived = _reads(folder), _size(folder)
    click.echo(f"{joins:,} joins: {size / MEGABYTE:,.0f} MB, then {archived / MEGABYTE:,.0f} MB in {months} archives")
    click.echo(f"archiving took {spent:.1f} s, {joins / spent:,.0f} records a second, each seen to follow")
    for what, seconds in after.items():
        click.echo(f"{what:<34} {seconds * 1000:>10.2f} ms  {seconds / before[what]:>8.1f} x the plain file")


def _reads(folder: Path) -> dict[str, float]:
    """Seconds of each way to read, opening included; the record in question is one of the oldest."""
    form = json_form(JOINS)
    with WholeLog(folder, form) as whole:
        old = next(whole.after(ZERO))

    def timed(read: Callable[[WholeLog], object]) -> float:
        began = time.perf_counter()
        with WholeLog(folder, form) as whole:
            read(whole)
        return time.perf_counter() - began

    reads: dict[str, Callable[[WholeLog], object]] = {
        "the newest record": lambda whole: whole.last(),
        "an old record by its event id": lambda whole: whole.at(old["event_id"]),
        "an old member, without database": lambda whole: list(whole.with_text("user_id", old["user_id"])),
        "every record": lambda whole: sum(1 for _ in whole),
    }
    return {what: min(timed(read) for _ in range(3)) for what, read in reads.items()}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    bench()
