"""Snowflake ids as Discord makes them: 42 bits of milliseconds, 10 bits of origin, 12 bits of counter.

Source: https://discord.com/developers/docs/reference#snowflakes
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

EPOCH_MS = 1_420_070_400_000
"""Discord's epoch (2015-01-01 UTC) in Unix milliseconds."""

_COUNTER_BITS = 22


class SnowflakeMaker:
    """Makes ids that are unique and rise. Origin and counter share the low 22 bits."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._counter = 0

    def make(self, at: datetime | None = None) -> int:
        """A new id for the moment `at` (default: now)."""
        if at is not None:
            # An id for a past moment: the counter alone keeps it unique.
            self._counter += 1
            low = self._counter % (1 << _COUNTER_BITS)
            return ((int(at.timestamp() * 1000) - EPOCH_MS) << _COUNTER_BITS) | low
        now_ms = max(int(time.time() * 1000) - EPOCH_MS, self._last_ms)
        if now_ms > self._last_ms:
            self._last_ms, self._counter = now_ms, 0
        self._counter += 1
        if self._counter >= 1 << _COUNTER_BITS:
            self._last_ms, self._counter = self._last_ms + 1, 1
        return (self._last_ms << _COUNTER_BITS) | self._counter


def created_at(snowflake: int) -> datetime:
    """When `snowflake` was made (UTC)."""
    return datetime.fromtimestamp(((snowflake >> _COUNTER_BITS) + EPOCH_MS) / 1000, UTC)


def shard_of(guild_id: int, shard_count: int) -> int:
    """The shard that gets a guild's events.

    Source: https://discord.com/developers/docs/events/gateway#sharding-sharding-formula
    """
    return (guild_id >> _COUNTER_BITS) % shard_count
