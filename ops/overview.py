"""How the whole pipeline is, read from Redis: what `status`, `/healthz` and the demo show."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from redis.exceptions import ResponseError

from joins import dead_letters, event_id, keys, process_report, verified
from joins.process_report import Report
from joins.records import JOINS, LOGS
from joins.redis_url import Client
from joins.scripts import text
from joins.verified import Verified

AWAY_SECONDS = 120.0  # that the producer may be without Discord before it is no longer well
EQUAL, BEHIND, DIFFERENT, UNKNOWN = "equal", "behind", "different", "unknown"


@dataclass(frozen=True)
class SinkView:
    """One sink. Times are seconds since 1970 UTC, lag and memory are seconds and bytes."""

    name: str
    state: str  # working, failing, waiting, starting; down when no consumer reports
    reason: str | None
    since: float | None
    heads: dict[str, str]  # log -> event id of the last record
    hashes: dict[str, str]
    backlog: int  # entries of both streams that the sink has not acknowledged
    lag: float  # age of the oldest of them
    memory: int
    undone: str | None = None  # archiving, merging or the daily backup, where one of them fails
    undone_since: float | None = None

    @property
    def ok(self) -> bool:
        """Whether nobody needs to look after it."""
        return self.state == "working"


@dataclass(frozen=True)
class Overview:
    """Everything at one moment."""

    server: str
    server_memory: int
    producer: Report | None
    sinks: dict[str, SinkView]
    heads: dict[str, str]  # log -> whether the sinks' heads are equal, behind, or different at the same id
    last_join: float | None  # when the last join was recorded
    dead_letters: int  # that were not requeued
    verified: Verified | None  # the last daily verifying

    @property
    def memory(self) -> int:
        """Resident bytes of the server, the producer and the consumers together."""
        producer = self.producer.rss if self.producer else 0
        return self.server_memory + producer + sum(sink.memory for sink in self.sinks.values())

    @property
    def ok(self) -> bool:
        """Whether every part works and no sink contradicts another."""
        sinks = all(sink.ok for sink in self.sinks.values()) and DIFFERENT not in self.heads.values()
        return self._producing and sinks and (self.verified is None or self.verified.ok)

    @property
    def _producing(self) -> bool:
        if self.producer is None or self.producer.state != "working":
            return False
        away = self.producer.details.get("away_since")
        return away is None or time.time() - away < AWAY_SECONDS

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        sinks = {name: {**asdict(sink), "ok": sink.ok} for name, sink in self.sinks.items()}
        return {**asdict(self), "sinks": sinks, "memory": self.memory, "ok": self.ok}


def look(client: Client) -> Overview:
    """The state of everything now. Raises redis errors."""
    reports = process_report.read(client, (*keys.SINKS, "producer"))
    info: dict[str, Any] = client.info()
    sinks = {name: _sink(client, name, reports.get(name)) for name in keys.SINKS}
    newest = client.xrevrange(keys.stream(JOINS), count=1)
    return Overview(
        server=f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}",
        server_memory=int(info["used_memory_rss"]),
        producer=reports.get("producer"),
        sinks=sinks,
        heads={log: _agreement(sinks, log) for log in LOGS},
        last_join=event_id.milliseconds(text(newest[0][0])) / 1000 if newest else None,
        dead_letters=dead_letters.open_count(client),
        verified=verified.read(client),
    )


def _sink(client: Client, name: str, report: Report | None) -> SinkView:
    backlog, lag, heads = 0, 0.0, {}
    for log in LOGS:
        heads[log], waiting, oldest = _group(client, name, log)
        backlog, lag = backlog + waiting, max(lag, oldest)
    if report is None:
        return SinkView(name, "down", "no consumer reports", None, heads, {}, backlog, lag, 0)
    heads |= report.heads
    return SinkView(
        name, report.state, report.reason, report.since, heads, report.hashes, backlog, lag, report.rss,
        report.details.get("undone"), report.details.get("undone_since"),
    )  # fmt: skip


def _group(client: Client, sink: str, log: str) -> tuple[str, int, float]:
    """How far a sink's group has read, its backlog, and the age of the oldest entry in it."""
    stream = keys.stream(log)
    try:
        groups = {text(group["name"]): group for group in client.xinfo_groups(stream)}
    except ResponseError:  # there is no stream yet
        return event_id.ZERO, 0, 0.0
    if sink not in groups:
        return event_id.ZERO, int(client.xlen(stream)), _age(client, stream, event_id.ZERO)
    delivered, pending = text(groups[sink]["last-delivered-id"]), int(groups[sink]["pending"])
    backlog = int(groups[sink]["lag"] or 0) + pending
    if not backlog:
        return delivered, 0, 0.0
    first = client.xpending(stream, sink)["min"] if pending else None
    if first is not None:  # it may have been acknowledged meanwhile
        return delivered, backlog, max(0.0, time.time() - event_id.milliseconds(text(first)) / 1000)
    return delivered, backlog, _age(client, stream, delivered)


def _age(client: Client, stream: str, after: str) -> float:
    entries = client.xrange(stream, min=f"({after}", count=1)
    return max(0.0, time.time() - event_id.milliseconds(text(entries[0][0])) / 1000) if entries else 0.0


def _agreement(sinks: dict[str, SinkView], log: str) -> str:
    """Equal heads with equal hashes agree; equal heads with different hashes contradict each other."""
    known = [(sink.heads[log], sink.hashes[log]) for sink in sinks.values() if log in sink.hashes]
    by_id: dict[str, set[str]] = {}
    for head, digest in known:
        by_id.setdefault(head, set()).add(digest)
    if any(len(digests) > 1 for digests in by_id.values()):
        return DIFFERENT
    if len(known) < len(sinks):
        return UNKNOWN
    return EQUAL if len(by_id) == 1 else BEHIND
