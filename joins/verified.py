"""The outcome of the watch's last `invitelog verify`, kept in Redis: what status, /healthz and alerts read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from joins import keys
from joins.redis_url import Client
from joins.scripts import text

SOUND, ALTERED, UNSETTLED = 0, 1, 2  # exit statuses of `invitelog verify`
WORDS = {SOUND: "all sound", ALTERED: "SOMETHING WAS ALTERED", UNSETTLED: "something could not be told"}
LATE_SECONDS = 2 * 86_400.0  # after which the daily run counts as missing
MOST = 5  # sentences that are kept


@dataclass(frozen=True)
class Verified:
    """`at` is when the run ended, in seconds since 1970 UTC; `anchors` are LOG:EVENT_ID:HASH, made on `day` (UTC)."""

    at: float
    status: int
    sentences: list[str] = field(default_factory=list)  # what was altered, or could not be told
    day: str = ""
    anchors: list[str] = field(default_factory=list)
    sound_at: float = 0.0  # when an earlier run last found all sound, if this one did not

    @property
    def ok(self) -> bool:
        """Whether nothing was altered."""
        return self.status != ALTERED


def write(client: Client, outcome: Verified) -> None:
    """Raises redis errors."""
    client.set(keys.VERIFIED, json.dumps(asdict(outcome)))


def read(client: Client) -> Verified | None:
    """None when the watch has not run yet. Raises redis errors."""
    value = client.get(keys.VERIFIED)
    try:
        return Verified(**json.loads(text(value))) if value else None
    except (ValueError, TypeError):  # written by a later version
        return None
