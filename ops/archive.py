"""`invitelog archive now|list`: the closed months of the log files, compressed."""

from __future__ import annotations

import json
from pathlib import Path

import click

from consumers.csv_log import CsvLog
from consumers.file_log import FileLog
from consumers.holding import held
from consumers.json_log import JsonLog
from joins import archives, durable
from joins import settings as settings_module
from joins.archive import Archive
from joins.errors import SettingsError
from joins.form import Form, csv_form, json_form
from joins.records import LOGS
from ops import embedded

_LOGS: dict[str, type[JsonLog] | type[CsvLog]] = {"json": JsonLog, "csv": CsvLog}


@click.group()
def archive() -> None:
    """The closed months of the log files. The json and csv consumers archive them by themselves.

    What is archived is read as before by every command, of the bot and of this program, and `zcat` reads it too.
    """


@archive.command()
@click.option(
    "--after", type=click.IntRange(1), help="Archive months that ended so many months before; ARCHIVE_AFTER_MONTHS."
)
def now(after: int | None) -> None:
    """Archive the months that are due now. The processes may go on meanwhile: they wait for it."""
    settings = settings_module.load()
    months = after or settings.archive_after_months
    if not months:
        raise SettingsError("ARCHIVE_AFTER_MONTHS is 0, so no month is due: say --after 3, for instance")
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    told = False
    for sink, open_log in _LOGS.items():
        with held(settings, sink, url):
            log_file = open_log(settings.invite_logs_dir)
            try:
                for name in _archived(log_file, settings.invite_logs_dir, sink, months):
                    click.echo(f"archived: {name}")
                    told = True
            finally:
                log_file.close()
    if not told:
        click.echo(f"Nothing is due: every month that ended {months} months before the newest record is archived.")


@archive.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a program.")
def list_all(as_json: bool) -> None:
    """List the archives, by log, the oldest first."""
    folder = settings_module.load().invite_logs_dir
    found = [_told(path, form) for form in _forms() for path in _paths(folder, form)]
    if as_json:
        click.echo(json.dumps(found))
        return
    for one in found:
        click.echo(
            f"{one['file']}  {one['records']} records  {one['bytes']:,} bytes  "
            f"{one['after']} < ids <= {one['last']}  hash {str(one['hash'])[:12]}"
        )
    if not found:
        click.echo(f"There is no archive in {folder / archives.FOLDER} yet.")


def _archived(log_file: FileLog, folder: Path, sink: str, months: int) -> list[str]:
    found = []
    for log in LOGS:
        while (month := log_file.archive(log, months)) is not None:
            found.append(archives.path_of(folder, json_form(log) if sink == "json" else csv_form(log), month).name)
    return found


def _forms() -> list[Form]:
    return [form_of(log) for log in LOGS for form_of in (json_form, csv_form)]


def _paths(folder: Path, form: Form) -> list[Path]:
    with durable.disk_errors(folder / archives.FOLDER):
        return archives.paths(folder, form)


def _told(path: Path, form: Form) -> dict[str, str | int]:
    with durable.disk_errors(path):
        one = Archive(path, form)
    try:
        index = one.index
        return {
            "file": path.name, "log": form.log, "form": form.sink, "month": index.month, "records": index.records,
            "bytes": one.size, "after": index.before[0], "last": index.head[0], "hash": index.head[1],
        }  # fmt: skip
    finally:
        one.close()
