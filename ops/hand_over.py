"""Handing records to the running producer, which gives them their place in the log."""

from __future__ import annotations

import time
from collections.abc import Sequence

from redis.client import Pipeline

from joins import inbox, keys, process_report
from joins.chain import Record
from joins.errors import InviteLogError
from joins.records import JOINS
from joins.redis_url import Client

LONGEST = 5000  # records that may wait in the inbox before more are handed over
STEP = 0.1  # seconds between two looks at the inbox
_AT_ONCE = 100  # records in one command


def demand_producer(client: Client, then: str = "run this again") -> None:
    """Raises InviteLogError when no producer runs, saying what to do `then`; redis errors."""
    if not process_report.read(client, ("producer",)):
        raise InviteLogError(
            "no producer is running on this Redis server, and it must give the records their place in the log: "
            f"start it (`invitelog up`), then {then}."
        )


def wait_for_room(client: Client) -> None:
    """Returns when the inbox takes more. Raises InviteLogError when the producer is gone, redis errors."""
    looks = 0
    while client.llen(keys.INBOX) > LONGEST:
        looks += 1
        if looks % 50 == 0:
            demand_producer(client)
        time.sleep(STEP)


def put(pipeline: Pipeline, records: Sequence[Record]) -> None:
    """Adds joins to the inbox, in their order, once the pipeline is executed.

    A retry may hand them over twice: what is repeated has the same join ids, and is dropped by those.
    """
    for start in range(0, len(records), _AT_ONCE):
        some = records[start : start + _AT_ONCE]
        pipeline.rpush(keys.INBOX, *(inbox.item(JOINS, record) for record in some))
