"""Event ids: `<milliseconds>-<sequence>`, the ids of stream entries and the order of every log.

Format: https://redis.io/docs/latest/develop/data-types/streams/#entry-ids (two unsigned 64-bit numbers).
"""

from __future__ import annotations

import time

ZERO = "0-0"


def parse(event_id: str) -> tuple[int, int]:
    """The two numbers of an id, so that ids compare as numbers. Raises ValueError when it is no id."""
    milliseconds, _, sequence = event_id.partition("-")
    return int(milliseconds), int(sequence)


def is_above(event_id: str, other: str) -> bool:
    """Whether `event_id` comes later in the order than `other`."""
    return parse(event_id) > parse(other)


def latest(*event_ids: str) -> str:
    """The highest of some ids; `0-0` when there is none."""
    return max(event_ids, key=parse, default=ZERO)


def following(last: str, now_ms: int | None = None) -> str:
    """The next id after `last`: the present millisecond, or `last`'s own when the clock went back.

    A clock that steps back must not stall or reorder the log, so ids only ever grow.
    """
    milliseconds, sequence = parse(last)
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{now_ms}-0" if now_ms > milliseconds else f"{milliseconds}-{sequence + 1}"


def before(event_id: str) -> str:
    """The id right before one; there is none before `0-0`."""
    milliseconds, sequence = parse(event_id)
    return f"{milliseconds}-{sequence - 1}" if sequence else f"{max(milliseconds - 1, 0)}-{2**64 - 1}"


def milliseconds(event_id: str) -> int:
    """When the record was sequenced, in milliseconds since 1970 UTC."""
    return parse(event_id)[0]
