"""The fourth copy: object storage, each delivered batch one immutable object named by its position in the log.

    joins/000000000000.jsonl.gz    records 0 to 41
    joins/000000000042.jsonl.gz    records 42 to …

The first line of an object is its header: what it holds, and the hash it continues. Objects are only ever created,
never overwritten; as the name is the position, creating it is a compare-and-swap between two writers.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from joins import durable
from joins.chain import Record, canonical
from joins.errors import HeadMoved, LogDamaged, SinkUnavailable
from joins.json_format import to_line
from joins.records import LOGS
from joins.tail import Head, empty_head

if TYPE_CHECKING:  # obstore has these names for type checkers alone
    from obstore.store import ClientConfig, RetryConfig

_SUFFIX = ".jsonl.gz"
_CLIENT: ClientConfig = {"timeout": "30s", "connect_timeout": "5s", "allow_http": True}
_RETRY: RetryConfig = {"max_retries": 2}


@dataclass(frozen=True)
class _End:
    """Where a log ends in the cloud: its head, how many records lie before the next object, and the last object."""

    head: Head
    position: int
    name: str | None = None


class CloudBackup:
    """A bucket, or a folder of one, in S3, GCS, Azure, or on disk."""

    def __init__(self, url: str) -> None:
        """Opens the store and finds each log's end. Raises SinkUnavailable with the store's own reason."""
        self._shown = _without_login(url)
        try:
            self._folder = _folder(url)
            self._store = _open(url, self._folder)
            self._ends = {log: self._find_end(log) for log in LOGS}
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def head(self, log: str) -> Head:
        """See Sink."""
        return self._ends[log].head

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """See Sink."""
        end = self._ends[log]
        name, data = _name(log, end.position), _encode(log, end, batch)
        try:
            if end.name is not None:
                obstore.head(self._store, end.name)
        except (NotFoundError, FileNotFoundError) as error:
            # To go on here would leave a hole that nobody sees before the backup is needed.
            raise HeadMoved(f"{self._shown}/{end.name} is gone: the backup was emptied or replaced") from error
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        try:
            obstore.put(self._store, name, data, mode="create")
            self._sync(name)
        except AlreadyExistsError as error:
            # Another writer was here, or this process did not hear the answer to its own write.
            if self._read(name) != data:
                raise HeadMoved(f"{self._shown}/{name} was written by something else") from error
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        last = batch[-1]
        self._ends[log] = _End((last["event_id"], last["hash"]), end.position + len(batch), name)

    def close(self) -> None:
        """See Sink. The store keeps nothing open that needs closing."""

    def _sync(self, name: str) -> None:
        """Makes an object in a folder durable, which the store itself leaves to the operating system."""
        if self._folder is not None:
            with (self._folder / name).open("rb") as file:
                os.fsync(file.fileno())
            durable.sync_folder((self._folder / name).parent)
            durable.sync_folder(self._folder)

    def _find_end(self, log: str) -> _End:
        listed = [entry["path"] for page in obstore.list(self._store, prefix=f"{log}/") for entry in page]
        names = {name for name in listed if name.endswith(_SUFFIX)}
        if not names:
            return _End(empty_head(log), 0)
        last = max(names)
        end, previous = _end_after(f"{self._shown}/{last}", self._read(last))
        for needed in (_name(log, 0), previous):
            if needed is not None and needed not in names:
                raise LogDamaged(
                    f"{self._shown}/{needed} is gone, so this backup lacks records, and nothing was added to it: "
                    "put the object back, or set CLOUD_BACKUP_URL to a new place to have a new backup made"
                )
        return replace(end, name=last)

    def _read(self, name: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> SinkUnavailable:
        reason = " ".join(str(error).partition("Debug source")[0].split())[:300]
        if isinstance(error, NotFoundError) or "NoSuchBucket" in reason:
            reason = f"there is no such bucket or folder ({reason})"
        return SinkUnavailable(f"the cloud backup {self._shown} cannot be used: {reason}")


def _folder(url: str) -> Path | None:
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None


def _open(url: str, folder: Path | None) -> ObjectStore:
    if folder is not None:
        return LocalStore(folder, mkdir=True)
    return from_url(url, client_options=_CLIENT, retry_config=_RETRY)


def _name(log: str, position: int) -> str:
    return f"{log}/{position:012d}{_SUFFIX}"


def _encode(log: str, end: _End, batch: Sequence[Record]) -> bytes:
    """The object's bytes: the same for the same batch at the same place, so that a repeated upload is recognised."""
    header = {
        "log": log,
        "position": end.position,
        "records": len(batch),
        "first": batch[0]["event_id"],
        "last": batch[-1]["event_id"],
        "previous": end.name,
        "previous_hash": end.head[1],
        "hash": batch[-1]["hash"],
    }
    lines = [canonical(header), *(to_line(record) for record in batch)]
    return gzip.compress(b"\n".join(lines) + b"\n", mtime=0)


def _end_after(name: str, data: bytes) -> tuple[_End, str | None]:
    """Where a log goes on after an object, and the object before that one."""
    try:
        header = json.loads(gzip.decompress(data).partition(b"\n")[0])
        position = int(header["position"]) + int(header["records"])
        return _End((str(header["last"]), str(header["hash"])), position), header["previous"]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LogDamaged(f"{name} is no object of this program ({error}); it is left as it is") from error


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
