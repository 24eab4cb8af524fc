"""The RQ worker of a sink: a SimpleWorker in the eyes of `rq info`, with a loop that outlives outages.

RQ's own loop ends at the first lost connection and knows no backoff; this one keeps RQ's bookkeeping (birth, heartbeat,
executions, results) and decides itself when to wait, when to go on, and when to stop.
"""

from __future__ import annotations

import contextlib
import logging

from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.worker import WorkerStatus

from consumers import jobs
from consumers.consumer import Consumer
from joins import keys
from joins.errors import LeaseLost
from joins.redis_url import BLOCK_SECONDS, SOCKET_TIMEOUT

WORKER_TTL = 30  # seconds after which `rq info` no longer shows a worker that was killed


class SinkWorker(SimpleWorker):
    """Works off the tokens of one sink."""

    log_result_lifespan = False

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._wait = 0.0  # seconds before the next try
        self._raised: Exception | None = None
        super().__init__(
            [consumer.sink],
            name=f"invitelog-{consumer.sink}",
            connection=consumer.client,
            worker_ttl=WORKER_TTL,
            log_job_description=False,
        )
        jobs.register(consumer.sink, self._attempt)
        for logger in ("rq.worker", "rq.job"):  # a line a job says nothing that `rq info` does not
            logging.getLogger(logger).setLevel(logging.ERROR)

    @property
    def connection_timeout(self) -> int:
        """Seconds; RQ would otherwise lengthen the client's socket timeout."""
        return int(SOCKET_TIMEOUT)

    def serve(self) -> None:
        """Delivers until the consumer is told to stop. Raises LeaseLost and redis errors."""
        self._begin()
        try:
            while not self._consumer.stopping.wait(self._wait):
                self._wait = 0.0
                token = self._next_token()
                if token is None:
                    self._consumer.look_around()
                else:
                    self.execute_job(*token)
                    if self._raised is not None:
                        raise self._raised
                self.heartbeat()
        finally:
            self._end()

    def _begin(self) -> None:
        """Registers this worker in place of one that was killed, and forgets the run that died with it."""
        queue = keys.queue(self._consumer.sink)
        self.connection.delete(self.key, self.executions_key, f"{queue}:intermediate", f"rq:wip:{self._consumer.sink}")
        self._raised = None
        self.register_birth()
        self.set_state(WorkerStatus.IDLE)
        self._consumer.look_around()

    def _end(self) -> None:
        with contextlib.suppress(RedisError):  # the worker's key expires by itself
            self.register_death()

    def _next_token(self) -> tuple[Job, Queue] | None:
        try:
            return self.queue_class.dequeue_any(self.queues, BLOCK_SECONDS, connection=self.connection)
        except DequeueTimeout:
            return None

    def _attempt(self) -> None:
        """What a token does. An error that ends `serve` is carried past RQ, which would take it for the job's."""
        try:
            self._wait = self._consumer.attempt()
        except (LeaseLost, RedisError) as error:
            self._raised = error
