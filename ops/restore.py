"""`invitelog restore`: logs and database out of the cloud, proven before they take their place."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from consumers.csv_log import CsvLog
from consumers.holding import held
from consumers.json_log import JsonLog
from consumers.obeying import write
from consumers.sink import Sink
from consumers.sqlite_database import SqliteDatabase
from joins import archives, durable, event_id
from joins import settings as settings_module
from joins.chain import Record
from joins.cloud import anchors
from joins.cloud.bucket import Bucket
from joins.copies import finding
from joins.copies.copy import Copy
from joins.erasure import Erasure, erasure_of
from joins.errors import InviteLogError, SettingsError
from joins.event_id import ZERO
from joins.form import csv_form, json_form
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, LOGS
from joins.settings import Settings
from joins.tail import empty_head
from ops import embedded
from ops.backup import faults, find
from ops.verifying import progress
from ops.verifying.finding import NOTE
from ops.verifying.verification import Verification

BATCH = 500  # records written at once
_ON_DISK = ("json", "csv", "sqlite")
_BUILDING = ".restore"


@click.command()
@click.option("--into", type=click.Path(path_type=Path), help="Another folder than INVITE_LOGS_DIR.")
@click.option("--until", metavar="TIME", help="As of this moment, UTC, such as 2026-11-26T14:30; needs --into.")
@click.option("--from-backup", "backup", metavar="NAME", help="Of this backup, as `invitelog backup list` has it.")
def restore(into: Path | None, until: str | None, backup: str | None) -> None:
    """Bring the logs and the database back from CLOUD_BACKUP_URL.

    Every record is checked, then the files take their place, one by one; run it again if it was interrupted. Newer data
    is never replaced, older data is kept aside. The pipeline then goes on where the restored copies end.
    """
    settings = settings_module.load()
    folder = into or settings.invite_logs_dir
    if until is not None and (into is None or into.absolute() == settings.invite_logs_dir.absolute()):
        raise SettingsError(
            "--until needs --into with another folder: in its own folder the pipeline would bring the copies up to "
            "date again at once"
        )
    if until is not None and backup is not None:
        raise SettingsError("--until and --from-backup exclude each other: a backup is restored as it was made")
    moment = _moment(until) if until is not None else None
    bucket = Bucket(settings.cloud_url)
    building = durable.make_folder(folder) / _BUILDING
    with ExitStack() as stack:
        if into is None:
            for sink in _ON_DISK:
                stack.enter_context(held(settings, sink, settings.redis_url or embedded.url(settings.invite_logs_dir)))
        with durable.disk_errors(building):
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
        try:
            if backup is not None:
                count, source = _unpacked(bucket, backup, building)
            else:
                count, source = _filled(settings, building, moment), bucket.shown
                _prove(building, _orders(settings), count)
            lacking = _lacking(bucket, building) if moment is None and backup is None else []
            kept = _put_in_place(building, folder)
        finally:
            with suppress(OSError):
                shutil.rmtree(building)
    click.echo(f"{count} records were restored into {folder}, each checked.")
    click.echo(f"They come from {source}.")
    for sentence in lacking:
        click.echo(f"BEWARE: {sentence}")
    for name in kept:
        click.echo(f"What was there before is kept: {name}")


def _filled(settings: Settings, building: Path, moment: int | None) -> int:
    """Builds the three copies from the records' objects; gives the number of records."""
    copies = {log: finding.open_copy("cloud", log, settings.invite_logs_dir, settings.cloud_url) for log in LOGS}
    if all(copy is None for copy in copies.values()):
        raise InviteLogError("the cloud backup holds no record, so there is nothing to restore")
    total = sum(copy.count() for copy in copies.values() if copy)
    sinks: list[Sink] = [JsonLog(building), CsvLog(building), SqliteDatabase(building)]
    count = 0
    try:
        with click.progressbar(length=total, label="Restoring", show_pos=True, file=sys.stderr) as bar:
            # The changes first: what they order to be erased is not written at all then.
            for log in sorted(LOGS):
                for batch in _batches(copies[log], log, moment):
                    for sink in sinks:
                        write(sink, log, batch)
                    count += len(batch)
                    bar.update(len(batch))
    finally:
        for sink in sinks:
            sink.close()
    return count


def _batches(copy: Copy | None, log: str, moment: int | None) -> Iterator[list[Record]]:
    records: Iterator[Record] = finding.checked(copy, log, empty_head(log)) if copy is not None else iter(())
    if moment is not None:
        records = itertools.takewhile(lambda record: event_id.milliseconds(record["event_id"]) <= moment, records)
    return iter(lambda: list(itertools.islice(records, BATCH)), [])


def _prove(building: Path, ordered: list[Erasure], count: int) -> None:
    checked = Verification(Settings(invite_logs_dir=building), sinks=_ON_DISK, ordered=ordered)
    verdict = progress.run(checked, "Verifying", lambda: count * len(_ON_DISK))
    wrong = [finding for finding in verdict.findings if finding.kind != NOTE]
    if wrong:
        raise InviteLogError(f"what was restored does not verify ({wrong[0].sentence}): nothing was put in place")


def _orders(settings: Settings) -> list[Erasure]:
    """All erasures in the cloud: names may be gone by one that is later than the moment asked for."""
    copy = finding.open_copy("cloud", CHANGES, settings.invite_logs_dir, settings.cloud_url)
    records = copy.after(ZERO) if copy is not None else iter(())
    return [one for record in records if (one := erasure_of(record)) is not None]


def _lacking(bucket: Bucket, building: Path) -> list[str]:
    """Which records an anchor witnesses that the cloud does not hold any more, as a sentence for each log."""
    copies = {log: finding.open_copy("sqlite", log, building, "file:///nowhere") for log in LOGS}
    heads = {log: copy.head[0] if copy is not None else ZERO for log, copy in copies.items()}
    beyond = [one for one in anchors.read(bucket)[0] if event_id.is_above(one.event_id, heads[one.log])]
    found = {one.log: one for one in sorted(beyond, key=lambda one: event_id.parse(one.event_id))}
    return [
        f"the {log} log reached at least to record {anchor.event_id}, as {anchor.origin} witnesses, but the cloud "
        "holds it no further than what was restored: objects were removed there. Look for another copy or a backup"
        for log, anchor in sorted(found.items())
    ]


def _unpacked(bucket: Bucket, name: str, building: Path) -> tuple[int, str]:
    chosen = find(bucket, name)
    if wrong := faults(bucket, chosen, building):
        raise InviteLogError(f"the backup {chosen.name} is not sound ({wrong[0]}): nothing was put in place")
    count = sum(max(int(file.heads.get(log, [0, 0, 0])[2]) for file in chosen.files) for log in LOGS)
    return count, f"the backup {chosen.name} in {bucket.shown}"


def _put_in_place(building: Path, folder: Path) -> list[str]:
    """Moves the files, once none of them would replace newer data; gives the names of those kept aside."""
    for log in LOGS:
        for sink in _ON_DISK:
            new, old = (finding.open_copy(sink, log, place, "file:///nowhere") for place in (building, folder))
            if old is not None and (new is None or event_id.is_above(old.head[0], new.head[0])):
                raise InviteLogError(
                    f"the {sink} copy in {folder} reaches further than what was restored (record {old.head[0]}), and "
                    "is left as it is: move it away first, or restore --into another folder"
                )
    kept = []
    for path in [path_of(folder, log) for log in LOGS for path_of in (json_path, csv_path)]:
        kept += _move(building / path.name, path, ())
    # The files hold all records now.
    for form in [form_of(log) for log in LOGS for form_of in (json_form, csv_form)]:
        kept += [aside.name for aside in archives.put_aside(folder, form)]
    return kept + _move(building / database_path(folder).name, database_path(folder), ("-wal", "-shm"))


def _move(new: Path, path: Path, endings: tuple[str, ...]) -> list[str]:
    if not new.exists():
        return []
    with durable.disk_errors(path):
        aside = durable.swap_in(new, path, "replaced", endings)
    return [aside.name] if aside else []


def _moment(text: str) -> int:
    """Milliseconds since 1970 UTC, the whole minute or second that was given included."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is no time: write it as 2026-11-26T14:30:00, in UTC") from error
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
