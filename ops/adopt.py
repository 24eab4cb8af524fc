"""`invitelog adopt FILE`: the log of an earlier bot is taken over as history.

The file is read twice: once to judge every line, so that a mistake is seen before anything is recorded, then to hand
the records to the running producer, in the file's order. What has a record is found by guild, user and time, so a run
that was stopped is simply run again.
"""

from __future__ import annotations

import shlex
import sqlite3
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path

import click
from redis.exceptions import RedisError

from joins import settings as settings_module
from joins.errors import InviteLogError, ServerUnreachable
from joins.redis_url import Client, connect, shown
from joins.settings import Settings
from ops import embedded, foreign_log, hand_over, old_times
from ops.adoption import Adoption
from ops.known_here import KnownHere
from ops.old_line import Line
from ops.old_log import OldLog

WITHIN = 2.0  # seconds between two times of one member that are one join


@dataclass(frozen=True)
class Options:
    """What was asked for. `within` is in seconds."""

    timezone: str | None
    guild: str | None
    within: float
    dry_run: bool
    force: bool

    def command(self, path: Path) -> str:
        """The command that adopts the file at `path` as was asked for."""
        words = ["invitelog", "adopt", str(path)]
        words += ["--timezone", self.timezone] if self.timezone else []
        words += ["--guild", self.guild] if self.guild else []
        words += ["--within", f"{self.within:g}"] if self.within != WITHIN else []
        return shlex.join([*words, "--force"] if self.force else words)


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--timezone",
    metavar="ZONE",
    help="The time zone in which the old bot wrote: UTC, a name such as Europe/Berlin, or an offset such as +02:00.",
)
@click.option("--guild", metavar="ID", help="The server of records that do not name theirs.")
@click.option(
    "--within",
    type=click.FloatRange(0, 60),
    default=WITHIN,
    show_default=True,
    metavar="SECONDS",
    help="Times of one member that are no further apart are one join.",
)
@click.option("--dry-run", is_flag=True, help="Judge every line, and record nothing.")
@click.option("--force", is_flag=True, help="Go on where the time zone seems wrong, or ids rounded.")
def adopt(path: Path, timezone: str | None, guild: str | None, within: float, dry_run: bool, force: bool) -> None:
    """Take over FILE, an invite_joins.json or .csv that an earlier bot wrote, as history.

    What has a record here already is passed over, so it can be run again. Every line that cannot be read is named.
    """
    settings = settings_module.load()
    options = Options(timezone, guild, within, dry_run, force)
    if guild is not None and not (guild.isascii() and guild.isdigit() and len(guild) <= 20):
        raise InviteLogError(f"--guild must be a server's id in digits, not {guild!r}: copy it from Discord.")
    old = OldLog(path)
    zone = _zone(old, timezone)
    place = None if dry_run else _place(settings, path)
    if place is not None:
        old = OldLog(_set_aside(place))
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    again = f"run `{options.command(old.path)}`"
    try:
        unreadable = _adopt(settings, client, Adoption(old, zone, guild), options, again)
    except RedisError as error:
        raise ServerUnreachable(
            f"the Redis server at {shown(url)} does not answer ({error}): start `invitelog up`, then {again}; nothing "
            "is recorded twice."
        ) from error
    except sqlite3.Error as error:
        raise InviteLogError(
            f"the folder for temporary files, {tempfile.gettempdir()}, takes nothing ({error}): free some space, or "
            f"set TMPDIR to another folder, then {again}; nothing is recorded twice."
        ) from error
    except KeyboardInterrupt:
        click.echo(f"\nStopped. To go on, {again}: nothing is recorded twice.")
        raise
    finally:
        client.close()
    if unreadable:
        raise InviteLogError(f"{unreadable:,} records of {old.name} could not be read, see above.")


def _adopt(settings: Settings, client: Client, adoption: Adoption, options: Options, again: str) -> int:
    """How many records could not be read."""
    asked: Client | None = client
    if options.dry_run:
        asked = _answering(client)
    else:
        hand_over.demand_producer(client, again)
    with KnownHere(asked, settings.invite_logs_dir, timedelta(seconds=options.within)) as known:
        tally = adoption.judge(known)
        for sentence in tally.sentences():
            click.echo(sentence)
        if (fault := tally.fault()) and not options.force:
            raise InviteLogError(f"{fault} Nothing is recorded; --force records all of it as it stands.")
        if options.dry_run:
            click.echo(f"{adoption.name}: {tally.new:,} would be recorded.")
        else:
            handed_over = adoption.hand_over(known, client) if tally.new else 0
            click.echo(f"{adoption.name}: {handed_over:,} were handed to the producer.")
    return tally.unreadable


def _answering(client: Client) -> Client | None:
    """The client, unless no server answers: a dry run may come before the first start."""
    try:
        client.ping()
    except RedisError as error:
        click.echo(f"The Redis server does not answer ({error}): only what the database holds is compared.", err=True)
        return None
    return client


def _zone(old: OldLog, name: str | None) -> tzinfo | None:
    """The time zone of the times without an offset; None where each has one. It is asked for where it is not given."""
    if name is not None:
        return old_times.zone(name)
    times = (entry.values.get("timestamp") for entry, _ in old.entries() if isinstance(entry, Line))
    first = next((time for time in times if old_times.lacks_offset(time)), None)
    if first is None:
        return None
    if not sys.stdin.isatty():
        raise InviteLogError(
            f"the times in {old.name}, such as {first!r}, name no time zone: say with --timezone in which one the old "
            "bot wrote them (UTC, a name such as Europe/Berlin, or an offset such as +02:00)."
        )
    click.echo(
        f"The times in {old.name}, such as {first!r}, name no time zone. In which one did the old bot write them?"
    )
    return old_times.zone(click.prompt("UTC, a name such as Europe/Berlin, or an offset such as +02:00"))


def _place(settings: Settings, path: Path) -> Path | None:
    """Which of our own places the file lies at, where it is in the way; None where it lies elsewhere."""
    for place in foreign_log.places(settings.invite_logs_dir):
        if place.exists() and place.samefile(path):
            return place
    return None


def _set_aside(place: Path) -> Path:
    """Raises InviteLogError where the log is not plainly another program's, SinkUnavailable."""
    if not foreign_log.is_foreign(place):
        raise InviteLogError(
            f"{place} is not plainly the log of another program, so it is left as it is: "
            "copy it to another folder, then adopt that."
        )
    aside = foreign_log.set_aside(place)
    click.echo(f"{place} was in the way of the log of this program: it is now {aside}.")
    return aside
