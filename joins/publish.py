"""The sequencer's side of the streams: publishing under fixed ids, trimming, the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import ResponseError

from joins import event_id, keys
from joins.chain import Record, canonical
from joins.errors import LeaseLost, StreamForgot
from joins.json_format import to_line
from joins.records import VERSION, identity
from joins.redis_url import Client
from joins.scripts import script, text
from joins.tokens import write_jobs

MAX_BATCH = 100  # records a call; the script holds the server for about a millisecond


@dataclass(frozen=True)
class Sequenced:
    """A record with the place in its log's order that the sequencer gave it."""

    log: str
    event_id: str
    record: Record


class Publisher:
    """Publishes to the streams of one server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._publish, self._trim = script(client, "publish"), script(client, "trim")

    def publish(self, log: str, batch: Sequence[Sequenced], epoch: str, lease: str, last: str) -> list[str | None]:
        """Adds up to MAX_BATCH records of one log; `last` is the highest id known to be published.

        Gives, a record, the id under which it stands: its own, an earlier one when it had been published before, or
        None when a higher id was published meanwhile, so that it needs a new one. Raises StreamForgot when the epoch
        or `last` is gone from the server, LeaseLost when another sequencer took over, redis errors.
        """
        arguments: list[str | bytes] = [epoch, lease, last, *(keys.job_id(sink) for sink in keys.SINKS)]
        for item in batch:
            arguments += [item.event_id, str(VERSION), identity(log, item.record), to_line(item.record)]
            arguments += look_up(log, item.record)
        names = [keys.stream(log), keys.EPOCH, keys.lease("sequencer"), keys.PUBLISHED]
        names += [keys.ARRIVALS, keys.STAFF, keys.CODES, keys.ERASED, keys.RQ_QUEUES]
        for sink in keys.SINKS:
            names += [keys.queue(sink), keys.job(keys.job_id(sink))]
        reply = self._publish(keys=names, args=arguments)
        status = text(reply[0])
        if status == "FENCED":
            raise LeaseLost("another producer publishes now")
        if status != "OK":
            what = "its epoch" if status == "EPOCH" else f"records after {text(reply[1])}"
            raise StreamForgot(f"the Redis server has forgotten {what}: nothing is published until it is healed")
        if reply[1]:
            write_jobs(self._client)
        return [text(standing) or None for standing in reply[2:]]

    def last_id(self, log: str) -> str:
        """The highest id the stream ever had; 0-0 when there is no stream. Raises redis errors."""
        try:
            return text(self._client.xinfo_stream(keys.stream(log))["last-generated-id"])
        except ResponseError:
            return event_id.ZERO

    def epoch(self) -> str | None:
        """The epoch of the server, or None when it knows none."""
        value = self._client.get(keys.EPOCH)
        return text(value) if value else None

    def begin_epoch(self, epoch: str) -> None:
        """Declares the streams whole: publishing may go on."""
        self._client.set(keys.EPOCH, epoch)

    def mark_trimmed(self, log: str, event: str) -> None:
        """Says that the stream does not hold records up to `event`: a sink that ends below it lacks some."""
        self._client.hset(keys.TRIMMED, log, event)

    def trim(self, log: str, keep: int, upto: str = "") -> int:
        """Drops entries that every sink has acknowledged, beyond the newest `keep` or up to an id; says how many."""
        names = [keys.stream(log), keys.TRIMMED, keys.PUBLISHED, keys.VERDICTS]
        return int(self._trim(keys=names, args=[log, keep, upto, *keys.SINKS]))


def look_up(log: str, record: Record) -> tuple[str, str, str | bytes]:
    """What a change adds to the hashes in which it is looked up: which of them, field, value.

    The value of an erasure is its event id, which the publish script knows.
    """
    kind = record.get("change") if log == "changes" else None
    guild = record.get("guild_id")
    if kind in ("staff_set", "staff_retired"):
        known = {key: record.get(key) for key in ("staff_username", "ib_link", "ib_code")}
        return "staff", f"{guild}/{record['staff_id']}", canonical({**known, "retired": kind == "staff_retired"})
    if kind == "code_assigned":
        # A field an assignment: whoever joined before it is credited to the one before.
        return "codes", f"{guild}/{record['invite_code']}/{record['recorded_at']}", str(record["staff_id"])
    if kind == "erased":
        return "erased", f"{guild}/{record['user_id']}", ""
    return "", "", ""
