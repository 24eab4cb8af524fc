"""The invites of a generated guild as they truly are. Times are seconds since its beginning."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrueInvite:
    code: str
    max_uses: int
    expires_at: float | None
    channel: str
    made_at: float
    shows: list[float] = field(default_factory=list)  # when each use becomes visible
    deleted_at: float | None = None

    def _is_over(self, now: float) -> bool:
        ends = (self.deleted_at, self.expires_at)
        return now < self.made_at or any(end is not None and end <= now for end in ends)

    def uses(self, now: float) -> int:
        return sum(show <= now for show in self.shows)

    def listed(self, now: float) -> bool:
        return not (self._is_over(now) or (self.max_uses and self.uses(now) >= self.max_uses))

    def usable(self, now: float) -> bool:
        return not (self._is_over(now) or (self.max_uses and len(self.shows) >= self.max_uses))


@dataclass
class TrueVanity:
    code: str | None
    since: float
    before: int = 0  # uses that it began with
    shows: list[float] = field(default_factory=list)
