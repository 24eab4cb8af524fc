"""Records for tests: joins and changes as the producer makes them, sealed, numbered, chained, and ready to publish."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from joins import keys
from joins.chain import Record, chained, genesis, seal
from joins.lease import Lease
from joins.publish import Publisher, Sequenced
from joins.records import CHANGES, JOINS, join_id, normal, timestamp
from joins.redis_url import Client

GUILD = "111222333444555666"
FIRST_MOMENT = datetime(2025, 10, 31, 14, 30, 45, 123456, tzinfo=UTC)
FIRST_MS = 1_761_921_045_123  # the same moment as the milliseconds of an event id

# The specification's own example, value for value.
EXAMPLE = {
    "timestamp": "2025-10-31T14:30:45.123456",
    "user_id": "123456789012345678",
    "username": "john_doe",
    "display_name": "John Doe",
    "discriminator": "1234",
    "invite_code": "abc123XYZ",
    "staff_id": "987654321098765432",
    "staff_username": "TravisP#0001",
    "uses_before": 5,
    "uses_after": 6,
    "guild_id": GUILD,
    "guild_name": "PipVault",
}


def join(number: int = 0, **values: Any) -> Record:
    """A join in normal form, not sealed; its moment and its member follow from `number`."""
    record = {
        **EXAMPLE,
        "timestamp": timestamp(FIRST_MOMENT + timedelta(seconds=number)),
        "user_id": str(int(EXAMPLE["user_id"]) + number),
        "recorded_at": timestamp(FIRST_MOMENT + timedelta(seconds=number, milliseconds=200)),
        "source": "invite",
        "method": "difference",
        "confidence": "exact",
        "candidates": [],
        "inviter_id": EXAMPLE["staff_id"],
        "flags": [],
        "evidence": {},
    } | values
    record.setdefault("join_id", join_id(str(record["guild_id"]), str(record["user_id"]), str(record["timestamp"])))
    return normal(JOINS, record)


def change(number: int = 0, kind: str = "vip_upgraded", **values: Any) -> Record:
    """A change in normal form, not sealed."""
    record = {
        "recorded_at": timestamp(FIRST_MOMENT + timedelta(seconds=number)),
        "change": kind,
        "change_id": f"change-{number}",
        "guild_id": GUILD,
        "user_id": str(int(EXAMPLE["user_id"]) + number),
        "actor_id": "42",
        "reason": "asked for it",
    } | values
    return normal(CHANGES, record)


def staff_set(number: int, staff_id: str, name: str, **values: Any) -> Record:
    """The registration of a staff member."""
    fields = {"staff_id": staff_id, "staff_username": name, "ib_link": "https://ib.example/7", "ib_code": "IB7"}
    return change(number, "staff_set", **(fields | values))


def code_assigned(number: int, code: str, staff_id: str) -> Record:
    """The assignment of an invite code to a staff member."""
    return change(number, "code_assigned", invite_code=code, staff_id=staff_id)


def of(log: str, number: int, **values: Any) -> Record:
    """A sealed record of that log."""
    return seal(join(number, **values) if log == JOINS else change(number, **values))


def event(number: int) -> str:
    """The event id of the record of that number; some share a millisecond, as in a burst."""
    return f"{FIRST_MS + number // 3}-{number % 3}"


def sequenced(log: str, start: int, count: int, **values: Any) -> list[Sequenced]:
    """Records with their places, ready to publish."""
    return [Sequenced(log, event(number), of(log, number, **values)) for number in range(start, start + count)]


def batch(log: str, start: int, count: int, previous: str | None = None, **values: Any) -> list[Record]:
    """Chained records, as a sink is given them; `previous` is the hash before the first."""
    records = [{**item.record, "event_id": item.event_id} for item in sequenced(log, start, count, **values)]
    return chained(previous or genesis(log), records)


class Feed:
    """A sequencer reduced to its end: it publishes numbered records of both logs to a server."""

    def __init__(self, client: Client) -> None:
        self.client, self.publisher, self.epoch = client, Publisher(client), uuid.uuid4().hex
        self.lease = Lease(client, "sequencer", "feed")
        self.published: dict[str, list[Sequenced]] = {JOINS: [], CHANGES: []}
        self.publisher.begin_epoch(self.epoch)

    def publish(self, count: int, log: str = JOINS, **values: Any) -> list[Sequenced]:
        """Adds the next `count` records of a log."""
        items = sequenced(log, len(self.published[log]), count, **values)
        self.send(log, items)
        self.published[log] += items
        return items

    def send(self, log: str, items: list[Sequenced], last: str = "0-0") -> list[str | None]:
        """Publishes records as they are; gives the ids under which they stand."""
        assert self.lease.acquire()
        standing: list[str | None] = []
        for start in range(0, len(items), 100):
            some = items[start : start + 100]
            standing += self.publisher.publish(log, some, self.epoch, self.lease.value or "", last)
        return standing

    def chain(self, log: str = JOINS) -> list[Record]:
        """What every sink shall hold."""
        records = [{**item.record, "event_id": item.event_id} for item in self.published[log]]
        return chained(genesis(log), records)


def queue_length(client: Client, sink: str) -> int:
    """What `rq info` shows for a sink."""
    return int(client.llen(keys.queue(sink)))
