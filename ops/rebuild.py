"""`invitelog rebuild <sink> --from <sink>`: makes one copy anew from another, and puts it in its place at the end."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from consumers.cloud_backup import CloudBackup
from consumers.csv_log import CsvLog
from consumers.holding import held
from consumers.json_log import JsonLog
from consumers.obeying import write
from consumers.sink import Sink
from consumers.sqlite_database import SqliteDatabase
from joins import archives, durable
from joins import settings as settings_module
from joins.cloud import generations
from joins.cloud.bucket import Bucket
from joins.copies import finding
from joins.copies.copy import Copy
from joins.errors import InviteLogError
from joins.form import csv_form, json_form
from joins.keys import SINKS
from joins.log_files import csv_path, database_path, json_path
from joins.records import LOGS, timestamp
from joins.settings import Settings
from joins.tail import empty_head
from ops import embedded

BATCH = 500  # records written at once
_SINKS: dict[str, Callable[[Path], Sink]] = {"json": JsonLog, "csv": CsvLog, "sqlite": SqliteDatabase}


@click.command()
@click.argument("sink", type=click.Choice(SINKS))
@click.option("--from", "source", type=click.Choice(SINKS), required=True, help="The copy that is whole.")
def rebuild(sink: str, source: str) -> None:
    """Make SINK anew from another copy. What SINK holds now is kept aside, never deleted.

    Every record is checked on the way. The processes may go on meanwhile: SINK's consumer waits, the others do not.
    """
    if sink == source:
        raise InviteLogError("a copy cannot be made anew from itself: name another one after --from")
    settings = settings_module.load()
    copies = {log: _copy(settings, source, log) for log in LOGS}
    if all(copy is None for copy in copies.values()):
        raise InviteLogError(f"the {source} copy holds no record yet, so there is nothing to rebuild from")
    with held(settings, sink, settings.redis_url or embedded.url(settings.invite_logs_dir)):
        if sink == "cloud":
            count, kept = _rebuild_cloud(settings, copies)
        else:
            count, kept = _rebuild_files(settings, sink, copies)
    click.echo(f"The {sink} copy was made anew from the {source} copy: {count} records, each checked.")
    for name in kept:
        click.echo(f"What it held before is kept: {name}")


def _copy(settings: Settings, source: str, log: str) -> Copy | None:
    return finding.open_copy(source, log, settings.invite_logs_dir, settings.cloud_url)


def fill(sink: Sink, copies: dict[str, Copy | None]) -> int:
    """Writes all records of the copies into an empty sink, with a progress bar; gives their number.

    Raises ChainBroken or LogDamaged, which name the record, where a copy is not whole; what the sink raises.
    """
    total = sum(copy.count() for copy in copies.values() if copy)
    written = 0
    with click.progressbar(length=total, label="Records", show_pos=True) as bar:
        for log, copy in copies.items():
            records = finding.checked(copy, log, empty_head(log)) if copy else iter(())
            while batch := list(itertools.islice(records, BATCH)):
                write(sink, log, batch)
                written += len(batch)
                bar.update(len(batch))
    return written


def _rebuild_files(settings: Settings, sink: str, copies: dict[str, Copy | None]) -> tuple[int, list[str]]:
    folder = settings.invite_logs_dir
    building = folder / f".rebuild-{sink}"
    with durable.disk_errors(building):
        shutil.rmtree(building, ignore_errors=True)  # what an attempt that was killed has left
        building.mkdir()
    try:
        made = _SINKS[sink](building)
        try:
            count = fill(made, copies)
        finally:
            made.close()
        kept = []
        for path, endings in _files(sink, folder):
            with durable.disk_errors(path):
                if (building / path.name).exists():
                    aside = durable.swap_in(building / path.name, path, "replaced", endings)
                else:
                    aside = durable.move_aside(path, "replaced", ("", *endings)) if path.exists() else None
            kept += [aside.name] if aside else []
        if sink != "sqlite":  # the new files hold all records
            form_of = json_form if sink == "json" else csv_form
            kept += [path.name for log in LOGS for path in archives.put_aside(folder, form_of(log))]
        return count, kept
    finally:
        with suppress(OSError):
            shutil.rmtree(building)


def _files(sink: str, folder: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """The sink's files, and the endings of those that belong to each."""
    if sink == "sqlite":
        return [(database_path(folder), ("-wal", "-shm"))]
    path_of = json_path if sink == "json" else csv_path
    return [(path_of(folder, log), ()) for log in LOGS]


def _rebuild_cloud(settings: Settings, copies: dict[str, Copy | None]) -> tuple[int, list[str]]:
    bucket = Bucket(settings.cloud_url, make=True)
    before = generations.current(bucket)
    prefix, declaration = generations.following(bucket)
    count = fill(CloudBackup(settings.cloud_url, prefix), copies)
    if not generations.declare(bucket, declaration, {"prefix": prefix, "declared_at": timestamp(datetime.now(UTC))}):
        raise InviteLogError(f"{bucket.shown} was rebuilt by another process meanwhile, and that one counts")
    return count, [f"{bucket.shown}/{before}" + " and ".join(f"{log}/" for log in LOGS)]
