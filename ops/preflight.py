"""What `invitelog up` makes sure of before it starts anything: each fault is one sentence with its remedy."""

from __future__ import annotations

import os
import shlex
import socket
import tempfile
from pathlib import Path

from joins.errors import DiscordUnreachable, FolderUnusable, ForeignLog, SettingsError
from joins.redis_url import check_server, connect
from joins.settings import Settings
from ops import discord_rest, embedded, foreign_log


def check(settings: Settings) -> list[str]:
    """Raises the first fault that makes a start pointless; returns the warnings about what may yet come right."""
    _ = settings.token
    check_cloud(settings)
    check_folder(settings.invite_logs_dir)
    check_logs(settings.invite_logs_dir)
    check_redis(settings)
    check_port(settings)
    try:
        discord_rest.ask(settings, "/users/@me")
    except DiscordUnreachable as error:
        return [f"{error} The producer keeps trying."]
    return []


def check_cloud(settings: Settings) -> None:
    """Raises SettingsError where the disk vanishes at each restart (a Heroku dyno) and nothing lies elsewhere."""
    if "DYNO" in os.environ and settings.cloud_url.startswith("file:"):
        raise SettingsError(
            "CLOUD_BACKUP_URL must name object storage here (s3://, gs:// or az://): a dyno loses its disk at every "
            "restart, and with it all four copies."
        )


def check_folder(logs_dir: Path) -> None:
    """Raises FolderUnusable unless a file can be written in the log folder, which is made if need be."""
    try:
        logs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=logs_dir):
            pass
    except OSError as error:
        denied = isinstance(error, PermissionError)
        remedy = f"run `chown -R {os.getuid()} {logs_dir.absolute()}` as its owner or root, or " if denied else ""
        raise FolderUnusable(
            f"the log folder {logs_dir.absolute()} cannot be written by user {os.getuid()} "
            f"({error.strerror}{_owner(logs_dir)}): {remedy}set INVITE_LOGS_DIR to a folder that can be written."
        ) from error


def _owner(path: Path) -> str:
    try:
        return f"; it belongs to user {path.stat().st_uid}"
    except OSError:
        return ""


def check_logs(logs_dir: Path) -> None:
    """Raises ForeignLog when a joins log at our path was plainly written by another program.

    Only the head of each file is read. What is merely torn or damaged is its sink's to judge.
    """
    for path in foreign_log.places(logs_dir):
        try:
            foreign = foreign_log.is_foreign(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise FolderUnusable(f"{path} cannot be read ({error.strerror}): correct its owner.") from error
        if foreign:
            raise ForeignLog(
                f"{path} was written by another program (its records carry no hash) and is left as it is: run "
                f"`invitelog adopt {shlex.quote(str(path))}`, which sets the file aside and takes its records over as "
                "history; or move the file away, or set INVITE_LOGS_DIR to another folder."
            )


def check_port(settings: Settings) -> None:
    """Raises SettingsError when PORT is taken already."""
    if settings.port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", settings.port))
        except OSError as error:
            raise SettingsError(
                f"PORT {settings.port} cannot be listened on ({error.strerror}): choose another."
            ) from error


def check_redis(settings: Settings) -> str:
    """The server's name and version, or that one will be embedded. Raises a StartupError."""
    if settings.redis_url is None:
        return f"embedded, {embedded.find().name}"
    client = connect(settings, connections=1)
    try:
        return check_server(client, settings.redis_url)
    finally:
        client.close()
