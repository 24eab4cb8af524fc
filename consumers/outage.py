"""An outage of a sink: since when, why, and how long to wait before the next try."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds; doubled each time, and jittered so that sinks do not retry as one


@dataclass
class Outage:
    """None is going on while `since` is None."""

    reason: str | None = None
    since: float | None = None  # seconds since 1970 UTC
    tries: int = 0

    def failed(self, reason: str) -> float:
        """Notes a failed try; gives the seconds to wait before the next."""
        self.since = self.since or time.time()
        self.reason, self.tries = reason, self.tries + 1
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.tries - 1, 10))
        return random.uniform(longest / 2, longest)

    def over(self) -> float | None:
        """Notes a success; gives the seconds that the outage lasted, or None when there was none."""
        lasted = None if self.since is None else time.time() - self.since
        self.reason, self.since, self.tries = None, None, 0
        return lasted
