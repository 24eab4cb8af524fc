"""What is held against the next look at a guild's invites: the last snapshot, tombstones, and who is still owed a use.

A *claimant* is a join whose use may show in the next difference. A join that stays unresolved becomes a *debtor*: its
use may show late, so it claims a part of later differences until a snapshot begun `DEBT` after it has been judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from producer.snapshot import Gone, Invite, Snapshot

DEBT = timedelta(seconds=60)  # how late after its join's event a use may still show in the list
LATE_GAP = timedelta(seconds=5)  # how late after a lost session the uses of its unannounced joins may still show
LISTED_WITHIN = timedelta(seconds=1)  # how late after its INVITE_CREATE the list may still lack a new invite
UNKNOWN_GONE = timedelta(minutes=1)  # how long after its INVITE_DELETE the INVITE_CREATE of an invite may come
MAX_UNKNOWN_GONE = 100  # codes remembered for that
ANNOUNCED_AGAIN = timedelta(hours=1)  # an event this much younger than its join is no news (resumes replay minutes)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A join to be attributed: when Discord says it happened, and when its event arrived here."""

    join_id: str
    joined_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a guild's next attribution starts from. Immutable: each event makes a new one."""

    baseline: Snapshot | None = None
    gone: Mapping[str, Gone] = field(default_factory=dict)
    made: Mapping[str, datetime] = field(default_factory=dict)  # code -> when its INVITE_CREATE came
    debtors: tuple[Waiting, ...] = ()
    gap: datetime | None = None  # events were lost up to here: uses may be of joins that nobody announced
    unwatched_at: datetime | None = None  # when INVITE_DELETE last was known not to reach us, since the baseline

    def created(self, invite: Invite, at: datetime) -> Evidence:
        """INVITE_CREATE: the new invite's baseline is 0, even if it is used up before the next look.

        A tombstone that came before it stays: the events came in the wrong order.
        """
        if self.baseline is None or not self.baseline.permitted or invite.code in self.baseline.invites:
            return self
        invites = {**self.baseline.invites, invite.code: replace(invite, uses=0)}
        return replace(self, baseline=replace(self.baseline, invites=invites), made={**self.made, invite.code: at})

    def deleted(self, code: str, at: datetime, by_hand: bool = False) -> Evidence:
        """INVITE_DELETE, which does not say why; or the audit log, which tells that somebody deleted it by hand."""
        known = self.gone.get(code)
        tombstone = Gone(known.at if known else at, by_hand or (known is not None and known.by_hand))
        return replace(self, gone=self._remembered({**self.gone, code: tombstone}, at))

    def channel_deleted(self, channel_id: str, at: datetime) -> Evidence:
        """CHANNEL_DELETE: its invites are gone without an event of their own, and not by being used up."""
        evidence = self
        for code, invite in self.baseline.invites.items() if self.baseline else ():
            if invite.channel_id == channel_id:
                evidence = evidence.deleted(code, at, by_hand=True)
        return evidence

    def unwatched(self, at: datetime) -> Evidence:
        """Deletions do not reach us now: an invite that vanished around this moment proves nothing by that."""
        baseline = self.baseline and replace(self.baseline, watched=False)
        return replace(self, baseline=baseline, unwatched_at=at)

    def missed(self, at: datetime) -> Evidence:
        """Events were lost until `at` (a new gateway session): no difference over this baseline can be exact."""
        return self if self.baseline is None else replace(self, gap=at)

    def restarted(self, at: datetime, recorded: list[Waiting]) -> Evidence:
        """This evidence, taken up again by a later process: a gap up to `at`.

        `recorded` are joins that were judged after it was kept, so their uses may lie above the baseline: debtors.
        """
        known = {debtor.join_id for debtor in self.debtors}
        owing = [*self.debtors, *(join for join in recorded if join.join_id not in known)]
        return replace(self.missed(at), debtors=tuple(owing))

    def reconciled(self, at: datetime) -> Evidence:
        """Everybody who joined up to `at` and is still there has been announced now, so a gap before that is closed.

        Deletions went unheard all the same, so an invite that vanished over the gap proves nothing by that.
        """
        if self.baseline is None or self.gap is None or self.gap > at:
            return self
        return replace(self, baseline=replace(self.baseline, watched=False), gap=None)

    def may_be_unlisted(self, code: str, looked_at: datetime) -> bool:
        """Whether a look begun then may lack this invite only because it is so new."""
        made = self.made.get(code)
        return made is not None and code not in self.gone and made + LISTED_WITHIN > looked_at

    def claimants(self, waiting: list[Waiting]) -> list[Waiting]:
        """Everyone whose use may lie between the baseline and the next snapshot, in join order."""
        since = self.baseline.taken_at if self.baseline else None
        able = [w for w in (*self.debtors, *waiting) if since is None or can_claim(w, since)]
        return sorted(able, key=lambda w: (w.joined_at, w.join_id))

    def moved_on(self, after: Snapshot, debtors: list[Waiting]) -> Evidence:
        """The evidence once `after` has been judged: it is the baseline, and debts that have lapsed are dropped."""
        invites = dict(after.invites)
        before = self.baseline.invites if self.baseline and self.baseline.permitted and after.permitted else {}
        vanity = after.vanity
        for code, invite in before.items():
            if code in invites:
                # A stale list must not make yesterday's use look like a new one: counts never go down.
                invites[code] = replace(invites[code], uses=max(invites[code].uses, invite.uses))
            elif self.may_be_unlisted(code, after.taken_at):
                invites[code] = invite
        if vanity and self.baseline and self.baseline.vanity and self.baseline.vanity.code == vanity.code:
            vanity = replace(vanity, uses=max(vanity.uses, self.baseline.vanity.uses))
        watched = after.watched and (self.unwatched_at is None or self.unwatched_at < after.taken_at)
        baseline = replace(after, invites=invites, vanity=vanity, watched=watched)
        gone = {code: tombstone for code, tombstone in self.gone.items() if code in invites or code not in before}
        return Evidence(
            baseline=baseline,
            gone=replace(self, baseline=baseline)._remembered(gone, after.taken_at),
            made={code: at for code, at in self.made.items() if code in invites and code not in after.invites},
            debtors=tuple(w for w in debtors if can_claim(w, after.taken_at)),
            gap=self.gap if self.gap and after.taken_at < self.gap + LATE_GAP else None,
        )

    def _remembered(self, gone: Mapping[str, Gone], at: datetime) -> Mapping[str, Gone]:
        """The tombstones of known invites; of others only the latest, since their INVITE_CREATE may yet come."""
        known = self.baseline.invites if self.baseline else {}
        unknown = [code for code, tombstone in gone.items() if code not in known and tombstone.at + UNKNOWN_GONE > at]
        kept = set(unknown[-MAX_UNKNOWN_GONE:])
        return {code: tombstone for code, tombstone in gone.items() if code in known or code in kept}


def can_claim(waiting: Waiting, since: datetime) -> bool:
    """Whether the join's use may still show after a snapshot begun at `since`.

    Counted from the event's arrival on our own clock. Only a member who is announced again long after joining is
    taken by the time of joining: such a join claims nothing of today's uses.
    """
    announced_again = waiting.received_at - waiting.joined_at > ANNOUNCED_AGAIN
    return (waiting.joined_at if announced_again else waiting.received_at) + DEBT > since
