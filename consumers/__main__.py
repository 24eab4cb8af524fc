"""`python -m consumers <json|csv|sqlite|cloud>`: the consumer of one sink."""

from __future__ import annotations

import logging
import signal
import sys

from redis.exceptions import OutOfMemoryError, RedisError

from consumers.consumer import Consumer
from consumers.worker import SinkWorker
from joins import keys
from joins.errors import InviteLogError, LeaseLost, SettingsError, StartupError
from joins.logging_setup import setup
from joins.redis_url import shown, wait_for_server
from joins.settings import load

RETRY_SECONDS = 1.0
_log = logging.getLogger("consumers")


def main(arguments: list[str]) -> None:
    """Runs until SIGTERM or SIGINT. Raises StartupError."""
    if len(arguments) != 1 or arguments[0] not in keys.SINKS:
        raise SettingsError(f"say which sink: python -m consumers <{'|'.join(keys.SINKS)}>")
    settings = load()
    setup(settings.log_level)
    with Consumer(settings, arguments[0]) as consumer:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: consumer.stopping.set())
        wait_for_server(consumer.client, settings.redis_url or "", consumer.stopping)
        while not consumer.stopping.is_set():
            _work(consumer, shown(settings.redis_url or ""))


def _work(consumer: Consumer, server: str) -> None:
    """Works while this process is the one writer; returns when it is not, or when the server is away."""
    try:
        if consumer.take():
            SinkWorker(consumer).serve()
        else:
            consumer.say(
                "waiting", "another process has this sink, a consumer or a command; this one takes over when it ends"
            )
            consumer.stopping.wait(RETRY_SECONDS)
    except LeaseLost as error:
        _log.warning("%s", error)
    except OutOfMemoryError as error:
        # RQ's bookkeeping finds no room, but what is read and acknowledged makes some.
        if consumer.outage.since is None:
            _log.error("the Redis server at %s is full (%s); records are delivered without RQ's help", server, error)
        consumer.stopping.wait(max(consumer.attempt(), RETRY_SECONDS))
    except RedisError as error:
        if consumer.outage.since is None:
            _log.error("the Redis server at %s does not answer (%s); trying again until it does", server, error)
        consumer.stopping.wait(consumer.outage.failed("the Redis server does not answer"))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (StartupError, InviteLogError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence that start-up owes
        sys.exit(error.exit_code)
