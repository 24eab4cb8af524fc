"""One old log on its way into the pipeline: every line judged, then the new records handed to the producer."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo

import click

from joins.errors import InvalidRecord
from joins.redis_url import Client
from ops import hand_over
from ops.known_here import Known, KnownHere, counted
from ops.old_line import Unreadable
from ops.old_log import OldLog
from ops.old_record import Old, OldRecords

BATCH = 500  # records that are compared, and handed over, at once
LARGE_PART = 5  # one of so many records that can be compared is too many to be chance
FEWEST_ROUNDED = 3  # users' ids that end in zeros; one in a thousand does so by chance
Tell = Callable[[int, str], None]  # the number of a line, and what is to be said of it


@dataclass
class Tally:
    """What was found in a file."""

    name: str
    unreadable: int = 0
    new: int = 0
    unknown: int = 0  # of the new ones, those without an invite
    here: int = 0
    repeated: int = 0
    shifts: Counter[timedelta] = field(default_factory=Counter)  # of new ones that would be here, were the clock so
    close: int = 0  # of new ones that lie less than a minute from a record here
    apart: timedelta = timedelta(0)  # how far these are from it at most
    long_ids: int = 0
    rounded_ids: int = 0
    keys: tuple[str, ...] = ()  # that the format does not have

    def add(self, old: Old, known: Known) -> None:
        """Counts a line that could be read."""
        self.here += known.here
        self.repeated += known.repeats is not None
        self.new += known.new
        self.unknown += known.new and old.record["invite_code"] is None
        if known.shift is not None:
            self.shifts[known.shift] += 1
        if known.apart is not None:
            self.close += 1
            self.apart = max(self.apart, known.apart)

    def sentences(self) -> Iterator[str]:
        """What to say of the file."""
        read = self.new + self.here + self.repeated
        without = f" ({self.unknown:,} of them without an invite)" if self.unknown else ""
        yield (
            f"{self.name}: of {read + self.unreadable:,} records {self.new:,} are new{without}, {self.here:,} have a "
            f"record already, {self.repeated:,} repeat an earlier line, {self.unreadable:,} cannot be read."
        )
        if self.keys:
            yield f"{self.name}: what is not of the format is left out: {', '.join(map(repr, self.keys))}."

    def fault(self) -> str | None:
        """What speaks against recording any of it."""
        shifted = self.shifts.total()
        if shifted and shifted * LARGE_PART >= shifted + self.here:
            return (
                f"of {shifted + self.here:,} records that can be compared with those here, {shifted:,} fit only when "
                f"their times are moved by {counted(self.shifts)}: --timezone is most likely wrong."
            )
        if self.close and self.close * LARGE_PART >= self.close + self.here:
            return (
                f"of {self.close + self.here:,} records that can be compared with those here, {self.close:,} are up to "
                f"{self.apart.total_seconds():.1f} s away from a record of the same member: the old bot's clock was "
                "not right, so say with --within how many seconds are one join."
            )
        if self.rounded_ids >= FEWEST_ROUNDED and self.rounded_ids * LARGE_PART >= self.long_ids:
            return (
                f"of {self.long_ids:,} user ids {self.rounded_ids:,} have nothing but zeros after the fifteenth digit: "
                "a spreadsheet has rounded them, and whose they were is lost; take the original of the log."
            )
        return None


class Adoption:
    """Of one file. Both methods raise InviteLogError and redis errors."""

    def __init__(self, old: OldLog, zone: tzinfo | None, guild_id: str | None) -> None:
        self._old, self._zone, self._guild_id = old, zone, guild_id
        self.name = old.name

    def judge(self, known: KnownHere) -> Tally:
        """Counts what is in the file, and names each line that cannot be read or says something else than a record."""
        tally = Tally(self.name)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as said:

            def tell(line: int, what: str) -> None:
                said.write(f"{self.name}:{line}: {what}\n")

            def unreadable(line: int, reason: str) -> None:
                tally.unreadable += 1
                tell(line, reason)

            records = OldRecords(self.name, self._zone, self._guild_id)
            for lines in self._batches(records, "Reading", unreadable):
                for old, found in zip(lines, known.look(lines), strict=True):
                    tally.add(old, found)
                    if found.differs:
                        tell(old.line, _difference(found))
            said.seek(0)
            shutil.copyfileobj(said, sys.stderr)
        tally.long_ids, tally.rounded_ids = records.long_ids, records.rounded_ids
        tally.keys = tuple(sorted({*records.unknown, *self._old.unknown_columns}))
        self._old.demand_unchanged()
        return tally

    def hand_over(self, known: KnownHere, client: Client) -> int:
        """Hands the new records to the producer, as it takes them; how many."""
        known.begin()
        count = 0
        records = OldRecords(self.name, self._zone, self._guild_id)
        for lines in self._batches(records, "Handing over", lambda line, reason: None):
            new = [old.record for old, found in zip(lines, known.look(lines), strict=True) if found.new]
            if not new:
                continue
            hand_over.wait_for_room(client)
            with client.pipeline(transaction=True) as pipeline:
                hand_over.put(pipeline, new)
                pipeline.execute()
            count += len(new)
        self._old.demand_unchanged()
        return count

    def _batches(self, records: OldRecords, label: str, unreadable: Tell) -> Iterator[list[Old]]:
        lines: list[Old] = []
        with click.progressbar(length=self._old.size, label=label, show_pos=False) as bar:
            for entry, position in self._old.entries():
                if isinstance(entry, Unreadable):
                    unreadable(entry.number, entry.reason)
                else:
                    try:
                        lines.append(records.make(entry))
                    except InvalidRecord as error:
                        unreadable(entry.number, str(error))
                if len(lines) == BATCH:
                    yield lines
                    lines = []
                    bar.update(position - bar.pos)
            if lines:
                yield lines
            bar.update(self._old.size - bar.pos)


def _difference(known: Known) -> str:
    if known.here:
        return "names another invite than the record here, which stays"
    return f"repeats line {known.repeats} with another invite; line {known.repeats} counts"
