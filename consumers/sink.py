"""What every sink is: a durable, ordered copy of both logs that knows where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from joins.chain import Record
from joins.erasure import Erasure
from joins.settings import Settings
from joins.tail import Head


class Sink(Protocol):
    """One copy of both logs. Opening it repairs what a crash left; every method raises SinkUnavailable."""

    def head(self, log: str) -> Head:
        """Event id and hash of the log's last record, read from the sink's own data; 0-0 when it has none."""

    def write(self, log: str, batch: Sequence[Record]) -> None:
        """Adds chained records that follow the head, in order; returns only when they are durable.

        Raises HeadMoved when the sink's data is not where this object left it: open the sink anew.
        """

    def erase(self, erasures: Sequence[Erasure], again: bool = False) -> list[str]:
        """Takes those names out of all records that it holds, durable on return; done again it changes nothing.

        `again`: it was done before, so only what somebody may have put back since needs a look. Gives a sentence for
        each place where names stay that this program cannot reach. Raises HeadMoved.
        """

    def close(self) -> None:
        """Lets go of files and connections. The sink is opened anew afterwards, not used again."""


Opener = Callable[[Settings], Sink]


def opener(name: str) -> Opener:
    """How to open the sink of that name. Its module is imported only here: a sink costs its own process alone."""
    if name == "json":
        from consumers.json_log import JsonLog

        return lambda settings: JsonLog(settings.invite_logs_dir, settings.archive_after_months)
    if name == "csv":
        from consumers.csv_log import CsvLog

        return lambda settings: CsvLog(settings.invite_logs_dir, settings.archive_after_months)
    if name == "sqlite":
        from consumers.sqlite_database import SqliteDatabase

        return lambda settings: SqliteDatabase(settings.invite_logs_dir)
    if name == "cloud":
        from consumers.cloud_backup import CloudBackup

        return lambda settings: CloudBackup(settings.cloud_url)
    raise ValueError(f"there is no sink named {name!r}")
