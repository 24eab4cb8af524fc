"""`invitelog status`: how the pipeline is, for a person or, with --json, for a program."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError

from joins import settings as settings_module
from joins import verified
from joins.errors import ServerUnreachable
from joins.redis_url import connect, shown
from ops import embedded
from ops.overview import Overview, look

REFRESH = 2.0  # seconds between two looks of --watch
_HEADS = {
    "equal": "the four heads are equal",
    "behind": "some sinks are behind; no contradiction",
    "different": "THE SINKS CONTRADICT EACH OTHER at the same record",
    "unknown": "not every sink reports",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a program.")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until Ctrl-C.")
def status(as_json: bool, watch: bool) -> None:
    """Show each sink's head, backlog and trouble. Exit status 0 when all is well, 1 when not."""
    settings = settings_module.load()
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    while True:
        try:
            overview = look(client)
        except RedisError as error:
            held = _outbox_bytes(settings.invite_logs_dir)
            raise ServerUnreachable(
                f"the Redis server at {shown(url)} does not answer ({error}): is `invitelog up` running?"
                + (f" The outbox in {settings.invite_logs_dir} has {size(held)} meanwhile." if held else "")
            ) from error
        if watch and not as_json:
            click.clear()
        click.echo(json.dumps(overview.as_json()) if as_json else "\n".join(lines(overview)))
        if not watch:
            sys.exit(0 if overview.ok else 1)
        time.sleep(REFRESH)


def lines(overview: Overview) -> list[str]:
    """The overview as a table for a terminal."""
    rows = [f"{'SINK':<8} {'STATE':<9} {'BACKLOG':>8} {'LAG':>7} {'MEMORY':>8}  LAST RECORD (joins, changes)"]
    for sink in overview.sinks.values():
        heads = ", ".join(sink.heads.values())
        rows.append(
            f"{sink.name:<8} {sink.state:<9} {sink.backlog:>8} {duration(sink.lag):>7} {size(sink.memory):>8}  {heads}"
        )
        if sink.reason:
            since = f" for {duration(time.time() - sink.since)}" if sink.since else ""
            rows.append(f"{'':8} {sink.state}{since}: {sink.reason}")
        if sink.undone:
            since = f" for {duration(time.time() - sink.undone_since)}" if sink.undone_since else ""
            rows.append(f"{'':8} every record is written, but{since}: {sink.undone}")
    rows += [f"{log + ':':<9}{_HEADS[agreement]}" for log, agreement in overview.heads.items()]
    rows.append(_producer(overview))
    last = "none yet" if overview.last_join is None else _ago(overview.last_join)
    letters = f"{overview.dead_letters} (`invitelog dead-letters list`)" if overview.dead_letters else "0"
    rows.append(f"last join recorded: {last}; dead letters: {letters}")
    rows.append(_verified(overview))
    rows.append(f"memory: {size(overview.memory)} in all, {overview.server} {size(overview.server_memory)}")
    return rows


def duration(seconds: float) -> str:
    """Seconds for a person: 0 s, 45 s, 12 min, 3 h, 5 d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: int) -> str:
    """Bytes for a person, in megabytes."""
    return f"{count / 1e6:.0f} MB" if count else "-"


def _producer(overview: Overview) -> str:
    producer = overview.producer
    if producer is None:
        return "producer: down, no producer reports"
    details = producer.details
    held = f"{details.get('outbox', 0)} records in its outbox{_share(details)}"
    held += f", {details.get('arrivals', 0)} arrivals being attributed"
    trouble = f" for {duration(time.time() - producer.since)}: {producer.reason}" if producer.since else ""
    away = details.get("away_since")
    held = f"without Discord for {duration(time.time() - away)}; {held}" if away else held
    return f"producer: {producer.state}{trouble}; {held}; {size(producer.rss)}"


def _verified(overview: Overview) -> str:
    found = overview.verified
    if found is None:
        return "verified: not yet (`invitelog verify` does it now)"
    sentences = "".join(f"\n{'':8} {sentence}" for sentence in found.sentences)
    return f"verified: {verified.WORDS[found.status]}, {_ago(found.at)}{sentences}"


def _outbox_bytes(folder: Path) -> int:
    """What the outbox takes on this disk; 0 when it is on another."""
    try:
        return sum(path.stat().st_size for path in (folder / "outbox").glob("*.jsonl"))
    except OSError:
        return 0


def _share(details: dict[str, Any]) -> str:
    """How full the outbox is, where that is worth a word."""
    if not details.get("outbox") or not details.get("outbox_limit"):
        return ""
    share = 100 * details["outbox"] / details["outbox_limit"]
    return f" ({share:.0f} % of OUTBOX_LIMIT, {size(details.get('outbox_bytes', 0))} on disk)"


def _ago(moment: float) -> str:
    shown_at = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{shown_at}, {duration(max(0.0, time.time() - moment))} ago"
