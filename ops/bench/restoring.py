"""`python -m ops.bench.restoring`: time and memory of `invitelog restore` next to plainly reading the same objects."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from joins.records import CHANGES, JOINS
from ops.bench.verifying import MEGABYTE, READ, cost, fill

_RESTORE = """
import ops.__main__
ops.__main__.main(["restore", "--into", str(Path(os.environ["INVITE_LOGS_DIR"]) / "restored")])
"""


@click.command()
@click.option("--joins", default=1_000_000, show_default=True, help="Joins in the cloud copy; a tenth as many changes.")
def bench(joins: int) -> None:
    """Fill a cloud copy in a folder, read its bytes, then restore logs and database from it, each by itself."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        fill(folder, {JOINS: joins, CHANGES: joins // 10}, ("cloud",))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        plain = cost(READ, folder)
        ours = cost(_RESTORE, folder)
        made = sum(path.stat().st_size for path in (folder / "restored").iterdir())
    click.echo(f"{joins:,} joins and {joins // 10:,} changes: {size / MEGABYTE:,.0f} MB of objects")
    click.echo(f"read all bytes {plain.seconds:>8.2f} s {plain.memory / MEGABYTE:>6.0f} MB of memory")
    click.echo(
        f"restore        {ours.seconds:>8.2f} s {ours.memory / MEGABYTE:>6.0f} MB, into {made / MEGABYTE:,.0f} MB"
    )
    records = joins + joins // 10
    click.echo(f"{records / ours.seconds:,.0f} records a second into three copies, each verified")


if __name__ == "__main__":
    bench()
