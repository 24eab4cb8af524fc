"""A change that waits for a second person, as it is kept until it is decided: also while no process serves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from commands.refusals import Refused
from joins.chain import Record

OPEN_HOURS = 24  # how long a proposal can be approved


@dataclass(frozen=True)
class Proposal:
    """What somebody proposed. All that is recorded is in here, and rests on what was shown.

    `change`: complete but for who approved it; its id makes sure that it is recorded once. `shown`: what the people saw
    that the change itself does not say, to be compared when it is approved. `barred`: ids of those whom it concerns,
    who may not approve it. `until`: seconds since 1970 UTC. `outcome`: what was said once it was decided.
    """

    change: Record
    shown: Record
    barred: tuple[str, ...]
    until: float
    outcome: str | None = None

    @property
    def id(self) -> str:
        """That of the change."""
        return str(self.change["change_id"])

    @property
    def kind(self) -> str:
        """That of the change."""
        return str(self.change["change"])

    @property
    def asker_id(self) -> str:
        """Who proposed it."""
        return str(self.change["actor_id"])


class ProposalStore(Protocol):
    """Where proposals are kept. Both raise Refused when that does not answer, with what to do."""

    async def keep(self, proposal: Proposal) -> None:
        """Keeps a proposal, or what became of it, until it ends."""

    async def read(self, proposal_id: str) -> Proposal | None:
        """A proposal; None when there is none any more."""


class NowhereKept:
    """For a process that keeps none: then nothing can be done in one's own favour."""

    async def keep(self, proposal: Proposal) -> None:
        """Refuses."""
        raise Refused("This takes a second person's approval, which cannot be asked for here: nothing was recorded.")

    async def read(self, proposal_id: str) -> Proposal | None:
        """There is none."""
        return None
