"""How much waits in the outbox, and from when on that is worth a word. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = (50, 90, 100)  # per cent of OUTBOX_LIMIT at which somebody is told
REDIS_FULL = (
    "the Redis server is full (maxmemory is reached, and it evicts nothing): give it more memory, or let the copy that "
    "is behind catch up; the outbox keeps all of it until there is room"
)


@dataclass(frozen=True)
class Backlog:
    """What waits."""

    records: int
    limit: int  # records; OUTBOX_LIMIT
    bytes: int = 0  # of the outbox on disk
    redis_full: bool = False

    @property
    def level(self) -> int:
        """The highest of LEVELS that is reached; 0 below them."""
        return max((level for level in LEVELS if self.records * 100 >= level * self.limit), default=0)

    @property
    def sentence(self) -> str:
        """What is said at a level."""
        if self.level == LEVELS[-1]:
            how = "is over its limit"
            then = "nothing is dropped: it goes on until the disk is full, so bring Redis back now"
        else:
            how = f"has reached {self.level} % of its limit"
            then = "nothing is lost; bring Redis back"
        return f"the outbox {how}: {self.records:,} records wait for Redis, the limit is {self.limit:,}; {then}"
