"""Whether the evidence of a generated guild settles which code its joins used."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from producer.differences import EXPIRY_SLACK, GRACE, SKEW
from producer.evidence import LISTED_WITHIN, Waiting
from producer.snapshot import Snapshot

if TYPE_CHECKING:
    from guild_model import Guild


def determined(guild: Guild, after: Snapshot, waiting: list[Waiting]) -> bool:
    """Whether all who wait used one code, the list shows that, and no other code can have moved."""
    evidence, baseline = guild.evidence, guild.evidence.baseline
    codes = {guild.truth[join.join_id][0] for join in waiting}
    if not (after.permitted and baseline and baseline.permitted and len(codes) == 1 and None not in codes):
        return False
    if evidence.debtors or evidence.gap or any(guild.at() - join.joined_at > SKEW for join in waiting):
        return False
    (code,) = codes
    first = min(guild.truth[join.join_id][1] for join in waiting)
    others = {*baseline.invites, *after.invites} - {code}
    if any(
        one in evidence.gone or _uses(baseline, one) != _uses(after, one) or not _is_known(one, baseline, after)
        for one in others
    ):
        return False
    if code in guild.invites:
        if baseline.vanity != after.vanity:
            return False
        true, old = guild.invites[code], baseline.invites.get(code)
        if old is None or old.uses != first:
            return False
        if any(true.expires_at is not None and guild.at(true.expires_at) < j.joined_at + SKEW for j in waiting):
            return False
        if code in after.invites:
            return _uses(after, code) == first + len(waiting) and code not in evidence.gone
        spent = true.max_uses == first + len(waiting) and true.deleted_at is None
        expires = true.expires_at is not None and guild.at(true.expires_at) <= guild.at() + SKEW + EXPIRY_SLACK
        gone = evidence.gone.get(code)
        sure = not gone.by_hand if gone else _is_near(waiting, evidence.made.get(code, baseline.taken_at), after)
        return guild.watched and baseline.watched and spent and sure and not expires
    old_vanity, new_vanity = baseline.vanity, after.vanity
    if not (old_vanity and new_vanity and old_vanity.code == new_vanity.code == code):
        return False
    return old_vanity.uses == first and new_vanity.uses == first + len(waiting)


def _is_near(waiting: list[Waiting], since: datetime, after: Snapshot) -> bool:
    """Whether both looks were near the joins; and a list lacks a new invite no longer."""
    last = max(join.received_at for join in waiting)
    return last - GRACE <= since <= after.taken_at - LISTED_WITHIN and after.taken_at <= last + GRACE


def _uses(snapshot: Snapshot, code: str) -> int | None:
    invite = snapshot.invites.get(code)
    return invite.uses if invite else None


def _is_known(code: str, baseline: Snapshot, after: Snapshot) -> bool:
    return code in baseline.invites and code in after.invites
