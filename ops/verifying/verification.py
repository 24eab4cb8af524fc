"""The whole of verifying: each copy followed, held against the others and against the anchors. It writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from joins import event_id
from joins.cloud import anchors
from joins.cloud.anchors import Anchor
from joins.cloud.bucket import Bucket, without_login
from joins.copies import finding as copies
from joins.erasure import Erasure, Erasures
from joins.errors import LogDamaged, NewerVersion, NoBucket, SinkUnavailable
from joins.event_id import ZERO
from joins.keys import SINKS
from joins.log_files import csv_path, database_path, json_path
from joins.records import CHANGES, LOGS
from joins.settings import Settings
from ops.verifying.cloud_objects import CloudObjects
from ops.verifying.comparing import classify, contradictions
from ops.verifying.database_rows import database_rows
from ops.verifying.finding import NOTE, REMOVED, REWRITTEN, UNSETTLED, Finding, Verdict
from ops.verifying.following import Following, Orders, Walk
from ops.verifying.log_file import csv_file, json_file
from ops.verifying.source import Source
from ops.verifying.written import Written

Step = Callable[[], object]


class Verification:
    """One run over what a machine can reach."""

    def __init__(
        self,
        settings: Settings,
        given: Sequence[Anchor] = (),
        days: Sequence[str] = (),
        sinks: Sequence[str] = SINKS,
        ordered: Sequence[Erasure] = (),
    ) -> None:
        """`given`: anchors from elsewhere; `days`: those of which there must be one in the cloud.

        `sinks`: the copies that there should be; `ordered`: erasures that none of them may know of.
        """
        self._settings, self._given, self._days = settings, given, days
        self._sinks, self._ordered = sinks, ordered
        self._anchors: list[Anchor] = []
        self._verdict = Verdict()
        self._bucket: Bucket | None = None

    def run(self, step: Step = lambda: None) -> Verdict:
        """Verifies anew; `step` is called at each record of each copy."""
        began = time.monotonic()
        self._verdict, self._anchors = Verdict(), list(self._given)
        self._open_cloud()
        known: list[Source] = self._sources(CHANGES)
        try:
            erasures = {source.sink: self._orders(source) for source in known}
        finally:
            _close(known)
        every = Erasures([*self._ordered, *(one for found in erasures.values() for one in found)])
        for log in LOGS:
            sources = self._sources(log)
            try:
                self._log(log, sources, lambda sink: Orders(every, Erasures(erasures.get(sink, ()))), step)
            finally:
                _close(sources)
        self._verdict.anchors = len(self._anchors)
        self._verdict.seconds = time.monotonic() - began
        return self._verdict

    def _log(self, log: str, sources: list[Source], orders: Callable[[str], Orders], step: Step) -> None:
        heads = [source.head for source in sources if source.head is not None]
        held = [anchor for anchor in self._anchors if anchor.log == log]
        wanted = [*heads, *(anchor.event_id for anchor in held)]
        walks = self._side_by_side(log, [Following(one, orders(one.sink), wanted) for one in sources], step)
        for walk in walks:
            source = walk.source
            self._verdict.copies.setdefault(source.sink, {})[log] = {
                "records": walk.records, "event_id": walk.head[0], "hash": walk.head[1], "sound": walk.flaw is None,
            }  # fmt: skip
            for kind, sentence in source.after_lines():
                self._add(kind, source.sink, log, sentence)
        # A torn end says nothing of what stands before it.
        sound = [walk for walk in walks if walk.flaw is None or walk.flaw.torn]
        self._verdict.findings += [classify(walk, walks) for walk in walks if walk.flaw is not None]
        reaching = [walk for walk in sound if walk.head[0] != ZERO]
        self._verdict.findings += contradictions(reaching)
        self._lengths(log, sound)
        for walk in reaching:
            self._hold(walk, held)
        self._missing(log, walks, held)

    def _side_by_side(self, log: str, every: list[Following], step: Step) -> list[Walk]:
        """Follows the copies a record at a time: all hold a beginning of one order, so one proves for all."""
        going, walks = list(every), [following.walk for following in every]
        while going:
            proved: Written | None = None
            for following in list(going):
                try:
                    found = following.next(proved)
                except SinkUnavailable as error:
                    self._add(UNSETTLED, following.walk.source.sink, log, str(error))
                    walks.remove(following.walk)
                    found = None
                if found is None:
                    going.remove(following)
                else:
                    proved = proved or found
                    step()
        return walks

    def _missing(self, log: str, walks: list[Walk], held: list[Anchor]) -> None:
        """Says which copies are not there though records are, and whether an anchor lies beyond all that are."""
        there = {walk.source.sink for walk in walks}
        told = {finding.sink for finding in self._verdict.findings if finding.kind == UNSETTLED}
        lacking = [sink for sink in self._sinks if sink not in there]
        if held or any(walk.records for walk in walks):
            for sink in lacking:
                if sink not in told:
                    home = self._home(sink, log)
                    self._add(UNSETTLED, sink, log, f"{home} is not there; its consumer makes it anew from the others")
        reach = event_id.latest(*(walk.head[0] for walk in walks))
        beyond = [anchor for anchor in held if event_id.is_above(anchor.event_id, reach)]
        if not beyond or any(walk.flaw is not None for walk in walks):
            return
        anchor = min(beyond, key=lambda one: event_id.parse(one.event_id))
        what = f"no copy of the {log} log reaches to record {anchor.event_id}, which {anchor.origin} witnesses"
        if lacking:
            self._add(UNSETTLED, lacking[0], log, f"{what}, but not every copy could be looked at")
            return
        what += ": records were removed from the end of all of them"
        self._verdict.findings += [
            Finding(REMOVED, walk.source.sink, log, walk.source.shown, what, anchor.event_id) for walk in walks
        ]

    def _home(self, sink: str, log: str) -> str:
        folder = self._settings.invite_logs_dir
        if sink == "cloud":
            return f"the backup at {without_login(self._settings.cloud_url)}"
        path_of = {"json": json_path(folder, log), "csv": csv_path(folder, log), "sqlite": database_path(folder)}
        return str(path_of[sink])

    def _lengths(self, log: str, walks: list[Walk]) -> None:
        """Says which copies are shorter: they are behind, or lost their end, which their consumer gives back."""
        longest = max(walks, key=lambda walk: event_id.parse(walk.head[0]), default=None)
        for walk in walks:
            if longest is not None and event_id.is_above(longest.head[0], walk.head[0]):
                behind = longest.records - walk.records
                self._add(
                    NOTE, walk.source.sink, log,
                    f"{walk.source.shown} is {behind} records behind {longest.source.shown}; its consumer adds them",
                )  # fmt: skip

    def _hold(self, walk: Walk, held: list[Anchor]) -> None:
        """The first anchor that a copy, sound in itself and long enough, contradicts."""
        for anchor in sorted(held, key=lambda one: event_id.parse(one.event_id)):
            if event_id.is_above(anchor.event_id, walk.head[0]):
                return
            if walk.hashes.get(anchor.event_id) != anchor.hash:
                what = "has another hash" if anchor.event_id in walk.hashes else "is not in it"
                self._verdict.findings.append(
                    Finding(
                        REWRITTEN, walk.source.sink, walk.source.log, walk.source.shown,
                        f"rewritten: the chain is sound in itself, but record {anchor.event_id}, which "
                        f"{anchor.origin} witnesses, {what}",
                        anchor.event_id,
                    )
                )  # fmt: skip
                return

    def _open_cloud(self) -> None:
        if "cloud" not in self._sinks:
            return
        try:
            self._bucket = Bucket(self._settings.cloud_url)
            found, unreadable = anchors.read(self._bucket)
            self._anchors += found
            for day in self._days:
                if not anchors.is_made(self._bucket, day):
                    self._add(UNSETTLED, "cloud", "", f"there is no anchor of {day} in {self._bucket.shown}")
            for shown in unreadable:
                self._add(REWRITTEN, "cloud", "", f"{shown} is no anchor of this program any more")
        except NoBucket as error:
            self._bucket = None
            if self._settings.cloud_backup_url is not None:
                self._add(UNSETTLED, "cloud", "", str(error))
        except SinkUnavailable as error:
            self._bucket = None
            self._add(UNSETTLED, "cloud", "", str(error))

    def _sources(self, log: str) -> list[Source]:
        found: list[Source] = []
        for sink in self._sinks:
            try:
                source = self._open(sink, log)
            except SinkUnavailable as error:
                self._add(UNSETTLED, sink, log, str(error))
                continue
            if source is not None:
                found.append(source)
        return found

    def _open(self, sink: str, log: str) -> Source | None:
        if sink == "cloud":
            return CloudObjects(self._bucket, log) if self._bucket is not None else None
        opened = {"json": json_file, "csv": csv_file, "sqlite": database_rows}[sink]
        return opened(self._settings.invite_logs_dir, log)

    def _orders(self, source: Source) -> list[Erasure]:
        try:
            return list(source.orders())
        except SinkUnavailable as error:
            self._add(UNSETTLED, source.sink, source.log, str(error))
            return []

    def _add(self, kind: str, sink: str, log: str, what: str) -> None:
        found = Finding(kind, sink, log, "", what)
        if all(found.what != one.what for one in self._verdict.findings):  # an outage is met more than once
            self._verdict.findings.append(found)


def expected_records(settings: Settings) -> int:
    """About how many records a run looks at, for a progress bar."""
    count = 0
    for log in LOGS:
        for sink in SINKS:
            try:
                copy = copies.open_copy(sink, log, settings.invite_logs_dir, settings.cloud_url)
                count += copy.count() if copy is not None else 0
            except (SinkUnavailable, LogDamaged, NewerVersion):
                continue
    return count


def _close(sources: list[Source]) -> None:
    for source in sources:
        source.close()
