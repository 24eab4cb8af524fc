"""Files that survive a crash: atomic replacement, locks that die with their holder, and disk errors as sentences."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from joins.errors import FolderUnusable, SinkUnavailable

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EFBIG: "the file has reached the largest size allowed here; raise the limit (ulimit -f)",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; remount it for writing",
    errno.EACCES: "permission is denied; give this user write access",
    errno.EPERM: "permission is denied; give this user write access",
    errno.EEXIST: "there is a file in its place; move it away",
    errno.ENOTDIR: "there is a file in the place of a folder; move it away",
    errno.EISDIR: "there is a folder in its place; move it away",
    errno.ESPIPE: "there is a pipe or a device in its place; move it away",
    errno.ENOLINK: "it is a link to a file that is not there; mount what it leads to, or remove the link",
    errno.EIO: "the disk reports an error; check it",
}

FileIdentity = tuple[int, int, int]  # device, inode, size in bytes


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns an OSError on `path` into SinkUnavailable with its remedy; all of them are worth another try."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise SinkUnavailable(f"{path} cannot be used: {remedy}") from error


def make_folder(folder: Path) -> Path:
    """The folder, made if need be and seen to be writable. Raises FolderUnusable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise FolderUnusable(
            f"the log folder {folder.absolute()} cannot be written: {remedy} (this process is user {os.getuid()}), "
            "or set INVITE_LOGS_DIR to another folder."
        ) from error
    return folder


def is_there(path: Path) -> bool:
    """Whether anything has that name, be it a link that leads nowhere. Raises OSError where that cannot be seen."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def open_file(path: Path, flags: int) -> int:
    """A descriptor of the file at `path`. Raises OSError, at once too for a pipe, in whose `open` one would wait."""
    if path.is_symlink() and not path.exists():
        raise OSError(errno.ENOLINK, os.strerror(errno.ENOLINK), str(path))
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ESPIPE
        raise OSError(number, os.strerror(number), str(path))
    return os.open(path, flags | os.O_CLOEXEC)


def sync_file(path: Path) -> None:
    """Makes what was written to a file durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Makes a new or renamed name in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all of `data` at `offset`, however many calls it takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def replace(path: Path, data: bytes) -> None:
    """Puts `data` at `path`, so that after a crash the old or the new content is there, whole."""
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` at the end: whole, or, after an error, not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def set_aside(path: Path, data: bytes, why: str) -> Path:
    """Keeps bytes that are about to be cut from `path`, in a file beside it named for the reason and the time."""
    aside = aside_name(path, why)
    replace(aside, data)
    return aside


def move_aside(path: Path, why: str, endings: Sequence[str] = ("",)) -> Path:
    """Renames a file, and those beside it with the given endings, to names that tell the reason and the time.

    The file itself goes last, so that a crash in between leaves it to be moved again.
    """
    aside = aside_name(path, why)
    for ending in sorted(endings, reverse=True):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def swap_in(new: Path, path: Path, why: str, endings: Sequence[str] = ()) -> Path | None:
    """Puts the file `new` in the place of `path`, and keeps the old one aside; gives the name that it has then.

    There is no moment without a file at `path`. Files beside the old one with the given endings go aside with it.
    """
    aside = aside_name(path, why) if path.exists() else None
    if aside is not None:
        try:
            os.link(path, aside)
        except OSError:  # a file system without links
            shutil.copy2(path, aside)
        for ending in endings:
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
        sync_folder(path.parent)
    new.replace(path)
    sync_folder(path.parent)
    return aside


def aside_name(path: Path, why: str) -> Path:
    """A name beside `path` that tells the reason and the time."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return path.with_name(f"{path.name}.{why}-{stamp}")


def identity(path: Path) -> FileIdentity | None:
    """Which file is at `path` and how long it is; None when there is none that can be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size


class FolderLock:
    """An exclusive lock on a name within a folder. The kernel drops it when its holder dies, however it dies."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f".{name}.lock"
        self._descriptor: int | None = None

    @property
    def taken(self) -> bool:
        """Whether some process holds the lock, this object included."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def acquire(self) -> bool:
        """Whether this process now holds the lock. Never waits."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock up, if held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def file_lock(descriptor: int, exclusive: bool) -> Iterator[None]:
    """Holds the advisory lock on an open file: shared for a look at its tail, exclusive for a write."""
    fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def readers_away(descriptor: int, seconds: float) -> Iterator[None]:
    """Keeps other programs from opening the file meanwhile, once those that have it open are done or `seconds` passed.

    They wait in `open` and notice nothing. Only the one writable descriptor of the file may be open here. Where the
    system has no leases (other than Linux, network file systems), or a reader stays, the caller goes on without.
    https://man7.org/linux/man-pages/man2/F_SETLEASE.2const.html
    """
    held = _take_lease(descriptor, seconds)
    try:
        yield
    finally:
        if held:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _take_lease(descriptor: int, seconds: float) -> bool:
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    until = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        # The holder is told of who waits by a signal: one that is ignored by default, SIGIO would end the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        while True:
            try:
                fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                return True
            except BlockingIOError:
                if time.monotonic() >= until:
                    return False
                os.sched_yield()  # no longer pause: a reader's next turn comes at once
    return False


def folder_id(folder: Path) -> str:
    """A random id kept in the folder: two processes with the same one share its locks, wherever they run.

    Those that start at once in a new folder agree: the first makes it, under the file's lock.
    """
    path = folder / ".folder-id"
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with file_lock(descriptor, exclusive=True):
                found = os.pread(descriptor, 64, 0).strip()
                if not found:
                    found = uuid4().hex.encode()
                    os.pwrite(descriptor, found, 0)
                    os.fsync(descriptor)
                    sync_folder(folder)
        finally:
            os.close(descriptor)
    return found.decode(errors="replace")
