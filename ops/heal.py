"""`invitelog heal`: gives a server that forgot its records back, from the copies, and says what was missing."""

from __future__ import annotations

import time

import click
from redis.exceptions import RedisError

from joins import event_id, keys, process_report
from joins import settings as settings_module
from joins.copies import finding
from joins.durable import FolderLock, folder_id, make_folder
from joins.errors import InviteLogError, ServerUnreachable
from joins.lease import Lease
from joins.publish import Publisher
from joins.records import LOGS
from joins.redis_url import Client, connect, shown
from joins.settings import Settings
from ops import embedded
from producer import healing
from producer.outbox import Outbox

PATIENCE = 90.0  # seconds that a running producer is waited for: it may wait for the cloud in turn
STEP = 0.25  # seconds between two looks


@click.command()
@click.option("--dry-run", is_flag=True, help="Say only what the server lacks.")
def heal(dry_run: bool) -> None:
    """Give a Redis server that forgot records those records back, under their own ids.

    The producer does this by itself; this shows it, and does it where no producer runs. Harmless when nothing is
    missing.
    """
    settings = settings_module.load()
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=2)
    try:
        whole = _show(settings, client)
        if dry_run:
            return
        if whole:
            click.echo("Nothing is missing.")
        elif process_report.read(client, ("producer",)):
            _ask_producer(client)
        else:
            _heal_here(settings, client)
    except RedisError as error:
        raise ServerUnreachable(
            f"the Redis server at {shown(url)} does not answer ({error}): start it first."
        ) from error
    finally:
        client.close()


def _show(settings: Settings, client: Client) -> bool:
    """A line a log: how far the stream goes and how far each copy; whether the stream lacks nothing."""
    publisher, whole = Publisher(client), True
    epoch = publisher.epoch()
    for log in LOGS:
        last = publisher.last_id(log)
        copies = finding.readable(log, settings)
        reach = event_id.latest(last, *(copy.head[0] for copy in copies))
        lacks = event_id.is_above(reach, last)
        whole = whole and not lacks and epoch is not None
        told = ", ".join(f"{copy.sink} {copy.head[0]}" for copy in copies) or "no copy holds a record"
        click.echo(f"{log}: the stream ends at {last}; {told}{' — the stream lacks records' if lacks else ''}")
    if epoch is None:
        click.echo("The server knows no epoch: it is new, or it was emptied.")
    return whole


def _ask_producer(client: Client) -> None:
    """A producer that misses the epoch heals; it looks every few seconds."""
    client.delete(keys.EPOCH)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        time.sleep(STEP)
        if client.exists(keys.EPOCH):
            click.echo("The producer has healed the streams.")
            return
    report = process_report.read(client, ("producer",)).get("producer")
    reason = report.reason if report and report.reason else "it says no reason"
    raise InviteLogError(f"the producer could not heal the streams within {PATIENCE:.0f} s: {reason}")


def _heal_here(settings: Settings, client: Client) -> None:
    folder = make_folder(settings.invite_logs_dir)
    lock, lease = FolderLock(folder, "producer"), Lease(client, "sequencer", folder_id(folder))
    if not lock.acquire():
        raise InviteLogError(
            "a producer is at work in this folder but does not report: wait, or stop it, then try again"
        )
    try:
        if not lease.acquire():
            raise InviteLogError("a producer is at work on another machine: it heals by itself")
        outbox = Outbox(folder / "outbox" / "outbox.jsonl")
        try:
            added = healing.heal(client, Publisher(client), outbox, settings, lease)
        finally:
            outbox.close()
            lease.release()
    finally:
        lock.release()
    click.echo(f"{added} records were added again under their own ids.")
