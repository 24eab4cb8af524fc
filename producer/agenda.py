"""When each unconfirmed join is due to be asked for. No clock of its own: times are seconds since 1970."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from producer.unconfirmed import Unconfirmed


@dataclass(slots=True)
class Item:
    """A join that waits."""

    join: Unconfirmed
    due: float
    last: bool = False  # the member has left: there is no try after the next


class Agenda:
    """Every join that waits, by its id and by its member, and in the order in which they are due."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._of_user: dict[tuple[str, str], list[Item]] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, join_id: str) -> bool:
        return join_id in self._items

    def get(self, join_id: str) -> Item | None:
        """A join that waits, or None."""
        return self._items.get(join_id)

    def add(self, join: Unconfirmed, due: float) -> None:
        """One more join, which is not there yet."""
        item = Item(join, due)
        self._items[join.join_id] = item
        self._of_user.setdefault((join.guild_id, join.user_id), []).append(item)
        self.put_off(item, due)

    def put_off(self, item: Item, due: float) -> None:
        """It is due then, and no longer when it was."""
        item.due = due
        heapq.heappush(self._heap, (due, item.join.join_id))

    def remove(self, join_id: str) -> bool:
        """Takes a join off; False when it was not on it."""
        item = self._items.pop(join_id, None)
        if item is None:
            return False
        user = (item.join.guild_id, item.join.user_id)
        self._of_user[user].remove(item)
        if not self._of_user[user]:
            del self._of_user[user]
        return True

    def of_user(self, guild_id: str, user_id: str) -> list[Item]:
        """What waits of one member."""
        return list(self._of_user.get((guild_id, user_id), ()))

    def oldest(self) -> Item:
        """What was added first. There must be something."""
        return next(iter(self._items.values()))

    def due(self, now: float) -> Iterator[Item]:
        """What is due by `now`, soonest first; each is given once, until it is put off again."""
        while self._heap and self._heap[0][0] <= now:
            due, join_id = heapq.heappop(self._heap)
            item = self._items.get(join_id)
            if item is not None and item.due == due:
                yield item

    def next_due(self) -> float | None:
        """When something may be due, or None."""
        return self._heap[0][0] if self._heap else None
