"""What the producer does when a person's names are to be erased: outbox, look-up hashes, dead letters, streams.

The sinks obey by themselves. An entry of a stream cannot be altered, so the streams are cut after it, once every sink
has it; a sink that is lost then is filled from another. Each step may be done again.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import Any

from redis.exceptions import RedisError

from joins import dead_letters, event_id, keys
from joins.erasure import Erasure
from joins.publish import Publisher
from joins.records import LOGS
from joins.redis_url import Client
from joins.scripts import text
from joins.scrubbing import needles, scrub_value
from producer.outbox import Outbox

NAME = "producer"  # under which it says that it has obeyed, as the sinks do under theirs
_log = logging.getLogger("producer.forgetting")


class Forgetting:
    """Looked after every few seconds by the publisher's thread."""

    def __init__(self, client: Client, publisher: Publisher, outbox: Outbox) -> None:
        self._client, self._publisher, self._outbox = client, publisher, outbox
        self._known = -1  # how many orders there were at the last look
        self._cut: dict[str, str] = {}  # log -> id up to which its stream is known to hold nothing

    def healed(self) -> None:
        """The streams were given back records: what was known of them no longer holds."""
        self._cut.clear()

    def look(self) -> None:
        """Obeys what is new. Raises SinkUnavailable, redis errors."""
        if not self._client.exists(keys.ERASED):
            return
        orders = [_order(text(field), text(value)) for field, value in self._client.hgetall(keys.ERASED).items()]
        done = self._client.hmget(keys.OBEYED, [f"{order.event_id}/{NAME}" for order in orders])
        new = [order for order, obeyed in zip(orders, done, strict=True) if obeyed is None]
        if new and self._obey(new):
            told: Any = {f"{order.event_id}/{NAME}": "[]" for order in new}
            self._client.hset(keys.OBEYED, mapping=told)
        self._cut_streams(event_id.latest(*(order.event_id for order in orders)))

    def _obey(self, orders: list[Erasure]) -> bool:
        """Whether the outbox could let go of the names already: what waits on disk alone is published first."""
        with self._outbox.lock:
            if not self._outbox.erase(orders):
                return False
        for order in orders:
            forget_staff_name(self._client, f"{order.guild_id}/{order.user_id}")
        for field, value in self._client.hgetall(keys.UNCONFIRMED).items():
            if any(needle.decode() in text(value) for needle in needles(orders)):
                self._client.hset(keys.UNCONFIRMED, text(field), _scrubbed_text(text(value), orders))
        self._dead_letters(orders)
        self._proposals(orders)
        return True

    def _dead_letters(self, orders: list[Erasure]) -> None:
        """A dead letter cannot be read as a record, so one that names the person loses what it held as a whole.

        A letter without it takes its place, and the note that its record was handed over again.
        """
        untyped: Any = self._client
        after = "-"
        while page := untyped.xrange(keys.DEAD_LETTERS, after, "+", count=dead_letters.PAGE):
            after = b"(" + page[-1][0]
            for entry, fields in page:
                if any(needle in value for needle in needles(orders) for value in fields.values()):
                    noted = self._client.hget(keys.REQUEUED, text(entry))
                    with self._client.pipeline() as pipeline:
                        kept = {**fields, b"fields": b"[]", b"reason": b"erased on request", b"was": entry}
                        pipeline.xadd(keys.DEAD_LETTERS, kept)
                        pipeline.xdel(keys.DEAD_LETTERS, entry)
                        pipeline.hdel(keys.REQUEUED, text(entry))
                        added = text(pipeline.execute()[0])
                    if noted is not None:
                        self._client.hset(keys.REQUEUED, added, noted)

    def _proposals(self, orders: list[Erasure]) -> None:
        """What waits for a second person holds the names of three: it has to be proposed again."""
        for name in self._client.scan_iter(keys.proposal("*"), count=1000):
            held = self._client.get(name)
            if held is not None and any(needle in held for needle in needles(orders)):
                self._client.delete(name)

    def _cut_streams(self, upto: str) -> None:
        cut = 0
        for log in LOGS:
            if self._cut.get(log) == upto:
                continue
            while dropped := self._publisher.trim(log, 1 << 30, upto):
                cut += dropped
            untyped: Any = self._client
            first = untyped.xrange(keys.stream(log), count=1)
            if not first or event_id.is_above(text(first[0][0]), upto):
                self._cut[log] = upto
        if cut:
            _log.info("%d entries were cut from the streams, since names in them were erased", cut)
            # The embedded server's file still has them until it is written anew; a managed one looks after its own.
            with contextlib.suppress(RedisError):
                self._client.bgrewriteaof()


def forget_staff_name(client: Client, field: str) -> None:
    """Takes the name out of the look-up hash of staff. Raises redis errors."""
    if value := client.hget(keys.STAFF, field):
        client.hset(keys.STAFF, field, json.dumps({**json.loads(value), "staff_username": None}))


def _order(field: str, event: str) -> Erasure:
    guild, person = field.split("/")
    return Erasure(guild, person, event)


def _scrubbed_text(value: str, orders: list[Erasure]) -> str:
    people = frozenset(order.user_id for order in orders)
    return json.dumps(scrub_value(json.loads(value), people), separators=(",", ":"))
