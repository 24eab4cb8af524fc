"""`invitelog backup now|list|check`: the backups in the cloud, and whether one of them can be restored."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from consumers import backing_up
from consumers.unpacking import unpack
from joins import durable
from joins import settings as settings_module
from joins.cloud import backups
from joins.cloud.backups import Backup
from joins.cloud.bucket import Bucket
from joins.errors import InviteLogError, LogDamaged
from joins.settings import Settings
from ops.verifying.finding import NOTE
from ops.verifying.verification import Verification

_SINKS = {"invite_joins.json": "json", "invite_changes.json": "json", "invite_joins.csv": "csv",
          "invite_changes.csv": "csv", "invites.db": "sqlite"}  # fmt: skip


@click.group()
def backup() -> None:
    """The daily backups in the cloud. The cloud consumer makes one a day by itself."""


@backup.command()
def now() -> None:
    """Make one now, beside the daily one."""
    settings = settings_module.load()
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    bucket = Bucket(settings.cloud_url, make=True)
    if bucket.has(backups.manifest(name)):
        raise InviteLogError(f"the backup {name} was made within this second: there is no need of another")
    made = backing_up.make(settings, bucket, name)
    if made is None:
        raise InviteLogError(f"there is nothing to back up in {settings.invite_logs_dir} yet")
    click.echo(_line(made))


@backup.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a program.")
def list_all(as_json: bool) -> None:
    """List them, the oldest first."""
    bucket = Bucket(settings_module.load().cloud_url)
    found = []
    for name in backups.names(bucket):
        try:
            if (one := backups.read(bucket, name)) is not None:
                found.append(one)
        except LogDamaged as error:
            click.echo(f"invitelog: {error}", err=True)
    if as_json:
        click.echo(json.dumps([json.loads(backups.encoded(one)) for one in found]))
    else:
        click.echo("\n".join(map(_line, found)) or f"There is no backup in {bucket.shown} yet.")


@backup.command()
@click.argument("name", required=False)
def check(name: str | None) -> None:
    """Download a backup, the newest by default, and prove that it can be restored. Exit status 1 when it cannot."""
    settings = settings_module.load()
    bucket = Bucket(settings.cloud_url)
    chosen = find(bucket, name)
    working = durable.make_folder(settings.invite_logs_dir)
    with durable.disk_errors(working), tempfile.TemporaryDirectory(prefix=".check-", dir=working) as folder:
        wrong = faults(bucket, chosen, Path(folder))
    for sentence in wrong:
        click.echo(f"FAILED  {sentence}")
    click.echo(f"{_line(chosen)}: {'it can NOT be restored as it is' if wrong else 'it can be restored'}.")
    sys.exit(1 if wrong else 0)


def find(bucket: Bucket, name: str | None) -> Backup:
    """The backup of that name; else the newest whose name begins so, as all of a day do; else of all.

    Raises InviteLogError when there is none.
    """
    names = [one for one in backups.names(bucket) if name is None or one.startswith(name)]
    chosen = name if name in names else names[-1] if names else None
    found = backups.read(bucket, chosen) if chosen is not None else None
    if found is None:
        raise InviteLogError(
            f"there is no backup{f' {name}' if name else ''} in {bucket.shown}: `invitelog backup list` shows them"
        )
    return found


def faults(bucket: Bucket, chosen: Backup, folder: Path) -> list[str]:
    """Unpacks a backup into an empty folder and verifies all of it; what is wrong with it, as sentences."""
    total = sum(file.bytes for file in chosen.files)
    try:
        with click.progressbar(length=total, label="Unpacking", file=sys.stderr) as bar:
            unpack(bucket, chosen, folder, bar.update)
    except LogDamaged as error:
        return [str(error)]
    sinks = sorted({_SINKS[file.name] for file in chosen.files})
    verdict = Verification(Settings(invite_logs_dir=folder), sinks=sinks).run()
    wrong = [finding.sentence for finding in verdict.findings if finding.kind != NOTE]
    for file in chosen.files:
        for log, head in file.heads.items():
            held = verdict.copies.get(_SINKS[file.name], {}).get(log)
            if held is not None and held["sound"] and [held["event_id"], held["hash"], held["records"]] != head:
                wrong.append(f"{file.name} does not end where the manifest says: it was altered")
    return wrong


def _line(one: Backup) -> str:
    records = max((head[2] for file in one.files for log, head in file.heads.items() if log == "joins"), default=0)
    return f"{one.name}  {records} joins, {len(one.files)} files, {one.bytes / 1e6:.1f} MB"
