"""What a guild's worker needs from outside, as protocols: the invite lists, and the recorder of the sequencer."""

from __future__ import annotations

from typing import Protocol

from joins.chain import Record
from producer.payloads import Arrival
from producer.snapshot import Snapshot
from producer.staff_registry import Staff


class InviteSource(Protocol):
    """Where a guild's invites are read."""

    async def fetch(self, guild_id: str) -> Snapshot:
        """All invites now. Raises FetchFailed; a refusal is a snapshot that is not `permitted`."""
        ...


class Adders(Protocol):
    """Where it is known who added a bot."""

    async def of(self, arrival: Arrival) -> str | None:
        """The id of whoever added this bot, or None. May take some seconds; never raises."""
        ...


class Register(Protocol):
    """Assignments and registered names, out of memory: asking takes no time and cannot fail."""

    def of_code(self, guild_id: str, code: str, at: str | None = None) -> Staff | None:
        """To whom a code is assigned, now or at that time. Raises AssignmentUnknown where that is not known."""
        ...

    def name(self, guild_id: str, staff_id: str) -> str | None:
        """The registered name of a staff member."""
        ...


class Recorder(Protocol):
    """The asyncio side of the sequencer's thread."""

    async def arrived(self, arrival: Arrival) -> None:
        """Durable when it returns."""
        ...

    async def record(self, log: str, record: Record) -> str:
        """Durable when it returns; the event id. Idempotent by `join_id`. Raises InvalidRecord."""
        ...

    @property
    def registry(self) -> Register:
        """To whom the codes are assigned."""
        ...
