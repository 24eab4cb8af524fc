"""Logs and a database as the real sinks write them, with joins and changes that a test names in short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from commands.staff_change import change
from consumers.csv_log import CsvLog
from consumers.json_log import JsonLog
from consumers.sqlite_database import SqliteDatabase
from joins.chain import Record, chained, genesis, seal
from joins.event_id import following
from joins.records import CHANGES, JOINS, LOGS, join_id, normal, timestamp

GUILD, OTHER_GUILD = "111222333444555666", "222333444555666777"
MEMBER, TRAVIS, MARY = "123456789012345678", "987654321098765432", "876543210987654321"
START = datetime(2025, 10, 31, 14, 30, 45, 123456, tzinfo=UTC)
SINKS = ("json", "csv", "sqlite")


class Logs:
    """A log folder. What is written goes to all sinks, or to those that are named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sinks = {"json": JsonLog(folder), "csv": CsvLog(folder), "sqlite": SqliteDatabase(folder)}
        self._heads = {log: ("0-0", genesis(log)) for log in LOGS}
        self._clock = START

    def write(self, log: str, records: list[Record], sinks: tuple[str, ...] = SINKS) -> list[Record]:
        """Seals, numbers and chains records, and writes them."""
        last, digest = self._heads[log]
        numbered = []
        for record in records:
            last = following(last)
            numbered.append(normal(log, {**seal(normal(log, record)), "event_id": last}))
        written = chained(digest, numbered)
        self._heads[log] = (last, written[-1]["hash"])
        for sink in sinks:
            self._sinks[sink].write(log, written)
        return written

    def join(self, sinks: tuple[str, ...] = SINKS, **keys: Any) -> Record:
        """One join, an hour after the one before."""
        return self.write(JOINS, [self.made_join(**keys)], sinks)[0]

    def made_join(self, **keys: Any) -> Record:
        """A join as the producer would build it."""
        moment, self._clock = self._clock, self._clock + timedelta(hours=1)
        keys = {"user_id": MEMBER, "guild_id": GUILD, "timestamp": timestamp(moment), **keys}
        plain: Record = {
            "username": "john_doe", "display_name": "John Doe", "discriminator": "0",
            "invite_code": "abc123XYZ", "staff_id": TRAVIS, "staff_username": "TravisP#0001",
            "uses_before": 5, "uses_after": 6, "guild_name": "PipVault",
            "recorded_at": timestamp(START), "source": "invite", "method": "invite_difference", "confidence": "exact",
            "candidates": [], "flags": [], "evidence": {},
        }  # fmt: skip
        made = {**plain, **keys}
        if made["confidence"] != "exact":
            nothing = dict.fromkeys(("invite_code", "staff_id", "staff_username", "uses_before", "uses_after"))
            made |= {**nothing, "source": "unknown"}
        return {**made, "join_id": join_id(made["guild_id"], made["user_id"], made["timestamp"])}

    def change(self, kind: str, sinks: tuple[str, ...] = SINKS, guild_id: str = GUILD, **keys: Any) -> Record:
        """One change by a member of staff."""
        return self.write(CHANGES, [change(kind, guild_id, MARY, "because") | keys], sinks)[0]

    def correct(self, join: Record, sinks: tuple[str, ...] = SINKS, **keys: Any) -> Record:
        """A correction of a join's attribution."""
        plain = {"invite_code": "mary99", "staff_id": MARY, "staff_username": "mary", "confidence": "exact"}
        about = {"join_id": join["join_id"], "user_id": join["user_id"]}
        return self.change("attribution_corrected", sinks, join["guild_id"], **plain | about | keys)

    async def record_change(self, made: Record) -> str:
        """As the producer's, but in every sink at once."""
        return str(self.write(CHANGES, [made])[0]["event_id"])

    def close(self) -> None:
        """Closes the sinks."""
        for sink in self._sinks.values():
            sink.close()
