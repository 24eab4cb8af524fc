"""The function behind every token in a sink's RQ queue."""

from __future__ import annotations

from collections.abc import Callable

_runs: dict[str, Callable[[], None]] = {}


def register(sink: str, run: Callable[[], None]) -> None:
    """Says what this process does with a token of `sink`."""
    _runs[sink] = run


def deliver(sink: str) -> None:
    """Delivers the backlog of a sink: the job that RQ runs.

    In a worker that is not ours (`rq worker json`) it opens the sink for this one run, unless a consumer has it.
    """
    if sink in _runs:
        _runs[sink]()
        return
    from consumers.consumer import Consumer
    from joins.settings import load

    with Consumer(load(), sink) as consumer:
        if consumer.take():
            consumer.attempt()
