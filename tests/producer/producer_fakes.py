"""A recorder in memory, and a guild's invites by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from joins.chain import Record, seal
from joins.errors import FetchFailed, SearchUnavailable
from joins.records import CHANGES, join_id, normal, timestamp
from producer.found import Found
from producer.looking import Pace
from producer.payloads import Arrival
from producer.snapshot import Invite, Snapshot, Vanity
from producer.staff_registry import AssignmentUnknown, Staff

GUILD = "111222333444555666"
QUICK = Pace(hold=0.02, audit=0.3, recheck=0.05, settle=1.0, retry=1.0, backoff=0.1, quiet=(0.1,), refused=0.2)


class FakeRecorder:
    """Checks each record as the real one does, and keeps what it was given."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.records: dict[str, Record] = {}
        self.changes: dict[str, Record] = {}
        self.assigned: dict[str, Staff] = {}
        self.assigned_at: dict[str, str] = {}  # code -> since when; otherwise, since ever
        self.undated: set[str] = set()  # codes of which nobody knows since when they are assigned
        self.failures: list[Exception] = []  # raised by the next calls of `record`
        self.slow_changes = asyncio.Event()  # cleared, a change waits before it is durable
        self.slow_changes.set()
        self.under_way = 0  # changes that wait so

    async def arrived(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)

    async def record(self, log: str, record: Record) -> str:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        if log == CHANGES:
            self.under_way += 1
            await self.slow_changes.wait()
            self.under_way -= 1
            self.changes.setdefault(record["change_id"], normal(log, seal(normal(log, record))))
            return f"{len(self.changes)}-0"
        assert record["join_id"] in {arrival["join_id"] for arrival in self.arrivals}, "durable before it is recorded"
        self.records.setdefault(record["join_id"], normal(log, seal(normal(log, record))))
        return f"{len(self.records)}-0"

    @property
    def registry(self) -> FakeRecorder:
        return self

    def of_code(self, guild_id: str, code: str, at: str | None = None) -> Staff | None:
        if at and code in self.undated:
            raise AssignmentUnknown(code)
        if at and self.assigned_at.get(code, "") > at:
            return None
        return self.assigned.get(code)

    def name(self, guild_id: str, staff_id: str) -> str | None:
        return None

    async def wait_for(self, count: int, seconds: float = 10.0) -> list[Record]:
        """The first records, once there are `count`, in the order in which they came."""
        async with asyncio.timeout(seconds):
            while len(self.records) < count:  # noqa: ASYNC110 - a test polls
                await asyncio.sleep(0.005)
        return list(self.records.values())

    async def changes_of(self, count: int, kind: str = "", seconds: float = 10.0) -> list[Record]:
        """The first changes of a kind (all, when it is empty), once there are `count`."""
        async with asyncio.timeout(seconds):
            while len(found := [c for c in self.changes.values() if c["change"].startswith(kind)]) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found

    async def of(self, name: str, seconds: float = 10.0) -> Record:
        """The record of the member of this name; the latest when there are several."""
        async with asyncio.timeout(seconds):
            while not (found := [r for r in self.records.values() if r["username"] == name]):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found[-1]


class FakeInvites:
    """What Discord would show."""

    def __init__(self, **uses: int) -> None:
        self.invites = {code: Invite(code, count, inviter_id="7", inviter_name="maria") for code, count in uses.items()}
        self.vanity: Vanity | None = None
        self.permitted, self.audited = True, False
        self.looks = 0
        self.failures: list[Exception] = []
        self.during: Callable[[], None] | None = None  # called once, while a look is under way

    def use(self, code: str, times: int = 1) -> None:
        self.invites[code] = replace(self.invites[code], uses=self.invites[code].uses + times)

    async def fetch(self, guild_id: str) -> Snapshot:
        taken_at = datetime.now(UTC)
        self.looks += 1
        if self.failures:
            raise self.failures.pop(0)
        shown: Mapping[str, Invite] = dict(self.invites)
        await asyncio.sleep(0.01)
        if self.during:
            during, self.during = self.during, None
            during()
        return Snapshot(taken_at, shown if self.permitted else {}, self.vanity, self.permitted, audited=self.audited)


class NoSearch:
    """A guild that grants none."""

    async def joined_between(
        self, guild_id: str, after: datetime, before: datetime, patience: float = 0.0
    ) -> AsyncIterator[Found]:
        raise SearchUnavailable("refused", 3600.0)
        yield


def arrival(name: str, user_id: int, **more: Any) -> Arrival:
    now = timestamp(datetime.now(UTC))
    return {
        "guild_id": GUILD,
        "guild_name": "PipVault",
        "user_id": str(user_id),
        "username": name,
        "display_name": name.title(),
        "discriminator": "0",
        "bot": False,
        "flags": [],
        "timestamp": now,
        "received_at": now,
        "join_id": join_id(GUILD, str(user_id), now),
    } | more


def failed() -> FetchFailed:
    return FetchFailed("Discord is away")
