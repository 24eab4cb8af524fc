"""The fourth copy: object storage, each delivered batch one immutable object named by its position in the log.

Objects are only ever created, never overwritten; as the name is the position, creating it is a compare-and-swap
between two writers. Their format is joins/cloud/segments.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consumers import backup_erasing
from consumers.merging import Merging
from joins.chain import Record
from joins.cloud import generations, merges, segments
from joins.cloud.bucket import Bucket
from joins.erasure import Erasure, Erasures
from joins.errors import HeadMoved, LogDamaged, SinkUnavailable
from joins.json_format import from_line, to_line
from joins.records import LOGS
from joins.scrubbing import needles, scrubbed
from joins.tail import Head, empty_head


@dataclass(frozen=True)
class _End:
    """Where a log ends in the cloud: its head, how many records lie before the next object, and the last object."""

    head: Head
    position: int
    name: str | None = None


class CloudBackup:
    """A bucket, or a folder of one, in S3, GCS, Azure, or on disk."""

    def __init__(self, url: str, prefix: str | None = None) -> None:
        """Opens the store and finds each log's end; `prefix`: of the generation, the one that counts by default.

        Raises SinkUnavailable with the store's own reason, LogDamaged.
        """
        self._bucket = Bucket(url, make=True)
        self._prefix = generations.current(self._bucket) if prefix is None else prefix
        self._ends = {log: self._find_end(log) for log in LOGS}
        self._merging = Merging(self._bucket, self._prefix)

    def head(self, log: str) -> Head:
        """See Sink."""
        return self._ends[log].head

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """See Sink."""
        end = self._ends[log]
        name = segments.object_name(log, end.position, self._prefix)
        data = segments.encode(log, end.position, end.name, end.head[1], batch)
        if end.name is not None and not self._bucket.has(end.name):
            # To go on here would leave a hole that nobody sees before the backup is needed.
            raise HeadMoved(f"{self._bucket.shown}/{end.name} is gone: the backup was emptied or replaced")
        # One that is there was put by another writer, or by this process, which did not hear the answer.
        if not self._bucket.create(name, data) and not segments.same(self._bucket.read(name) or b"", data):
            raise HeadMoved(f"{self._bucket.shown}/{name} was written by something else")
        last = batch[-1]
        self._ends[log] = _End((last["event_id"], last["hash"]), end.position + len(batch), name)

    def erase(self, erasures: Sequence[Erasure], again: bool = False) -> list[str]:
        """See Sink. Objects that hold such names are replaced, those of earlier generations too.

        A bucket that keeps versions, or locks its objects, keeps the old bytes: each such object is told.
        """
        remnants: list[str] = []
        if again:
            return remnants  # nobody puts an old object back over a newer one
        wanted, rule = needles(erasures), Erasures(erasures)
        for name in self._bucket.names():
            log = name.split("/")[-2] if "/" in name else ""
            if log not in LOGS or not name.endswith(segments.SUFFIX):
                continue
            data = self._bucket.read(name)
            new = segments.rewritten(data, lambda line: _without(log, line, wanted, rule)) if data else None  # noqa: B023
            if new is None:
                continue
            kept = self._bucket.kept_versions(name)
            try:
                self._bucket.replace(name, new)
            except SinkUnavailable as error:
                if kept is None:
                    raise
                remnants.append(f"{self._bucket.shown}/{name} could not be replaced ({kept}): {error}")
                continue
            if kept is not None:
                remnants.append(f"{self._bucket.shown}/{name} keeps its old bytes as {kept}")
        return remnants + backup_erasing.erase(self._bucket, erasures)

    def rest(self, go_on: Callable[[], bool]) -> None:
        """Merges small objects, when that is due; called while there is nothing to write. Raises SinkUnavailable."""
        self._merging.look(go_on)

    def close(self) -> None:
        """See Sink. The store keeps nothing open that needs closing."""

    def _find_end(self, log: str) -> _End:
        names, _ = merges.split(self._bucket, log, self._prefix)
        if not names:
            return _End(empty_head(log), 0)
        last = segments.read(self._bucket, names[-1])
        if merges.position_of(names[0]):
            raise self._lacking(segments.object_name(log, 0, self._prefix))
        if last.previous is not None and last.previous not in names and not self._is_merged(last.previous, names):
            raise self._lacking(last.previous)
        return _End(last.head, last.end, names[-1])

    @staticmethod
    def _is_merged(name: str, names: Sequence[str]) -> bool:
        start = merges.position_of(name)
        ranges = (merges.merged_range(one) for one in names)
        return any(found is not None and found.position <= start < found.end for found in ranges)

    def _lacking(self, needed: str) -> LogDamaged:
        return LogDamaged(
            f"{self._bucket.shown}/{needed} is gone, so this backup lacks records, and nothing was added to "
            "it: put the object back, or set CLOUD_BACKUP_URL to a new place to have a new backup made"
        )


def _without(log: str, line: bytes, wanted: Sequence[bytes], rule: Erasures) -> bytes:
    if not any(needle in line for needle in wanted):
        return line
    new = scrubbed(from_line(log, line), rule)
    return line if new is None else to_line(new)
