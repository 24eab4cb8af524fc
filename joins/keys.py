"""The names of all our keys in Redis, and the sinks. RQ's own keys are here where our scripts touch them."""

from __future__ import annotations

SINKS = ("json", "csv", "sqlite", "cloud")  # each a consumer group, an RQ queue, a process

EPOCH = "invitelog:epoch"  # string: which life of the streams this is; missing after the server forgot
PUBLISHED = "invitelog:published"  # hash: join_id or change_id -> event id, as far back as the streams reach
ARRIVALS = "invitelog:arrivals"  # hash: join_id -> raw arrival that has no record yet
UNCONFIRMED = "invitelog:unconfirmed"  # hash: join_id -> JSON of the attribution that member search shall confirm
INBOX = "invitelog:inbox"  # list: records handed to the sequencer by other processes
STAFF = "invitelog:staff"  # hash: guild/staff id -> JSON of the registered names and IB data
CODES = "invitelog:codes"  # hash: guild/invite code/time of the assignment -> staff id; before, without the time
ERASED = "invitelog:erased"  # hash: guild/user id -> event id of the last `erased` change about the person
OBEYED = "invitelog:obeyed"  # hash: event id/sink -> JSON list of where that sink could not erase
FENCE = "invitelog:fence"  # counter: the last fencing number given
TRIMMED = "invitelog:trimmed"  # hash: log -> highest id that was trimmed
VERDICTS = "invitelog:verdicts"  # hash: log/event id -> why the entry is no record
DEAD_LETTERS = "invitelog:dead-letters"  # stream: the entries that were condemned, and what the inbox refused
REQUEUED = (
    "invitelog:dead-letters:requeued"  # hash: id of a dead letter -> when it was handed over again, by which call
)
EVIDENCE = "invitelog:evidence"  # hash: guild id -> JSON of what the guild's next attribution starts from
LISTENED = "invitelog:listened"  # hash: guild id -> up to when its joins are surely known; "first" -> the first start
LEFT = "invitelog:left"  # hash: guild id -> up to when all its leaves are surely on record
BACKFILL = "invitelog:backfill"  # hash: guild id -> JSON of how far `invitelog backfill` has come
COMMANDS = "invitelog:commands"  # string: hash of the slash commands as last registered
VERIFIED = "invitelog:verified"  # string: JSON of the outcome of the last verifying
ANCHORED = "invitelog:anchored"  # string: the day whose anchors were said in the alerts channel
ALERTS = "invitelog:alerts"  # string: JSON of the troubles that were said in the alerts channel
RQ_QUEUES = "rq:queues"  # set: RQ's list of its queues


def stream(log: str) -> str:
    """The stream of a log."""
    return f"invitelog:{log}"


def lease(name: str) -> str:
    """The lease of a sink, or of the sequencer."""
    return f"invitelog:lease:{name}"


def process(name: str) -> str:
    """The hash in which a process says how it is."""
    return f"invitelog:process:{name}"


def queue(sink: str) -> str:
    """The list behind a sink's RQ queue."""
    return f"rq:queue:{sink}"


def proposal(proposal_id: str) -> str:
    """A string, JSON of a change that waits for a second person. It expires when nobody may approve it any more."""
    return f"invitelog:proposal:{proposal_id}"


def job(job_id: str) -> str:
    """The hash of an RQ job."""
    return f"rq:job:{job_id}"


def job_id(sink: str) -> str:
    """The id of the one job of a sink, pushed once a record."""
    return f"invitelog-{sink}"
