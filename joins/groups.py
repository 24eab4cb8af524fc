"""A sink's side of the streams: its consumer group on each log, reading, acknowledging, dead letters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import OutOfMemoryError, ResponseError

from joins import keys
from joins.chain import Record, check_commitments
from joins.erasure import Erasure, Erasures
from joins.errors import InvalidRecord, NewerVersion, RetryableError, ServerFull, StreamForgot, StreamTrimmed
from joins.json_format import from_line
from joins.records import LOGS, VERSION, identity
from joins.redis_url import Client
from joins.scripts import script, text

_CONSUMER = "writer"  # a group has one: the sink's one writer


@dataclass(frozen=True)
class Entry:
    """One entry of a log's stream, not yet looked into."""

    log: str
    event_id: str
    fields: Mapping[bytes, bytes]

    def record(self) -> Record:
        """The record, with its event id. Raises InvalidRecord, or NewerVersion for a later format."""
        version, payload = self.fields.get(b"v"), self.fields.get(b"r")
        if version is None or payload is None or not version.isdigit() or len(version) > 9:
            raise InvalidRecord("the entry has not the fields v and r of a record")
        if int(version) > VERSION:
            raise NewerVersion(f"a record of format {int(version)} waits: this program knows {VERSION}; upgrade it")
        record = from_line(self.log, payload)
        if record.get("hash") is not None or record.get("event_id") is not None:
            raise InvalidRecord("the entry carries a hash or an event id of its own")
        if self.fields.get(b"id") != identity(self.log, record).encode():
            raise InvalidRecord("the entry's identity is not its record's")
        check_commitments(record)
        return {**record, "event_id": self.event_id}


class Group:
    """The consumer group of one sink, on the streams of both logs. Every method raises redis errors."""

    def __init__(self, client: Client, sink: str) -> None:
        self._client, self._sink = client, sink
        self._settle, self._align = script(client, "settle"), script(client, "align")
        self._make = script(client, "make")
        self._condemn = script(client, "condemn")
        self._streams = {keys.stream(log): log for log in LOGS}

    def make(self) -> None:
        """Makes the groups that the server does not know, at the beginning: what the sink lacks counts from then on."""
        self._make(keys=list(self._streams), args=[self._sink])

    def align(self, log: str, head: str) -> None:
        """Makes the next read continue after `head`, the sink's own last event id.

        Raises StreamTrimmed when the stream no longer reaches back that far.
        """
        reply = self._align(keys=[keys.stream(log), keys.TRIMMED], args=[log, self._sink, head])
        if text(reply) == "TRIMMED":
            raise StreamTrimmed(
                f"the {self._sink} sink ends at {head} of the {log} log, and the stream no longer reaches back there; "
                "put this sink's data back from a backup"
            )

    def erasures(self, records: Sequence[Record]) -> Erasures:
        """What was ordered of the people in these records."""
        people = {(r.get("guild_id"), r.get(key)) for r in records for key in ("user_id", "staff_id", "actor_id")}
        fields = sorted(f"{guild}/{person}" for guild, person in people if guild and person)
        if not fields or not self._client.exists(keys.ERASED):
            return Erasures()
        found = self._client.hmget(keys.ERASED, fields)
        return Erasures(_erasure(field, value) for field, value in zip(fields, found, strict=True) if value)

    def all_erasures(self) -> list[Erasure]:
        """All that was ever ordered."""
        return [_erasure(text(field), value) for field, value in self._client.hgetall(keys.ERASED).items()]

    def obeyed(self, erasure: Erasure, remnants: Sequence[str]) -> None:
        """Notes that this sink has obeyed an erasure, and where names stay that it cannot reach."""
        self._client.hset(keys.OBEYED, f"{erasure.event_id}/{self._sink}", json.dumps(list(remnants)))

    def epoch(self) -> str | None:
        """The epoch of the server; it changes when the streams were healed, and the groups must be aligned again."""
        value = self._client.get(keys.EPOCH)
        return text(value) if value else None

    def read(self, count: int) -> list[Entry]:
        """Up to `count` further entries of each log, in order, without waiting.

        Raises StreamForgot when the server has no such group any more.
        """
        try:
            reply: Any = self._client.xreadgroup(self._sink, _CONSUMER, dict.fromkeys(self._streams, ">"), count=count)
        except ResponseError as error:
            raise StreamForgot(f"the Redis server has forgotten the {self._sink} sink's group: {error}") from error
        entries = []
        for stream, items in reply or []:
            log = self._streams[text(stream)]
            entries += [Entry(log, text(entry_id), fields or {}) for entry_id, fields in items]
        return entries

    def settle(self, done: Sequence[Entry] = (), in_hand: int = 0) -> int:
        """Acknowledges entries and makes the RQ queue as long as the backlog, less the tokens `in_hand`.

        Gives the backlog over both logs. Raises StreamForgot when the group is gone.
        """
        arguments: list[str | int] = [self._sink, keys.job_id(self._sink), in_hand]
        for log in LOGS:
            ids = [entry.event_id for entry in done if entry.log == log]
            arguments += [len(ids), *ids]
        names = [keys.queue(self._sink), keys.RQ_QUEUES, *self._streams]
        backlog = int(self._settle(keys=names, args=arguments))
        if backlog < 0:
            raise StreamForgot(f"the Redis server has forgotten the {self._sink} sink's group")
        return backlog

    def condemned(self, entries: Sequence[Entry]) -> set[tuple[str, str]]:
        """Which of the entries (log, event id) were sent to the dead letters by the first sink that read them."""
        if not entries or not self._client.exists(keys.VERDICTS):
            return set()
        fields = [f"{entry.log}/{entry.event_id}" for entry in entries]
        verdicts = self._client.hmget(keys.VERDICTS, fields)
        return {(e.log, e.event_id) for e, verdict in zip(entries, verdicts, strict=True) if verdict is not None}

    def condemn(self, entry: Entry, reason: str) -> None:
        """Sends an entry to the dead letters.

        Raises RetryableError when another sink has accepted it, or when the server has no room for it.
        """
        try:
            reply = self._condemn(
                keys=[keys.stream(entry.log), keys.VERDICTS, keys.DEAD_LETTERS, keys.PUBLISHED],
                args=[entry.log, entry.event_id, reason, self._sink],
            )
        except OutOfMemoryError as error:
            raise ServerFull(
                f"entry {entry.event_id} of the {entry.log} log is no valid record ({reason}), and the Redis server is "
                "too full to keep it as a dead letter: give it more memory; nothing is acknowledged until then"
            ) from error
        if text(reply) == "ACCEPTED":
            raise RetryableError(
                f"entry {entry.event_id} of the {entry.log} log is no valid record to the {self._sink} sink "
                f"({reason}), but another sink has accepted it: run the same version everywhere"
            )


def _erasure(field: str, value: Any) -> Erasure:
    guild, person = field.split("/")
    return Erasure(guild, person, text(value))
