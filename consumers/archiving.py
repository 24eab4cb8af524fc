"""Moving closed months of a log file to the archive: write, prove, put in place, and only then cut the file.

The archive's rename is the moment from which it counts. A crash at any step leaves each record in the file, in the
archive, or in both; readers give it once, and the sink's next opening cuts the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from joins import archive, archives, durable, event_id
from joins.archive import Archive
from joins.chain import Record
from joins.erasure import Erasure, Erasures
from joins.errors import Interrupted, InvalidRecord, LogDamaged, PermanentError
from joins.event_id import ZERO
from joins.form import Form
from joins.records import normal
from joins.scrubbing import needles, scrubbed
from joins.tail import Head, empty_head, followed


@dataclass(frozen=True)
class Begins:
    """Where a log's file begins: `base` is where the archives end, `before` the head before the file's first record."""

    base: Head
    before: Head
    overlaps: bool  # the file holds records that an archive holds too


def begins(folder: Path, form: Form) -> Begins:
    """Looks at both. Raises LogDamaged where they do not fit together, SinkUnavailable."""
    path = form.path(folder)
    with durable.disk_errors(folder / archives.FOLDER):
        found = archives.opened(folder, form)
    try:
        base = found[-1].index.head if found else empty_head(form.log)
        with durable.disk_errors(path):
            first = _first(path, form)
        if first is None:
            return Begins(base, base, False)
        overlaps = bool(found) and not event_id.is_above(first["event_id"], base[0])
        before = base
        if overlaps:
            reaching = (one for one in found if not event_id.is_above(first["event_id"], one.index.head[0]))
            before = next(reaching).index.before
        if found:
            archives.check_follows(before, first, path, form)
        return Begins(base, before, overlaps)
    finally:
        for one in found:
            one.close()


def sweep(folder: Path, form: Form) -> None:
    """Removes what a crash left of files that were being written, which only the sink's one writer may do.

    They count for nothing, but may hold names that are erased later. Raises SinkUnavailable.
    """
    for place, name in ((folder, form.path(folder).name), (folder / archives.FOLDER, f"{form.stem}.*.{form.sink}.gz")):
        with durable.disk_errors(place):
            for path in place.glob(f".{name}.*.tmp"):
                path.unlink(missing_ok=True)


def is_overlapping(folder: Path, form: Form) -> bool:
    """Whether the file holds records that an archive holds too. Raises LogDamaged, SinkUnavailable."""
    return begins(folder, form).overlaps


def archive_next(folder: Path, form: Form, after: int, head: Head, go_on: Callable[[], bool]) -> str | None:
    """Puts the next month in the archive that ended at least `after` months before the newest record's; gives it.

    The file, whose last record is `head`, stays as it is. Raises SinkUnavailable, Interrupted when `go_on` says no;
    LogDamaged where a record is not as it was written. Nothing is archived then.
    """
    with durable.disk_errors(form.path(folder)), form.reader(form.path(folder)) as reader:
        base = begins(folder, form).base
        first = next(reader.after(base[0]), None)
        if first is None or _months(month := archive.month_of(first["event_id"]), archive.month_of(head[0])) < after:
            return None
        target = archives.path_of(folder, form, month)
        with durable.disk_errors(target):
            target.parent.mkdir(exist_ok=True)
            durable.sync_folder(folder)
            if durable.is_there(target):
                raise LogDamaged(f"{target} is there already, but does not reach this far: move it away")
            digest = sha256()

            def lines() -> Iterator[tuple[bytes, Head]]:
                reached = base
                for line in map(form.bare, reader.lines(base[0])):
                    if not go_on():
                        raise Interrupted(f"this process ends before {month} is archived")
                    record = _own(form, line, reached)
                    if archive.month_of(record["event_id"]) != month:
                        return
                    reached = record["event_id"], record["hash"]
                    digest.update(line + b"\n")
                    yield line, reached

            with durable.replacing(target) as file:
                archive.write(file, form, month, base, ZERO, lines())
                file.flush()
                os.fsync(file.fileno())
                _prove(Path(file.name), form, digest.digest())
        return month


def cut(folder: Path, form: Form, head: Head) -> None:
    """Takes out of the file, whose last record is `head`, what an archive holds.

    Nothing is taken out unless the last such record is the archive's, hash by hash: the chain vouches for the others.
    Raises SinkUnavailable, LogDamaged.
    """
    path = form.path(folder)
    with durable.disk_errors(path), form.reader(path) as reader:
        base = begins(folder, form).base
        last = base if event_id.is_above(head[0], base[0]) else head
        held = reader.at(last[0])
        if held is None or held["hash"] != last[1] or not _is_archived(folder, form, last):
            raise LogDamaged(f"{path} and its archive hold different records up to {last[0]}: one of them was changed")
        form.write_whole(path, map(form.bare, reader.lines(base[0])))


def scrub(folder: Path, form: Form, erasures: Sequence[Erasure]) -> bool:
    """Takes names out of a log's archives, each whole or not at all; whether there were any. Raises as `cut`."""
    with durable.disk_errors(folder / archives.FOLDER):
        found = archives.paths(folder, form)
    changed = [scrub_file(path, form, erasures) for path in found]
    return any(changed)


def scrub_file(path: Path, form: Form, erasures: Sequence[Erasure]) -> bool:
    """Takes names out of one archive; whether there were any. Raises as `cut`.

    An archive bears the mark of the last erasure, so that it is unpacked once an erasure, or when it was put back.
    """
    rule, wanted = Erasures(erasures), needles(erasures)
    newest = event_id.latest(*(one.event_id for one in erasures))
    with durable.disk_errors(path):
        one = Archive(path, form)
    try:
        if not event_id.is_above(newest, one.index.obeyed):
            return False
        changed = False

        def lines() -> Iterator[tuple[bytes, Head]]:
            nonlocal changed
            for line in one.lines():
                record = one.record(line)
                new = scrubbed(normal(form.log, record), rule) if any(needle in line for needle in wanted) else None
                changed |= new is not None
                yield line if new is None else form.encode(new), (record["event_id"], record["hash"])

        with durable.disk_errors(path), durable.replacing(path) as file:
            archive.write(file, form, one.index.month, one.index.before, newest, lines())
        return changed
    except (ValueError, InvalidRecord) as error:
        raise LogDamaged(f"{path}: a record in it is none ({error})") from error
    finally:
        one.close()


def _prove(path: Path, form: Form, digest: bytes) -> None:
    """Reads an archive back. Raises LogDamaged when it is not what was written."""
    one, found = Archive(path, form), sha256()
    try:
        for line in one.lines():
            found.update(line + b"\n")
    finally:
        one.close()
    if found.digest() != digest:
        raise LogDamaged(f"{path} is not what was written there: the disk or the memory is at fault")


def _own(form: Form, line: bytes, head: Head) -> Record:
    try:
        record = form.own(line)
        followed(head, record)
    except (ValueError, KeyError, TypeError, PermanentError) as error:
        raise LogDamaged(
            f"no month of the {form.log} log's {form.sink} copy is archived, because the record after {head[0]} is not "
            f"as it was written ({error}): `invitelog verify` tells more"
        ) from error
    return record


def _first(path: Path, form: Form) -> Record | None:
    """The first record of a file; None where there is none, or where only a torn one stands."""
    try:
        with form.reader(path) as reader:
            record = next(iter(reader), None)
            return None if record is None else normal(form.log, record)
    except FileNotFoundError:
        return None
    except (LogDamaged, InvalidRecord, ValueError):
        return None  # the writer tells what it is


def _is_archived(folder: Path, form: Form, head: Head) -> bool:
    holding = archives.opened(folder, form)
    try:
        before = event_id.before(head[0])
        found = next((record for one in holding for record in one.after(before)), None)
        return found is not None and (found["event_id"], found["hash"]) == head
    finally:
        for one in holding:
            one.close()


def _months(earlier: str, later: str) -> int:
    """How many months lie between two, 1 from one to the next."""
    (year, month), (later_year, later_month) = (map(int, one.split("-")) for one in (earlier, later))
    return (later_year - year) * 12 + later_month - month
