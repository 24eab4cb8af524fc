"""Which copies there are, and which reaches furthest."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from joins import event_id
from joins.chain import Record, check_commitments, check_link
from joins.copies.copy import Copy
from joins.copies.database_copy import database_copy
from joins.copies.file_copy import file_copy
from joins.errors import InvalidRecord, LogDamaged, NewerVersion, SinkUnavailable
from joins.form import csv_form, json_form
from joins.settings import Settings
from joins.tail import Head

ON_DISK = ("json", "sqlite", "csv")  # the fastest first
_log = logging.getLogger("joins.copies")


def open_copy(sink: str, log: str, folder: Path, cloud_url: str) -> Copy | None:
    """One sink's copy of a log; None when it has none yet. Raises SinkUnavailable, LogDamaged, NewerVersion."""
    if sink == "json":
        return file_copy(folder, json_form(log))
    if sink == "csv":
        return file_copy(folder, csv_form(log))
    if sink == "sqlite":
        return database_copy(folder, log)
    if sink == "cloud":
        from joins.copies.cloud_copy import cloud_copy  # obstore is a large library that few processes need

        return cloud_copy(cloud_url, log)
    raise ValueError(f"there is no sink named {sink!r}")


def readable(log: str, settings: Settings, sinks: Sequence[str] = (*ON_DISK, "cloud")) -> list[Copy]:
    """Those of the copies that there are and that can be read; what cannot be is passed over with a line in the log."""
    found = []
    for sink in sinks:
        try:
            copy = open_copy(sink, log, settings.invite_logs_dir, settings.cloud_url)
        except (SinkUnavailable, LogDamaged, NewerVersion) as error:
            _log.warning("the %s copy of the %s log is passed over: %s", sink, log, error)
            continue
        if copy is not None:
            found.append(copy)
    return found


def longest(copies: Sequence[Copy]) -> Copy | None:
    """The copy that reaches furthest, the first of several; None when there is none."""
    return max(copies, key=lambda copy: event_id.parse(copy.head[0]), default=None)


def checked(copy: Copy, log: str, head: Head) -> Iterator[Record]:
    """The copy's records after `head`, each seen to follow from the one before, its names matching their commitments.

    Raises ChainBroken, which names the record, LogDamaged, SinkUnavailable, NewerVersion.
    """
    previous = head[1]
    for record in copy.after(head[0]):
        where = f"the {copy.sink} copy of the {log} log, record {record['event_id']}"
        previous = check_link(previous, record, where)
        try:
            check_commitments(record)
        except InvalidRecord as error:
            raise LogDamaged(f"{where}: {error}") from error
        yield record
