"""The dead letters: entries of a stream, or items of the inbox, that are no valid record. Kept as they came.

A letter is never altered or deleted. That its record was handed over again is noted beside it, so that it happens once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from joins import event_id, inbox, keys
from joins.chain import Record
from joins.errors import InvalidRecord
from joins.inbox import Handed
from joins.json_format import from_line
from joins.records import LOGS, timestamp
from joins.redis_url import Client
from joins.scripts import script, text

PAGE = 20  # letters read at once; each may be large


@dataclass(frozen=True)
class Letter:
    """One of them. What stands in `fields` is whatever somebody put there."""

    id: str
    log: str  # empty for an item of the inbox, as are the next and `sink`
    event_id: str
    reason: str
    sink: str  # whose verdict it was
    fields: list[tuple[bytes, bytes]]
    requeued: str | None  # when its record was handed over again (UTC), if it was

    @property
    def when(self) -> str:
        """When it was set aside, as a timestamp of the logs (UTC)."""
        return timestamp(datetime.fromtimestamp(event_id.milliseconds(self.id) / 1000, UTC))

    @property
    def payload(self) -> bytes | None:
        """What should be the record; None where no field is called as a record's is."""
        wanted = b"r" if self.log else b"item"
        return next((value for name, value in self.fields if name == wanted), None)

    def handed(self, record: bytes | None = None) -> Handed:
        """What to hand over: the letter's own record, or `record` (JSON) in its place, sealed anew.

        Raises InvalidRecord, or NewerVersion, while it is none.
        """
        log, payload = self.log, self.payload
        if record is not None:
            return self._corrected(record)
        if payload is None:
            raise InvalidRecord("the entry holds no record; give the right one with --file")
        if not log:
            return inbox.read(payload)
        return inbox.read(inbox.item(log, from_line(log, payload), self.event_id))

    def _corrected(self, given: bytes) -> Handed:
        log = self.log or _log_of(self.payload)
        record: Record = from_line(log, given)
        ours = ("event_id", "hash", "commitments", "salts")
        bare = {key: value for key, value in record.items() if key not in ours}
        return inbox.read(inbox.item(log, bare, self.event_id or None))


def letters(client: Client) -> Iterator[Letter]:
    """All of them, the oldest first. Raises redis errors."""
    after = "-"
    while entries := _range(client, after, "+"):
        yield from entries
        after = f"({entries[-1].id}"


def one(client: Client, letter_id: str) -> Letter | None:
    """The letter of that id, or None. Raises redis errors."""
    return next(iter(_range(client, letter_id, letter_id)), None)


def requeue(client: Client, letter: Letter, handed: Handed, now: datetime) -> str | None:
    """Hands a record over to the sequencer in place of the letter's entry, once.

    Gives None, or the time at which that was done before. Raises redis errors.
    """
    arguments: list[str | bytes] = [
        letter.id,
        uuid.uuid4().hex,
        inbox.item(handed.log, handed.record, handed.instead_of),
        timestamp(now),
    ]
    reply = text(script(client, "requeue")(keys=[keys.DEAD_LETTERS, keys.REQUEUED, keys.INBOX], args=arguments))
    return None if reply in ("QUEUED", "GONE") else reply


def open_count(client: Client) -> int:
    """How many there are whose record was not handed over again. Raises redis errors."""
    return int(client.xlen(keys.DEAD_LETTERS)) - int(client.hlen(keys.REQUEUED))


def _range(client: Client, first: str, last: str) -> list[Letter]:
    entries: Any = client.xrange(keys.DEAD_LETTERS, first, last, count=PAGE)
    noted: Any = client.hmget(keys.REQUEUED, [text(name) for name, _ in entries]) if entries else []
    return [_letter(text(name), fields, note) for (name, fields), note in zip(entries, noted, strict=True)]


def _letter(letter_id: str, fields: dict[bytes, bytes], note: bytes | None) -> Letter:
    log, event, reason, sink = (
        fields.get(name, b"").decode(errors="replace") for name in (b"log", b"event_id", b"reason", b"sink")
    )
    flat = json.loads(fields.get(b"fields", b"[]").decode(errors="surrogateescape"))
    values = [value.encode(errors="surrogateescape") for value in flat]
    pairs = list(zip(values[::2], values[1::2], strict=True))
    return Letter(letter_id, log, event, reason, sink, pairs, text(note).partition(" ")[0] if note else None)


def _log_of(payload: bytes | None) -> str:
    """The log that an item of the inbox was meant for."""
    try:
        log = json.loads(payload or b"")["log"]
    except (ValueError, KeyError, TypeError, RecursionError):
        log = None
    if log not in LOGS:
        raise InvalidRecord("the item does not say for which log it was")
    return str(log)
