"""One gateway session: it outlives its connection, numbers events and keeps them for RESUME.

Source: https://discord.com/developers/docs/events/gateway#resuming
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from typing import TYPE_CHECKING

from .events import Event
from .snowflake import shard_of

if TYPE_CHECKING:
    from .connection import Connection

BUFFER = 5000
"""Events kept for a RESUME; an older sequence gets INVALID_SESSION."""


class Session:
    """What a client identified as, and every event since that it may have missed."""

    def __init__(self, intents: int, shard_id: int, shard_count: int) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.shard_id = shard_id
        self.shard_count = shard_count
        self.sequence = 0
        self.ready = False
        self.connection: Connection | None = None
        self.lost_at: float | None = None
        self._sent: deque[tuple[int, str]] = deque(maxlen=BUFFER)

    def take(self, connection: Connection) -> None:
        """The client is connected."""
        self.connection, self.lost_at = connection, None

    def lose(self) -> None:
        """The client is gone; events are kept for it."""
        if self.connection is not None:
            self.connection, self.lost_at = None, time.monotonic()

    def wants(self, event: Event) -> bool:
        """True when shard and intents let the event through."""
        if event.intent and not self.intents & event.intent:
            return False
        if event.guild_id is None:
            return self.shard_id == 0
        return self.covers(event.guild_id)

    def covers(self, guild_id: int) -> bool:
        """True when the guild is on this shard."""
        return shard_of(guild_id, self.shard_count) == self.shard_id

    def dispatch(self, event: Event) -> None:
        """Numbers, keeps and (when connected) sends the event."""
        self.sequence += 1
        text = f'{{"op":0,"t":"{event.name}","s":{self.sequence},"d":{event.encoded}}}'
        self._sent.append((self.sequence, text))
        if self.connection is not None:
            self.connection.send_text(text)

    def missed(self, after: int) -> list[str] | None:
        """The frames after sequence `after`; None when they are not all kept any more."""
        if after > self.sequence:
            return None
        kept = [text for number, text in self._sent if number > after]
        return kept if len(kept) == self.sequence - after else None

    def forget(self) -> None:
        """Drops what is kept, as if too much had happened since."""
        self._sent.clear()
