"""A database as the sqlite consumer makes it, of records that a test makes or that a producer published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from consumers.sqlite_database import SqliteDatabase
from joins import keys
from joins.chain import Record, chained, seal
from joins.event_id import following, is_above
from joins.records import LOGS, normal
from joins.redis_url import Client


class Copied:
    """`invites.db` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._sink = SqliteDatabase(folder)

    def add(self, log: str, record: Record) -> Record:
        """One record, next in its log."""
        last, digest = self._sink.head(log)
        made = chained(digest, [normal(log, {**seal(normal(log, record)), "event_id": following(last)})])
        self._sink.write(log, made)
        return made[0]

    def catch_up(self, client: Client) -> None:
        """Takes what the streams hold above the database's heads."""
        for log in LOGS:
            last, digest = self._sink.head(log)
            entries: Any = client.xrange(keys.stream(log))
            records = [json.loads(fields[b"r"]) | {"event_id": event.decode()} for event, fields in entries]
            if new := [record for record in records if is_above(record["event_id"], last)]:
                self._sink.write(log, chained(digest, new))

    def heads(self) -> dict[str, str]:
        """The event ids of its last records."""
        return {log: self._sink.head(log)[0] for log in LOGS}

    def close(self) -> None:
        self._sink.close()
