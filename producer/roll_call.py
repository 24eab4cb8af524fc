"""Who was in a guild when its list of members was read.

Nothing is concluded from a list before its end is reached, so the ids are held until then: eight bytes a member.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from producer.presence import Presence

TOLERANCE = (
    100  # one member of so many may be lacking, against the guild's own count: it changes while the list is read
)
FEW = 2  # members that may be lacking in any guild


class RollCall:
    """One reading of one list, which comes by rising id."""

    def __init__(self, began: datetime) -> None:
        self.began = began
        self.ended: datetime | None = None  # None until the list is read to its end
        self._ids = array("Q")
        self._rising = True

    def __len__(self) -> int:
        return len(self._ids)

    async def read(self, members: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
        """The members as they come, each of them noted."""
        async for member in members:
            user_id = int(member["user"]["id"])
            self._rising = self._rising and (not self._ids or self._ids[-1] < user_id)
            self._ids.append(user_id)
            yield member
        self.ended = datetime.now(UTC)

    def has(self, user_id: str) -> bool:
        """Whether this user was in the list."""
        sought = int(user_id)
        place = bisect_left(self._ids, sought)
        return place < len(self._ids) and self._ids[place] == sought

    def is_whole(self, presence: Presence) -> bool:
        """Whether who is not in the list was not in the guild.

        One that was cut short lacks the bot itself, or more members than can have left meanwhile; one out of order may
        have been paged past some.
        """
        lacking = presence.members - len(self._ids)
        enough = lacking <= max(presence.members // TOLERANCE, FEW)
        return self.ended is not None and self._rising and enough and self.has(presence.bot_id)
