"""`invitelog erase <user id>`: takes a person's names out of every copy, on demand, for good.

Ids and attributions stay, and so does the hash chain. The order is a change in the log; every sink obeys it by itself,
also one that is away now. This command gives the order, cleans what was set aside here, and waits to tell the outcome.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click
from redis.exceptions import RedisError

from joins import inbox, keys, process_report
from joins import settings as settings_module
from joins.chain import Record
from joins.copies import finding
from joins.erasure import KIND, Erasure
from joins.errors import InviteLogError, LogDamaged, ServerUnreachable, SettingsError
from joins.event_id import ZERO
from joins.form import json_form
from joins.groups import Entry
from joins.records import CHANGES, LOGS, timestamp
from joins.redis_url import Client, connect, shown
from joins.scripts import text
from joins.settings import Settings
from joins.whole_log import WholeLog
from ops import embedded, leftovers

NOT_YET = 2  # exit status: the order is given, but names remain somewhere
PUBLISHING_SECONDS = 30.0  # that the producer may take to give the order its place
WAIT_SECONDS = 60  # that the copies are waited for by default
STEP = 0.25  # seconds between two looks
_PEOPLE = ("user_id", "staff_id", "actor_id")


@click.command()
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Really do it: names that are erased cannot be brought back.")
@click.option("--wait", default=WAIT_SECONDS, show_default=True, help="Seconds to wait until every copy has obeyed.")
def erase(user_id: str, yes: bool, wait: int) -> None:
    """Take a person's names out of every log, database, cloud object and set-aside file, as the law lets them demand.

    Ids and attributions stay, and the logs still verify. Exit status 2: the order is given, but some copy has yet to
    obey it, or keeps old bytes that this program cannot reach; each is named.
    """
    if not (user_id.isascii() and user_id.isdigit() and 15 <= len(user_id) <= 20):
        raise SettingsError(
            f"{user_id!r} is no user id: it is a number of 17 to 20 digits (Developer Mode, Copy User ID)"
        )
    settings = settings_module.load()
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    try:
        found = mentions(settings, client, user_id)
        if not found:
            raise InviteLogError(f"no record that can be read from here is about user {user_id}")
        count = sum(found.values())
        if not yes:
            raise InviteLogError(
                f"{count} records in {len(found)} servers are about user {user_id}. Their names would be erased from "
                "every copy and could not be brought back; ids and attributions stay. Say --yes to do it."
            )
        orders = _give(client, user_id, sorted(found))
        told = leftovers.clean(settings.invite_logs_dir, orders)
        outcome = _await(client, orders, wait)
    except RedisError as error:
        raise ServerUnreachable(
            f"the Redis server at {shown(url)} does not answer ({error}): start it first."
        ) from error
    finally:
        client.close()
    click.echo(f"User {user_id}: names in {count} records of {len(found)} servers are erased by order.")
    for line in (*(f"set aside: {sentence}" for sentence in told), *outcome.lines()):
        click.echo(line)
    sys.exit(NOT_YET if outcome.open else 0)


def mentions(settings: Settings, client: Client, user_id: str) -> dict[str, int]:
    """In how many records of each guild the person stands: in the JSON log or else the longest copy, and the stream."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, int] = {}

    def count(log: str, record: Record, event: str) -> None:
        if (log, event) not in seen and any(record.get(key) == user_id for key in _PEOPLE):
            seen.add((log, event))
            guild = str(record["guild_id"])
            found[guild] = found.get(guild, 0) + 1

    for log in LOGS:
        there, folder = False, settings.invite_logs_dir
        with contextlib.suppress(OSError, ValueError, KeyError, LogDamaged), WholeLog(folder, json_form(log)) as whole:
            for record in whole.containing(user_id.encode()):
                count(log, record, str(record["event_id"]))
            there = True
        if not there and (copy := finding.longest(finding.readable(log, settings))) is not None:
            for record in copy.after(ZERO):
                count(log, record, record["event_id"])
        for name, fields in _entries(client, log):
            if user_id.encode() in fields.get(b"r", b""):
                with contextlib.suppress(InviteLogError):
                    count(log, Entry(log, name, fields).record(), name)
    return found


def _entries(client: Client, log: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    untyped: Any = client
    last = "-"
    while page := untyped.xrange(keys.stream(log), min=last, count=500):
        yield from ((text(name), fields) for name, fields in page)
        last = f"({text(page[-1][0])}"


def _give(client: Client, user_id: str, guilds: list[str]) -> list[Erasure]:
    """Hands an order a guild to the producer, and waits for their places in the log."""
    if not process_report.read(client, ("producer",)):
        raise InviteLogError(
            "no producer is running on this Redis server, and it must give the order its place in the log: start it "
            "(`invitelog up`), then run this again."
        )
    changes = [
        {
            "recorded_at": timestamp(datetime.now(UTC)),
            "change": KIND,
            "change_id": uuid4().hex,
            "guild_id": guild,
            "user_id": user_id,
        }
        for guild in guilds
    ]
    fields = [f"{guild}/{user_id}" for guild in guilds]
    before = client.hmget(keys.ERASED, fields)
    client.rpush(keys.INBOX, *(inbox.item(CHANGES, change) for change in changes))
    until = time.monotonic() + PUBLISHING_SECONDS
    while True:
        places = client.hmget(keys.ERASED, fields)
        if all(place and place != old for place, old in zip(places, before, strict=True)):
            return [Erasure(guild, user_id, text(place)) for guild, place in zip(guilds, places, strict=True)]
        if time.monotonic() > until:
            raise InviteLogError(
                f"the producer did not record the order within {PUBLISHING_SECONDS:.0f} s; it will, once it can: see "
                "`invitelog status`, and run this again to see the outcome"
            )
        time.sleep(STEP)


@dataclass
class Outcome:
    """Who has obeyed, and what remains."""

    waiting: list[str]  # sinks, the producer, streams
    remnants: list[str]

    @property
    def open(self) -> bool:
        return bool(self.waiting or self.remnants)

    def lines(self) -> list[str]:
        """A sentence each."""
        names = ", ".join(self.waiting)
        wait = (
            [f"not yet: {names}. The order stands in the log and is obeyed as soon as each works again."]
            if names
            else []
        )
        return [*(f"remains: {sentence}" for sentence in self.remnants), *wait] or ["Every copy has obeyed."]


def _await(client: Client, orders: list[Erasure], wait: int) -> Outcome:
    until = time.monotonic() + wait
    while True:
        waiting, remnants = [], []
        for name in (*keys.SINKS, "producer"):
            answers = client.hmget(keys.OBEYED, [f"{order.event_id}/{name}" for order in orders])
            if not all(answers):
                waiting.append(name)
            remnants += [sentence for answer in answers if answer for sentence in json.loads(answer)]
        if any(_in_stream(client, log, orders) for log in LOGS):
            waiting.append("the streams")
        if not waiting or time.monotonic() > until:
            return Outcome(waiting, remnants)
        time.sleep(STEP)


def _in_stream(client: Client, log: str, orders: list[Erasure]) -> bool:
    """Whether a stream still has entries from before the order."""
    return any(client.xrange(keys.stream(log), max=order.event_id, count=1) for order in orders)
