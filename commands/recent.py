"""A member's joins with what this process itself has just recorded of them, which no copy may have yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from commands import history
from commands.history import History, Join
from joins.chain import Record
from joins.event_id import is_above


class Recent:
    """Shared by all commands, so that each one answers with what another has just recorded."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: dict[str, Record] = {}  # join id -> the latest correction, until the copies have it

    def note(self, change: Record, event: str) -> None:
        """A change of a join's attribution is durable."""
        self._own[change["join_id"]] = {**change, "event_id": event}

    def of_member(self, guild_id: str, user_id: str) -> History:
        """As `history.of_member`. Belongs into a thread. Raises Refused."""
        found = history.of_member(self._folder, guild_id, user_id)
        return replace(found, joins=[self._overlaid(join) for join in found.joins])

    def _overlaid(self, join: Join) -> Join:
        own = self._own.get(join["join_id"])
        if own is None:
            return join
        if join.change is not None and not is_above(own["event_id"], join.change["event_id"]):
            if self._own.get(join["join_id"]) is own:
                self._own.pop(join["join_id"], None)
            return join
        return replace(join, change=own, earlier=(*filter(None, (join.change,)), *join.earlier))
