"""`invitelog backfill`: members who were there before the log began are recorded as history, when somebody asks for it.

The records go to the running producer through the inbox, which gives them their place in the log. A page and the place
after it are handed over in one transaction, so a run that was stopped at any moment goes on where it was.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import click
from redis.exceptions import RedisError

from joins import keys
from joins import settings as settings_module
from joins.chain import Record
from joins.errors import InviteLogError, ServerUnreachable
from joins.redis_url import Client, connect, shown
from joins.settings import Settings
from ops import discord_rest, embedded, hand_over, member_pages
from ops.history_records import History
from ops.member_pages import Page

SEARCH, LIST = "search", "list"


@click.command()
@click.option("--guild", "only", metavar="ID", help="Only this server; otherwise every one that the bot is in.")
@click.option("--dry-run", is_flag=True, help="Count who would be recorded, and record nobody.")
@click.option(
    "--without-invites",
    is_flag=True,
    help="Where a server grants no member search: record the times of joining, with unknown invites.",
)
def backfill(only: str | None, dry_run: bool, without_invites: bool) -> None:
    """Record members who joined before the log began, with their invites where Discord's member search tells them.

    It can be stopped at any time and goes on where it was; nobody is recorded twice.
    """
    settings = settings_module.load()
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    try:
        _backfill(settings, client, only, dry_run, without_invites)
    except RedisError as error:
        raise ServerUnreachable(
            f"the Redis server at {shown(url)} does not answer ({error}): is `invitelog up` running? "
            "Run this again then: it goes on where it was."
        ) from error


def _backfill(settings: Settings, client: Client, only: str | None, dry_run: bool, without_invites: bool) -> None:
    if not dry_run:
        hand_over.demand_producer(client)
    bot_id = str(discord_rest.ask(settings, "/users/@me")["id"])
    guilds = [guild for guild in discord_rest.guilds(settings) if only in (None, str(guild["id"]))]
    if not guilds:
        raise InviteLogError(f"the bot is not in a server {only}: copy the server's id from Discord.")
    left_out = 0
    for guild in guilds:
        refusal = member_pages.refusal(settings, str(guild["id"]))
        if refusal and not without_invites:
            left_out += 1
            click.echo(
                f"{guild['name']}: there is no member search here ({refusal}), so only the times of joining are known "
                "and nobody is recorded. With --without-invites members are recorded with unknown invites."
            )
            continue
        bot_joined = member_pages.joined(settings, str(guild["id"]), bot_id)
        history = History(client, settings.invite_logs_dir, guild, bot_id, bot_joined)
        Run(settings, client, guild, LIST if refusal else SEARCH, dry_run).work(history)
    if left_out:
        raise InviteLogError(f"{left_out} of {len(guilds)} servers were left out, see above.")


class Run:
    """One guild's backfill."""

    def __init__(self, settings: Settings, client: Client, guild: dict[str, Any], way: str, dry_run: bool) -> None:
        self._settings, self._client, self._way, self._dry_run = settings, client, way, dry_run
        self._id, self._name = str(guild["id"]), guild["name"]
        self._seen, self._left, self._sources = 0, 0, Counter[str]()

    def work(self, history: History) -> None:
        """Reads the guild to its end. Raises InviteLogError, redis errors."""
        place = self._go_on()
        total = max(member_pages.count(self._settings, self._id), self._seen)
        read = member_pages.searched if self._way == SEARCH else member_pages.listed
        try:
            with click.progressbar(length=total, label=self._name, show_pos=True) as bar:
                bar.update(self._seen)
                for page in read(self._settings, self._id, place):
                    records, left = history.records(page)
                    self._left += left
                    self._sources.update(record["source"] for record in records)
                    self._seen += len(page.members)
                    if not self._dry_run:
                        self._hand_over(records, page)
                    bar.update(len(page.members))
        except KeyboardInterrupt:
            click.echo("\nStopped. Run it again to go on from here.")
            raise
        self._tell(history.until)

    def _go_on(self) -> Any:
        """The place where an earlier run of the same kind was stopped."""
        kept = None if self._dry_run else self._client.hget(keys.BACKFILL, self._id)
        progress = json.loads(kept) if kept else {}
        if progress.get("way") != self._way:
            return None
        self._seen, self._sources = progress["seen"], Counter(progress["sources"])
        self._left = progress.get("left", 0)
        click.echo(f"{self._name}: going on after {self._seen} members.")
        return progress["place"]

    def _hand_over(self, records: list[Record], page: Page) -> None:
        hand_over.wait_for_room(self._client)
        with self._client.pipeline(transaction=True) as pipeline:
            hand_over.put(pipeline, records)
            if page.place is None:
                pipeline.hdel(keys.BACKFILL, self._id)
            else:
                progress = {"way": self._way, "place": page.place, "seen": self._seen}
                progress |= {"left": self._left, "sources": self._sources}
                pipeline.hset(keys.BACKFILL, self._id, json.dumps(progress))
            pipeline.execute()

    def _tell(self, until: datetime) -> None:
        recorded = sum(self._sources.values())
        verb = "would be recorded" if self._dry_run else "were handed to the producer"
        kinds = ", ".join(f"{source} {count}" for source, count in self._sources.most_common())
        click.echo(f"{self._name}: of {self._seen} members {recorded} {verb}{f' ({kinds})' if kinds else ''}.")
        if self._left:
            click.echo(
                f"{self._name}: {self._left} joined after {until:%Y-%m-%d %H:%M:%S} UTC, since when the bot may have "
                "missed joins: they are left to the producer, which records them by itself."
            )
        rest = self._seen - recorded - self._left
        if rest:
            click.echo(f"{self._name}: {rest} have a record already, or are the bot, or joined just now.")
