"""Who is credited with a member: a policy over the member's joins. Pure; knows neither Discord nor the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar


class Policy(StrEnum):
    """Which of several referrers is credited. Once a person and guild, and never for oneself, in either case."""

    FIRST_REFERRER = "first_referrer"
    LATEST_REFERRER = "latest_referrer"

    @property
    def sentence(self) -> str:
        """The policy, as it is shown with the answer."""
        if self is Policy.FIRST_REFERRER:
            return "the first referrer keeps the credit"
        return "the latest referrer has the credit"


class Attributed(Protocol):
    """What the policy looks at in a join: its effective attribution."""

    @property
    def user_id(self) -> str:
        """Who joined."""

    @property
    def staff_id(self) -> str | None:
        """Who referred him."""

    @property
    def settled(self) -> bool:
        """Whether that is known; where it is not, anybody may have referred him."""


JoinT = TypeVar("JoinT", bound=Attributed)


@dataclass(frozen=True)
class Credit(Generic[JoinT]):
    """The join that earns the credit, or None; and the joins that could still take it once they are settled."""

    join: JoinT | None
    unsettled: tuple[JoinT, ...]

    @property
    def provisional(self) -> bool:
        """Whether a join that is not settled yet could change the answer."""
        return bool(self.unsettled)


def credited(joins: Sequence[JoinT], policy: Policy = Policy.FIRST_REFERRER) -> Credit[JoinT]:
    """Which of a member's joins in one guild, oldest first, earns its referrer the credit."""
    unsettled = []
    for join in joins if policy is Policy.FIRST_REFERRER else reversed(joins):
        if not join.settled:
            # It is not known who referred this one, so he may come before everybody found from here on.
            unsettled.append(join)
        elif join.staff_id is not None and join.staff_id != join.user_id:
            return Credit(join, tuple(unsettled))
    return Credit(None, tuple(unsettled))
