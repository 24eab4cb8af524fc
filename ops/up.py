"""`invitelog up`: checks what it can, then becomes the supervisor of every process."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import click

from joins import settings as settings_module
from joins.errors import FolderUnusable
from joins.redis_url import shown
from joins.settings import Settings
from ops import embedded, preflight
from ops.programs import programs, write_configuration

LEFTOVER_SECONDS = 5.0  # how long the server of an `up` that was killed may take to end


@click.command()
def up() -> None:
    """Run every process on this machine, each restarted on its own, until Ctrl-C or SIGTERM.

    The producer and the four consumers, a server of its own where REDIS_URL is unset, and /healthz where PORT is set.
    """
    settings = settings_module.load()
    for warning in preflight.check(settings):
        click.echo(f"invitelog: warning: {warning}", err=True)
    run = settings.invite_logs_dir.absolute() / "run"
    _lock(run)
    environment = {"PYTHONUNBUFFERED": "1"}
    if settings.redis_url is None:
        _await_leftover(settings)
        environment["REDIS_URL"] = embedded.url(settings.invite_logs_dir)
    configuration = write_configuration(run, programs(settings))
    click.echo(places(settings, environment.get("REDIS_URL", settings.redis_url or "")))
    sys.stdout.flush()
    os.execve(
        sys.executable, [sys.executable, "-m", "ops.supervision", str(configuration)], {**os.environ, **environment}
    )


def places(settings: Settings, url: str) -> str:
    """One line: where the logs are, how to watch, and whether there is a backup."""
    health = f"; health at http://0.0.0.0:{settings.port}/healthz" if settings.port else ""
    backup = (
        ""
        if settings.cloud_url.partition("://")[0] != "file"
        else ("; the cloud copy is a folder on this machine, which is no backup: set CLOUD_BACKUP_URL")
    )
    return (
        f"up       | logs in {settings.invite_logs_dir.absolute()}; backlogs with `rq info -u {shown(url)}` "
        f"or `invitelog status`{health}{backup}"
    )


def _lock(run: Path) -> None:
    """Holds the folder for this process and what it becomes. Raises FolderUnusable when another `up` holds it."""
    try:
        run.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderUnusable(
            f"{run} cannot be used ({error.strerror}): free some space, or correct its owner."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode().strip()
        os.close(descriptor)
        raise FolderUnusable(
            f"another `invitelog up` (process {holder}) already runs on {run.parent}: stop that one first, "
            "or set INVITE_LOGS_DIR to another folder."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    os.set_inheritable(descriptor, True)


def _await_leftover(settings: Settings) -> None:
    """Two servers on one folder would damage its data: one left by an `up` that was killed must be gone first."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while embedded.answers(settings.invite_logs_dir):
        if time.monotonic() > deadline:
            raise FolderUnusable(
                f"a server of an earlier run still listens on {embedded.socket_path(settings.invite_logs_dir)}: "
                f"stop it with `redis-cli -s {embedded.socket_path(settings.invite_logs_dir)} shutdown`."
            )
        time.sleep(0.1)
