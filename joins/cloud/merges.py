"""Many small objects of a log merged into few: which objects count, and how a merge comes to count.

    joins/000000000000-000000010000.jsonl.gz         the merge: records 0 to 9,999, in the format of any object
    merges/joins/000000000000-000000010000.json      its manifest: made after it, only ever created

From the moment the manifest is there, the merge counts in place of every object within its range; those may be removed
then, or stay for ever under a lock. Before, they count and the merge does not. So no record is ever in no object that
counts. What is merged follows from the objects alone, so that two who merge at once make the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from joins.chain import canonical
from joins.cloud.bucket import Bucket
from joins.cloud.segments import SUFFIX, Segment

FULL = 10_000  # records from which on an object is not merged any more
MOST = 200  # objects merged at once: some seconds' reading from object storage
_FOLDER, _MANIFEST = "merges", ".json"


@dataclass(frozen=True, order=True)
class Range:
    """The positions of an object's records: `end` is that of the record after it."""

    position: int
    end: int

    def holds(self, other: Range) -> bool:
        """Whether `other` lies within."""
        return self.position <= other.position and other.end <= self.end


def object_name(log: str, merged: Range, prefix: str = "") -> str:
    """The name of a merge."""
    return f"{prefix}{log}/{merged.position:012d}-{merged.end:012d}{SUFFIX}"


def manifest_name(log: str, merged: Range, prefix: str = "") -> str:
    """The name of its manifest."""
    return f"{prefix}{_FOLDER}/{log}/{merged.position:012d}-{merged.end:012d}{_MANIFEST}"


def manifest(segment: Segment, supersedes: Sequence[str]) -> bytes:
    """What the manifest says: what the merge holds, and which objects it supersedes."""
    return canonical(
        {
            "first": segment.first,
            "last": segment.last,
            "previous_hash": segment.previous_hash,
            "hash": segment.hash,
            "records": segment.records,
            "supersedes": list(supersedes),
        }
    )


def is_told(data: bytes | None, segment: Segment) -> bool:
    """Whether a manifest tells of this object."""
    try:
        told = json.loads(data or b"")
        return bool(told == json.loads(manifest(segment, told["supersedes"])))
    except (ValueError, KeyError, TypeError):
        return False


def position_of(name: str) -> int:
    """The position of an object's first record, by its name. Raises ValueError when it is no name of ours."""
    return int(name.rpartition("/")[2].removesuffix(SUFFIX).partition("-")[0])


def merged_range(name: str) -> Range | None:
    """The range of a merge, or of a manifest, by its name; None for any other object."""
    first, dash, end = name.rpartition("/")[2].removesuffix(SUFFIX).removesuffix(_MANIFEST).partition("-")
    return Range(int(first), int(end)) if dash and first.isdigit() and end.isdigit() else None


def split(bucket: Bucket, log: str, prefix: str = "") -> tuple[list[str], list[str]]:
    """The names of a log's objects that count, in the order of the log, and of those that were superseded.

    A merge without a manifest is in neither. Raises SinkUnavailable.
    """
    # The objects first: what is merged and removed after that is in the manifests that are listed then.
    objects = [name for name in bucket.names(f"{prefix}{log}") if name.endswith(SUFFIX)]
    declared = {found for name in bucket.names(f"{prefix}{_FOLDER}/{log}") if (found := merged_range(name))}
    widest: list[Range] = []
    for one in sorted(declared, key=lambda found: (found.position, -found.end)):
        if not widest or not widest[-1].holds(one):
            widest.append(one)
    live, superseded = [object_name(log, one, prefix) for one in widest], list[str]()
    for name in objects:
        if name in live:
            continue
        own = merged_range(name)
        if own is not None and own not in declared:
            continue
        start = position_of(name)
        covered = any(one.position <= start < one.end for one in widest)
        (superseded if covered else live).append(name)
    return sorted(live, key=position_of), superseded


def due(live: Sequence[str]) -> list[str]:
    """The next objects to be merged, of those that count; none while too few are small. The newest is never among them.

    By number of objects and records alone, and not by any clock.
    """
    positions = [position_of(name) for name in live]
    run: list[str] = []
    for name, start, end in zip(live, positions, positions[1:], strict=False):
        if end - start >= FULL:
            run = []
            continue
        run.append(name)
        if len(run) == MOST or (len(run) > 1 and end - position_of(run[0]) >= FULL):
            return run
    return []
