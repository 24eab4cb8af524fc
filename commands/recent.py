"""A member's joins with what this process itself has just recorded of them, which no copy may have yet."""

from __future__ import annotations

from dataclasses import replace

from commands import history
from commands.history import History, Join
from commands.services import Services
from joins import event_id
from joins.chain import Record


class Recent:
    """Shared by all commands, so that each one answers with what another has just recorded."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._own: dict[str, Record] = {}  # join id -> the latest correction, until the copies have it

    def note(self, change: Record, event: str) -> None:
        """A change of a join's attribution is durable."""
        self._own[change["join_id"]] = {**change, "event_id": event}

    def of_member(self, guild_id: str, user_id: str) -> History:
        """As `history.of_member`. Belongs into a thread. Raises Refused."""
        found = history.of_member(self._services.folder, guild_id, user_id)
        return replace(found, joins=self._told([self._overlaid(join) for join in found.joins]))

    def _told(self, joins: list[Join]) -> list[Join]:
        """With what member search has just recorded too."""
        ids = {join["join_id"] for join in joins}
        late: dict[str, list[Record]] = {}
        for event, change in self._services.recent_changes():
            if change["join_id"] in ids and change["change"] in history.ATTRIBUTIONS:
                late.setdefault(change["join_id"], []).append({**change, "event_id": event})
        for changes in late.values():
            changes.sort(key=lambda change: event_id.parse(change["event_id"]))
        for number, join in enumerate(joins):
            for change in late.get(join["join_id"], ()):
                joins[number] = join = _above(join, change)
        return joins

    def _overlaid(self, join: Join) -> Join:
        own = self._own.get(join["join_id"])
        if own is None:
            return join
        laid = _above(join, own)
        if laid is join and self._own.get(join["join_id"]) is own:
            self._own.pop(join["join_id"], None)
        return laid


def _above(join: Join, change: Record) -> Join:
    """A join with a later change laid over it; the join itself when it has that, or a later one."""
    if join.change is not None and not event_id.is_above(change["event_id"], join.change["event_id"]):
        return join
    return replace(join, change=change, earlier=(*filter(None, (join.change,)), *join.earlier))
