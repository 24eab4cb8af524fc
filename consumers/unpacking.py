"""Taking a backup out of the cloud again, each file held against its size and SHA-256 on the way."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

from consumers.backing_up import pieces
from joins import durable
from joins.cloud.backups import Backup
from joins.cloud.bucket import Bucket
from joins.errors import LogDamaged


def unpack(bucket: Bucket, backup: Backup, folder: Path, step: Callable[[int], object] = lambda _: None) -> None:
    """Puts the backup's files into a folder; `step` is told of the bytes written.

    Raises SinkUnavailable, and LogDamaged where a file is not what the manifest says.
    """
    for file in backup.files:
        where = f"{bucket.shown}/{file.object}"
        packed, target = folder / f"{file.name}.gz", folder / file.name
        digest, size = hashlib.sha256(), 0
        with durable.disk_errors(target):
            with packed.open("wb") as received:
                bucket.download(file.object, received)
            try:
                with gzip.open(packed) as content, target.open("wb") as written:
                    for piece in pieces(content.read):
                        written.write(piece)
                        digest.update(piece)
                        size += len(piece)
                        step(len(piece))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise LogDamaged(f"{where} is damaged: {error}") from error
            packed.unlink()
        if (size, digest.hexdigest()) != (file.bytes, file.sha256):
            raise LogDamaged(f"{where} is not what the backup's manifest says: it was altered, or is damaged")
