"""Which invite each waiting join used, out of the difference between two snapshots. Pure: no clock, no I/O, no Discord.

A code is named as `exact` only when it is the one code that can have moved, its number of uses is certain, and that
number equals the joins that may have caused it (those that wait and the debtors of earlier looks). Everything else is
`ambiguous` with its candidates, or `unknown`. It never guesses.

What the difference alone cannot tell, and is therefore assumed:

1. Every use of an invite is announced by a join event before the look that shows it is judged, which the guild's
   worker holds back a moment (`looking.Pace.hold`) for that. (A use whose event never comes, beside a join without a
   visible use at the same moment, would be taken for that join's. Where the gateway session was lost, events may be
   missing, and nothing over that gap is exact.)
2. A use shows in the list within `evidence.DEBT` of its join's event; the use of a join that nobody announced, by
   the first snapshot, or within `evidence.LATE_GAP` after a lost session.
3. A limited invite that vanishes, unexpired, within `differences.GRACE` of joins that would just use it up was used
   up: its INVITE_DELETE came that near to them, or without one both looks were, before and after. One that vanished
   unheard between looks further apart is a candidate only. Somebody who deletes it by hand at that moment is known
   from the audit log where it may be read, within `looking.Pace.audit`.
4. Counts never go down, and a code, once gone, is not given out again.
5. The list lacks a new invite for `evidence.LISTED_WITHIN` at most, and a list is never older than one before it.
6. Over a gap that was reconciled (`evidence.reconciled`), nobody came by an invite and left again unseen beside
   somebody who came without one. A guild that lists itself for discovery is therefore never reconciled this way.

Facts: https://docs.discord.com/developers/resources/invite and shared discord-facts.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joins.records import AMBIGUOUS, EXACT, UNKNOWN, timestamp
from producer.differences import INVITE, USED_UP, VANITY, Move, differences
from producer.evidence import Evidence, Waiting, can_claim
from producer.snapshot import Snapshot

NO_DIFFERENCE, NO_SNAPSHOT, NO_PERMISSION = "no_difference", "no_snapshot", "no_permission"
FETCH_FAILED, JOINED_EARLIER, OAUTH2, ERROR = "fetch_failed", "joined_before_snapshot", "oauth2", "internal_error"
MAX_CANDIDATES = 50  # in one record, which must stay well under 64 kB; `evidence` holds the true number


@dataclass(frozen=True, slots=True)
class Attribution:
    """What is known of how one member came in. Without a code unless the confidence is `exact`."""

    join_id: str
    source: str
    method: str
    confidence: str
    invite_code: str | None = None
    inviter_id: str | None = None
    inviter_name: str | None = None
    uses_before: int | None = None
    uses_after: int | None = None
    temporary: bool = False
    candidates: tuple[Mapping[str, Any], ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


def attribute(evidence: Evidence, after: Snapshot | None, waiting: list[Waiting]) -> tuple[list[Attribution], Evidence]:
    """One attribution for each waiting join, in their order, and the evidence moved forward.

    `after` is None when the list could not be fetched: the old snapshot stays, and the joins become debtors.
    """
    baseline, everyone = evidence.baseline, [*evidence.debtors, *waiting]
    if after is None:
        held = Evidence(baseline, evidence.gone, evidence.made, tuple(everyone), evidence.gap)
        return [unknown(join, FETCH_FAILED) for join in waiting], held
    if not after.permitted or baseline is None or not baseline.permitted:
        method = NO_SNAPSHOT if baseline is None and after.permitted else NO_PERMISSION
        return [unknown(join, method) for join in waiting], evidence.moved_on(after, everyone)
    claimants = evidence.claimants(waiting)
    moves = differences(evidence, after, claimants)
    facts = {
        "baseline_at": timestamp(baseline.taken_at),
        "snapshot_at": timestamp(after.taken_at),
        "claimants": len(claimants),
        "uses_seen": sum(move.least for move in moves),
    }
    if evidence.gap:
        facts["gap"] = True
    winner = None if evidence.gap else _winner(moves, claimants)
    places = {join.join_id: place for place, join in enumerate(claimants)}
    results = []
    for join in waiting:
        if not can_claim(join, baseline.taken_at):
            results.append(unknown(join, JOINED_EARLIER, facts))
        elif winner:
            results.append(_exact(join, winner, winner.before + places[join.join_id], facts))
        else:
            results.append(_undecided(join, [move for move in moves if move.open_to(join)], facts))
    return results, evidence.moved_on(after, _still_owing(evidence, moves, claimants, bool(winner)))


def is_settled(evidence: Evidence, after: Snapshot, waiting: list[Waiting]) -> bool:
    """Whether another look could tell nothing more about these joins than `after` does."""
    baseline = evidence.baseline
    if not after.permitted or baseline is None or not baseline.permitted or evidence.gap:
        return True
    claimants = evidence.claimants(waiting)
    moves = differences(evidence, after, claimants)
    seen = sum(move.least for move in moves)
    if not any(can_claim(join, baseline.taken_at) for join in waiting):
        return seen <= len(claimants)  # more uses than joins: an event is on its way, wait for it
    return seen == len(claimants) and all(move.firm for move in moves)


def rests_on_a_deletion(evidence: Evidence, after: Snapshot, waiting: list[Waiting]) -> bool:
    """Whether a code would be named because its invite is gone, of which the audit log may yet say: by hand."""
    baseline = evidence.baseline
    if not after.permitted or baseline is None or not baseline.permitted or evidence.gap:
        return False
    claimants = evidence.claimants(waiting)
    winner = _winner(differences(evidence, after, claimants), claimants)
    return winner is not None and winner.method == USED_UP


def bot(join: Waiting, added_by: str | None = None) -> Attribution:
    """A bot is added through OAuth2, never by an invite: nobody is its inviter. `added_by` is who did, where known."""
    return Attribution(join.join_id, "bot", OAUTH2, EXACT, evidence={"added_by": added_by} if added_by else {})


def unknown(join: Waiting, method: str, facts: Mapping[str, Any] | None = None) -> Attribution:
    """Recorded without a code, and why."""
    return Attribution(join.join_id, "unknown", method, UNKNOWN, evidence=facts or {})


def _winner(moves: list[Move], claimants: list[Waiting]) -> Move | None:
    if len(moves) != 1:
        return None
    move = moves[0]
    alone = move.firm and move.least == len(claimants)
    return move if alone and all(move.open_to(join) for join in claimants) else None


def _exact(join: Waiting, move: Move, before: int, facts: Mapping[str, Any]) -> Attribution:
    invite = move.invite
    return Attribution(
        join_id=join.join_id,
        source="invite" if invite else "vanity",
        method=move.method,
        confidence=EXACT,
        invite_code=move.code,
        inviter_id=invite.inviter_id if invite else None,
        inviter_name=invite.inviter_name if invite else None,
        uses_before=before,
        uses_after=before + 1,
        temporary=invite.temporary if invite else False,
        evidence=facts,
    )


def _undecided(join: Waiting, moves: list[Move], facts: Mapping[str, Any]) -> Attribution:
    if not moves:
        return unknown(join, NO_DIFFERENCE, facts)
    if len(moves) > MAX_CANDIDATES:
        facts = {**facts, "candidates_total": len(moves)}
    candidates = tuple(move.candidate() for move in moves[:MAX_CANDIDATES])
    method = VANITY if all(move.method == VANITY for move in moves) else INVITE
    return Attribution(join.join_id, "unknown", method, AMBIGUOUS, candidates=candidates, evidence=facts)


def _still_owing(evidence: Evidence, moves: list[Move], claimants: list[Waiting], decided: bool) -> list[Waiting]:
    """Whose use may still show: as many of the claimants as uses are missing, the latest of them."""
    seen = sum(move.least for move in moves)
    if decided or (seen == len(claimants) and all(move.firm for move in moves) and not evidence.gap):
        return []
    if evidence.gap or seen > len(claimants):
        return claimants  # some of these uses belong to joins that nobody announced: they settle no debt
    certain = sum(move.least for move in moves if move.listed)
    return sorted(claimants, key=lambda join: join.received_at)[certain:]
