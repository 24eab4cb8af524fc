"""The JSON logs as the commands read them: a log that is not there, or is damaged, is no answer but no crash either."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from joins import event_id
from joins.chain import Record
from joins.errors import LogDamaged
from joins.event_id import ZERO
from joins.form import json_form
from joins.whole_log import WholeLog

_log = logging.getLogger("commands.json_log")

UNREADABLE = (ValueError, KeyError, OSError, LogDamaged)
"""What reading a log raises when its bytes were changed by hand, or the disk fails."""


@contextlib.contextmanager
def opened(folder: Path, log: str) -> Iterator[WholeLog | None]:
    """A reader of the log, or None when there is none or it cannot be opened."""
    try:
        reader = WholeLog(folder, json_form(log))
    except FileNotFoundError:
        yield None
        return
    except UNREADABLE as error:
        _log.warning("the JSON log in %s cannot be read: %s", folder, error)
        yield None
        return
    with reader:
        yield reader


def above(records: Iterator[Record], head: str) -> Iterator[Record]:
    """Of records that come newest first, those above the event id `head`."""
    return takewhile(lambda record: event_id.is_above(record["event_id"], head), records)


def last_id(reader: WholeLog | None) -> str:
    """The event id of the newest record; `0-0` when there is none."""
    last = reader.last() if reader else None
    return str(last["event_id"]) if last else ZERO


def late(reader: WholeLog | None, head: str, key: str, value: str) -> Iterator[Record]:
    """Records newer than what the database holds (its `head`), whose `key` is `value`; newest first.

    The usual case, a database that is up to date, costs one look at the last record.
    """
    if reader is None or not event_id.is_above(last_id(reader), head):
        return iter(())
    return above(reader.with_text(key, value), head)
