"""Anchors: what a log's head was on a day, kept where whoever rewrites the log later cannot reach.

    anchors/2026-11-26.json    {"heads": {"changes": {"event_id": …, "hash": …}, "joins": {…}}, "made_at": …}

One a day, only ever created; a bucket with Object Lock keeps it against the bucket's owner too. It holds no names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from joins.chain import canonical
from joins.cloud.bucket import Bucket
from joins.event_id import parse
from joins.records import LOGS
from joins.tail import Head

_FOLDER = "anchors"


@dataclass(frozen=True)
class Anchor:
    """A record that a log must hold, with its hash. `origin`: where that is written, for a sentence."""

    log: str
    event_id: str
    hash: str
    origin: str

    @property
    def text(self) -> str:
        """As a person copies it."""
        return f"{self.log}:{self.event_id}:{self.hash}"


def from_text(text: str, origin: str) -> Anchor:
    """The anchor in `LOG:EVENT_ID:HASH`. Raises ValueError."""
    log, event, digest = text.strip().strip("`").split(":")
    milliseconds, sequence = parse(event)
    if log not in LOGS or len(bytes.fromhex(digest)) != 32:
        raise ValueError(text)
    return Anchor(log, f"{milliseconds}-{sequence}", digest.lower(), origin)


def make(bucket: Bucket, day: str, made_at: str, heads: Mapping[str, Head]) -> bool:
    """Puts the anchor of a day (UTC, as 2026-11-26), once; False where there is one. Raises SinkUnavailable."""
    told = {log: {"event_id": event, "hash": digest} for log, (event, digest) in heads.items()}
    return bucket.create(_name(day), canonical({"heads": told, "made_at": made_at}))


def is_made(bucket: Bucket, day: str) -> bool:
    """Whether that day has its anchor. Raises SinkUnavailable."""
    return bucket.has(_name(day))


def read(bucket: Bucket) -> tuple[list[Anchor], list[str]]:
    """All anchors in a bucket, and the names of those that cannot be read. Raises SinkUnavailable."""
    found: list[Anchor] = []
    unreadable = []
    for name in bucket.names(_FOLDER):
        shown = f"{bucket.shown}/{name}"
        try:
            data = bucket.read(name) or b""
            heads = json.loads(data)["heads"]
            if canonical(json.loads(data)) != data or not heads:
                raise ValueError("it is written otherwise than this program writes it")
            found += [from_text(f"{log}:{head['event_id']}:{head['hash']}", shown) for log, head in heads.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            unreadable.append(shown)
    return found, unreadable


def _name(day: str) -> str:
    return f"{_FOLDER}/{day}.json"
