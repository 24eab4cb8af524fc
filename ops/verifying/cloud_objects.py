"""The cloud backup to the verifier: object by object, each header and line as this program writes them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

from joins import event_id
from joins.array_file import own_line, parse_line
from joins.chain import Record, genesis
from joins.cloud import generations, merges, segments
from joins.cloud.bucket import Bucket
from joins.cloud.segments import Segment
from joins.erasure import KIND, Erasure, erasure_of
from joins.errors import InvalidRecord, LogDamaged, SinkUnavailable
from joins.event_id import ZERO
from joins.records import CHANGES
from ops.verifying.finding import NOTE, Flaw
from ops.verifying.source import Line
from ops.verifying.written import Written

_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, InvalidRecord, LogDamaged)


class CloudObjects:
    """One log in a bucket; its objects are listed once, when opened."""

    sink = "cloud"
    loose = True

    def __init__(self, bucket: Bucket, log: str) -> None:
        """Raises SinkUnavailable."""
        self.log, self.shown, self._bucket = log, bucket.shown, bucket
        self._prefix = generations.current(bucket)
        self._names, _ = merges.split(bucket, log, self._prefix)
        self.expected: Written | None = None
        self._odd: list[str] = []  # objects whose records are sound, but whose bytes are not ours
        self.head = self._last()

    def lines(self) -> Iterator[Line]:
        """See Source."""
        position, before, hashed = 0, None, genesis(self.log)
        self._odd.clear()
        for name in self._names:
            where = f"{self.shown}/{name}"
            if merges.position_of(name) != position:
                due = segments.object_name(self.log, position, self._prefix)
                raise Flaw(where, f"an object is missing before this one: {self.shown}/{due}")
            data = self._bucket.read(name)
            if data is None:
                self._check_merged(name)
                raise Flaw(where, "the object is gone")
            try:
                segment = segments.decode(where, data)
            except LogDamaged as error:
                raise Flaw(_place_of_damage(where, data), str(error)) from error
            records = []
            for number, line in enumerate(segment.lines, start=2):
                place, expected = f"{where}, line {number}", self.expected
                proved = expected is not None and line == expected.json
                record = expected.record if expected is not None and proved else _read(place, line)
                records.append(record)
                yield Line(place, record, proved)
            self._check(where, segment, data, records, (position, hashed), before)
            self._check_manifest(where, name, segment)
            position, before, hashed = segment.end, name, segment.hash

    def after_lines(self) -> Iterator[tuple[str, str]]:
        """See Source."""
        for where in self._odd:
            yield (
                NOTE,
                f"{where}: its records are sound, but it is compressed otherwise than this program does here: by "
                "another version of zlib, or by somebody else",
            )

    def orders(self) -> Iterator[Erasure]:
        """See Source."""
        for line in self._raw() if self.log == CHANGES else ():
            if KIND.encode() in line:
                try:
                    erasure = erasure_of(own_line(line))
                except _UNREADABLE:
                    continue
                if erasure is not None:
                    yield erasure

    def holds(self, event: str) -> bool:
        """See Source."""
        return any(event.encode() in line for line in self._raw())

    def close(self) -> None:
        """See Source."""

    def _check(
        self, where: str, segment: Segment, data: bytes, records: list[Record], start: tuple[int, str],
        before: str | None,
    ) -> None:  # fmt: skip
        told = (segment.position, segment.previous_hash)
        if told != start or not _is_or_was(before, segment.previous):
            raise Flaw(f"{where}, line 1", "the header does not continue the object before it")
        ours = segments.encode(self.log, segment.position, segment.previous, segment.previous_hash, records)
        if ours == data:
            return
        content, written = gzip.decompress(data), gzip.decompress(ours)
        if content.partition(b"\n")[0] != written.partition(b"\n")[0]:
            raise Flaw(f"{where}, line 1", "the header does not say what the object holds")
        if content != written:
            raise Flaw(where, "the object is not written as this program writes it")
        self._odd.append(where)

    def _check_manifest(self, where: str, name: str, segment: Segment) -> None:
        """A merge counts by its manifest, which must tell of it; an object's name, of what it holds."""
        merged = merges.merged_range(name)
        if merged is None:
            return
        if merged.end != segment.end:
            raise Flaw(where, "the object does not hold what its name says")
        manifest = merges.manifest_name(self.log, merged, self._prefix)
        if not merges.is_told(self._bucket.read(manifest), segment):
            raise Flaw(f"{self.shown}/{manifest}", "the manifest does not tell of the object that it declares")

    def _check_merged(self, name: str) -> None:
        """Raises SinkUnavailable where an object went into a merge since it was listed."""
        if name not in merges.split(self._bucket, self.log, self._prefix)[0]:
            raise SinkUnavailable(f"{self.shown}: objects were merged while they were read: run this again")

    def _raw(self) -> Iterator[bytes]:
        for name in self._names:
            try:
                yield from segments.decode(name, self._bucket.read(name) or b"").lines
            except LogDamaged:
                continue

    def _last(self) -> str | None:
        if not self._names:
            return ZERO
        try:
            last = segments.read(self._bucket, self._names[-1]).last
            event_id.parse(last)
            return last
        except (LogDamaged, ValueError):
            return None


def _is_or_was(before: str | None, told: str | None) -> bool:
    """Whether an object's header names the one before it, or one that was merged into that."""
    if before is None or told is None or told == before:
        return told == before
    merged = merges.merged_range(before)
    try:
        return merged is not None and merged.position <= merges.position_of(told) < merged.end
    except ValueError:
        return False


def _read(where: str, line: bytes) -> Record:
    try:
        return own_line(line)
    except ValueError as error:
        raise Flaw(where, f"this is no line of this program ({error})") from error
    except LogDamaged as error:
        raise Flaw(where, str(error), _at_all(line)) from error


def _place_of_damage(where: str, data: bytes) -> str:
    """The first line of an object that cannot be read; the object alone where it cannot even be unpacked."""
    try:
        header, *lines = gzip.decompress(data).removesuffix(b"\n").split(b"\n")
    except (OSError, EOFError, zlib.error):
        return where
    try:
        _ = json.loads(header)["records"]
    except _UNREADABLE:
        return f"{where}, line 1"
    unreadable = (number for number, line in enumerate(lines, start=2) if _at_all(line) is None)
    return f"{where}, line {next(unreadable, 1)}"


def _at_all(line: bytes) -> Record | None:
    try:
        return parse_line(line)
    except _UNREADABLE:
        return None
