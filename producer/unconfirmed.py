"""Joins that wait for member search to confirm them, kept in a Redis hash so that a restart does not forget them.

Redis may be away: what could not be written is written later, and the joins of the last minute are in the outbox.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from joins import keys
from joins.chain import Record, canonical
from joins.redis_url import Client
from producer.join_record import received_at
from producer.staff_registry import Staff

log = logging.getLogger("producer")


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """What a join's record says that member search may confirm or correct.

    `staff` names, by code, for whom each code stood when the member joined: of the code recorded, or the candidates.
    """

    join_id: str
    guild_id: str
    user_id: str
    joined_at: str
    recorded_at: str
    invite_code: str | None
    staff_id: str | None
    staff_username: str | None
    confidence: str
    source: str
    method: str
    received_at: str  # when its event came, by this machine's clock
    staff: dict[str, Staff | None]

    def to_json(self) -> bytes:
        """For the hash."""
        staff = {code: [who.staff_id, who.staff_username] if who else None for code, who in self.staff.items()}
        return canonical({name: getattr(self, name) for name in _PLAIN} | {"staff": staff})


_PLAIN = tuple(name for name in Unconfirmed.__dataclass_fields__ if name != "staff")


def of_record(record: Record, staff: dict[str, Staff | None]) -> Unconfirmed:
    """What a join's record leaves to be confirmed."""
    values: dict[str, Any] = {name: record.get(name) for name in _PLAIN}
    values |= {"joined_at": record["timestamp"], "received_at": received_at(record)}
    return Unconfirmed(**values, staff=staff)


def from_json(text: bytes | str) -> Unconfirmed:
    """The reverse of `to_json`. Raises ValueError, KeyError or TypeError when it is none."""
    values: dict[str, Any] = json.loads(text)
    staff = {code: Staff(*who) if who else None for code, who in values["staff"].items()}
    values.setdefault("received_at", values["joined_at"])  # kept by a version that did not note it
    return Unconfirmed(**{name: values[name] for name in _PLAIN}, staff=staff)


class UnconfirmedStore:
    """The hash. `load` and `flush` wait for Redis, so they belong into a thread; `put` and `drop` take no time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._unsaved: dict[str, bytes | None] = {}
        self._lock = threading.Lock()

    def put(self, join: Unconfirmed) -> None:
        """Keeps a join from the next `flush` on."""
        self._note({join.join_id: join.to_json()})

    def drop(self, join_id: str) -> None:
        """Lets go of a join with the next `flush`."""
        self._note({join_id: None})

    def load(self) -> list[Unconfirmed]:
        """Every join kept by an earlier start. Raises redis errors."""
        joins = []
        for join_id, text in self._client.hgetall(keys.UNCONFIRMED).items():
            try:
                joins.append(from_json(text))
            except (ValueError, KeyError, TypeError) as error:
                log.warning("%s: an entry that cannot be read is dropped: %s", keys.UNCONFIRMED, error)
                self._client.hdel(keys.UNCONFIRMED, join_id)
        return joins

    def flush(self) -> bool:
        """Writes what changed; False when Redis takes nothing, and it is tried with the next `flush`."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
        kept: dict[Any, Any] = {join_id: text for join_id, text in unsaved.items() if text is not None}
        gone = [join_id for join_id, text in unsaved.items() if text is None]
        try:
            if kept:
                self._client.hset(keys.UNCONFIRMED, mapping=kept)
            if gone:
                self._client.hdel(keys.UNCONFIRMED, *gone)
        except RedisError:
            with self._lock:
                self._unsaved = unsaved | self._unsaved
            return False
        return True

    def _note(self, entry: dict[str, bytes | None]) -> None:
        with self._lock:
            self._unsaved |= entry
