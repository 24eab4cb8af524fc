"""Evidence as JSON and back, so that it survives the process. Compact, since a guild may have 1000 invites.

Times are microseconds since 1970 UTC, 0 for none.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from producer.evidence import Evidence, Waiting
from producer.snapshot import Gone, Invite, Snapshot, Vanity

VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def dump(evidence: Evidence, judged: str) -> str:
    """The evidence with `judged`, the event id up to which every join of the guild has been judged with it."""
    baseline = evidence.baseline
    return json.dumps(
        {
            "v": VERSION,
            "judged": judged,
            "baseline": baseline and _baseline(baseline),
            "gone": [[code, _us(gone.at), int(gone.by_hand)] for code, gone in evidence.gone.items()],
            "made": [[code, _us(at)] for code, at in evidence.made.items()],
            "debtors": [[w.join_id, _us(w.joined_at), _us(w.received_at)] for w in evidence.debtors],
            "gap": _us(evidence.gap),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def load(text: str | bytes) -> tuple[Evidence, str]:
    """What `dump` was given. Raises ValueError, TypeError, KeyError, OverflowError for anything else."""
    data = json.loads(text)
    if data["v"] != VERSION:
        raise ValueError(f"it is of format {data['v']}, and this program knows {VERSION}")
    evidence = Evidence(
        baseline=_snapshot(data["baseline"]) if data["baseline"] else None,
        gone={code: Gone(_at(at), bool(by_hand)) for code, at, by_hand in data["gone"]},
        made={code: _at(at) for code, at in data["made"]},
        debtors=tuple(Waiting(join_id, _at(joined), _at(received)) for join_id, joined, received in data["debtors"]),
        gap=_maybe(data["gap"]),
    )
    return evidence, str(data["judged"])


def _baseline(snapshot: Snapshot) -> list[Any]:
    vanity = snapshot.vanity and [snapshot.vanity.code, snapshot.vanity.uses]
    flags = [int(snapshot.permitted), int(snapshot.watched)]
    return [_us(snapshot.taken_at), *flags, vanity, [_invite(invite) for invite in snapshot.invites.values()]]


def _snapshot(data: list[Any]) -> Snapshot:
    taken_at, permitted, watched, vanity, rows = data
    invites = [_invite_of(row) for row in rows]
    return Snapshot(
        _at(taken_at),
        {invite.code: invite for invite in invites},
        Vanity(vanity[0], int(vanity[1])) if vanity else None,
        bool(permitted),
        bool(watched),
    )


def _invite(invite: Invite) -> list[Any]:
    return [
        invite.code, invite.uses, invite.max_uses, _us(invite.expires_at), invite.inviter_id, invite.inviter_name,
        invite.channel_id, _us(invite.created_at), int(invite.temporary),
    ]  # fmt: skip


def _invite_of(row: list[Any]) -> Invite:
    code, uses, max_uses, expires_at, inviter_id, inviter_name, channel_id, created_at, temporary = row
    return Invite(
        code, int(uses), int(max_uses), _maybe(expires_at), inviter_id, inviter_name, channel_id, _maybe(created_at),
        bool(temporary),
    )  # fmt: skip


def _us(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - _EPOCH) // _MICROSECOND


def _at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _maybe(microseconds: int) -> datetime | None:
    return _at(microseconds) if microseconds else None
