"""What moved between two snapshots, and how surely: each code with the least and the most uses it may have had."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from producer.evidence import Evidence, Waiting
from producer.snapshot import Gone, Invite, Snapshot, Vanity

# How long before or after a join's event the INVITE_DELETE that it caused may come; without one, how far from the join
# the looks before and after it may be, between which the invite vanished.
GRACE = timedelta(seconds=10)
SKEW = timedelta(seconds=30)  # between Discord's clock and ours
EXPIRY_SLACK = timedelta(seconds=2)  # between an invite's acceptance and `joined_at`, both on Discord's clock

INVITE, VANITY, USED_UP = "invite_difference", "vanity_difference", "limited_invite_used_up"


@dataclass(frozen=True, slots=True)
class Move:
    """One code that was used, or may have been, since the baseline."""

    code: str
    method: str
    before: int
    least: int
    most: int | None  # None: no upper bound is known
    invite: Invite | None = None  # None for the vanity code
    listed: bool = True  # False: it vanished, so its last count was never shown

    @property
    def firm(self) -> bool:
        """Whether the number of uses is certain."""
        return self.least == self.most

    def open_to(self, join: Waiting) -> bool:
        """Whether the invite had not expired when this member joined."""
        expires_at = self.invite.expires_at if self.invite else None
        return expires_at is None or join.joined_at < expires_at + EXPIRY_SLACK

    def candidate(self) -> dict[str, Any]:
        """The move as a record lists it; `uses_after` is null where nobody saw it."""
        return {
            "invite_code": self.code,
            "inviter_id": self.invite.inviter_id if self.invite else None,
            "uses_before": self.before,
            "uses_after": self.before + self.least if self.listed or self.firm else None,
        }


def differences(evidence: Evidence, after: Snapshot, claimants: list[Waiting]) -> list[Move]:
    """Every code that may have been used between the baseline and `after`, both of them permitted snapshots."""
    baseline = evidence.baseline
    assert baseline is not None
    moves: list[Move | None] = []
    for code in sorted({*baseline.invites, *after.invites}):
        old, new = baseline.invites.get(code), after.invites.get(code)
        tombstone = evidence.gone.get(code)
        if old and new:
            moves.append(_listed(old, new, tombstone, claimants))
        elif new:
            moves.append(_new(new, baseline.taken_at))
        elif old and not evidence.may_be_unlisted(code, after.taken_at):
            seen_at = evidence.made.get(code, baseline.taken_at) if baseline.watched and after.watched else None
            moves.append(_vanished(old, tombstone, seen_at, after.taken_at, claimants))
    moves += _vanity(baseline.vanity, after.vanity)
    # A code that had expired before every one of them joined is nobody's; without claimants nothing can be told.
    return [move for move in moves if move and (not claimants or any(move.open_to(join) for join in claimants))]


def _near(tombstone: Gone | None, claimants: list[Waiting]) -> bool:
    return tombstone is not None and any(join.received_at <= tombstone.at + GRACE for join in claimants)


def _listed(old: Invite, new: Invite, tombstone: Gone | None, claimants: list[Waiting]) -> Move | None:
    uses = max(new.uses - old.uses, 0)
    if _near(tombstone, claimants):
        # Discord says that it is gone and still lists it: the list lags, so its last uses may not show.
        return Move(old.code, INVITE, old.uses, uses, max(uses, old.remaining or 0) if old.max_uses else None, new)
    return Move(old.code, INVITE, old.uses, uses, uses, new) if uses else None


def _new(new: Invite, since: datetime) -> Move | None:
    if not new.uses:
        return None
    # Only an invite made after the baseline began at 0; one that was merely missing there brings older uses along.
    fresh = new.created_at is not None and new.created_at >= since - SKEW
    return Move(new.code, INVITE, 0, new.uses if fresh else 0, new.uses, new)


def _vanished(
    old: Invite, tombstone: Gone | None, seen_at: datetime | None, looked_at: datetime, claimants: list[Waiting]
) -> Move | None:
    """`seen_at`: when it was still there, if since then no deletion can have gone unheard for want of a permission."""
    left = old.remaining
    if left == 0 or (tombstone and claimants and not _near(tombstone, claimants)):
        return None  # used up before the baseline, or gone well before anybody joined
    expired = old.expires_at is not None and old.expires_at <= looked_at + SKEW
    by_hand = tombstone is not None and tombstone.by_hand
    if left is not None and not expired and not by_hand:
        sure = _used_up(left, tombstone, claimants) if tombstone else _unheard(left, seen_at, looked_at, claimants)
        if sure:
            return Move(old.code, USED_UP, old.uses, left, left, old, listed=False)
    return Move(old.code, INVITE, old.uses, 0, left, old, listed=False)


def _used_up(left: int, tombstone: Gone, claimants: list[Waiting]) -> bool:
    """Whether a limited invite that is gone was used up: by some who wait, and at the time of one of them."""
    able = [join for join in claimants if join.received_at <= tombstone.at + GRACE]
    return left <= len(able) and any(tombstone.at <= join.received_at + GRACE for join in able)


def _unheard(left: int, seen_at: datetime | None, looked_at: datetime, claimants: list[Waiting]) -> bool:
    """The same of one whose deletion nobody announced: it can have vanished at no other time than that of the joins."""
    if seen_at is None or not 0 < left <= len(claimants):
        return False
    last = max(join.received_at for join in claimants)
    return seen_at >= last - GRACE and looked_at <= last + GRACE


def _vanity(old: Vanity | None, new: Vanity | None) -> list[Move]:
    if old and new and old.code == new.code:
        uses = new.uses - old.uses
        return [Move(new.code, VANITY, old.uses, uses, uses)] if uses > 0 else []
    moves = []
    if old:  # taken away or renamed: its last uses were never shown
        moves.append(Move(old.code, VANITY, old.uses, 0, None, listed=False))
    if new and new.uses:  # nobody documents whether a new vanity code begins at 0
        moves.append(Move(new.code, VANITY, 0, 0, new.uses))
    return moves
