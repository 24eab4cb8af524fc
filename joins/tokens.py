"""The RQ side that plain `rq info` sees: one job a sink, whose id stands in the sink's queue once a record of backlog.

An RQ queue is a Redis list of job ids, and `rq info` counts it with LLEN. Pushing the same id once a record, in the
script that publishes, makes that count the sink's true backlog at a cost of some fifty bytes a record.
"""

from __future__ import annotations

from rq.job import Job

from joins import keys
from joins.redis_url import Client

JOB_TIMEOUT = 120  # seconds that one delivery run may take before RQ interrupts it; a run stops by itself long before
FUNCTION = "consumers.jobs.deliver"


def write_jobs(client: Client) -> None:
    """Writes the jobs' hashes where they are missing. They never expire: every token refers to them."""
    for sink in keys.SINKS:
        job = Job.create(
            FUNCTION,
            args=(sink,),
            id=keys.job_id(sink),
            connection=client,
            origin=sink,
            description=f"deliver the backlog to the {sink} sink",
            timeout=JOB_TIMEOUT,
            result_ttl=-1,
            failure_ttl=-1,
        )
        if not client.exists(job.key):
            job.save(include_meta=False)


def show_outage(client: Client, sink: str, reason: str) -> None:
    """Lets `rq info` show one failed job for the sink, with the reason as its error."""
    job = Job.create(
        FUNCTION,
        args=(sink,),
        id=_outage_id(sink),
        connection=client,
        origin=sink,
        description=f"{sink} sink: {reason}",
        result_ttl=-1,
        failure_ttl=-1,
    )
    job.save(include_meta=False)
    with client.pipeline() as pipeline:
        job.failed_job_registry.add(job, ttl=-1, exc_string=reason, pipeline=pipeline)
        pipeline.execute()


def clear_outage(client: Client, sink: str) -> None:
    """Takes the failed job away again, and what RQ noted of an interrupted run."""
    client.zrem(f"rq:failed:{sink}", _outage_id(sink), keys.job_id(sink))
    client.delete(keys.job(_outage_id(sink)))


def _outage_id(sink: str) -> str:
    return f"{keys.job_id(sink)}-outage"
