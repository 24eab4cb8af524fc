"""A guild as it truly is, what of it reaches the producer, and the check of every attribution against the truth.

The model keeps to the assumptions written in producer/attribution.py and breaks everything else: uses that show late,
lists that are old, joins together, events that come late, twice or never, limited invites used up with INVITE_DELETE
before, after or never, deletions by hand, expiries, deleted channels, renamed vanity codes, failed and refused looks,
lost sessions, processes that are killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from guild_determined import determined
from guild_truth import TrueInvite, TrueVanity

from joins.records import EXACT
from producer import evidence_json
from producer.attribution import Attribution, attribute
from producer.differences import GRACE
from producer.evidence import Evidence, Waiting
from producer.looking import Pace
from producer.snapshot import Invite, Snapshot, Vanity

T0 = datetime(2025, 10, 31, tzinfo=UTC)
HOLD = Pace().hold
LONGEST_FETCH = 60.0  # seconds; an older answer is not waited for
LATE_GAP = 4.0  # seconds; how late a use that nobody announced shows at most


@dataclass
class Asked:
    """A request for the list that is under way."""

    at: float
    shows: float  # the moment of which the list tells


class Guild:
    """Every public method is a step of a history; time passes in `wait`, in `look`, and a little with each join."""

    def __init__(self, watched: bool = True) -> None:
        self.now, self.watched, self.permitted = 0.0, watched, True
        self.blind = self.away = False  # events are lost; events wait for the session to be resumed
        self.lag = 0.0
        self.invites: dict[str, TrueInvite] = {}
        self.vanities = [TrueVanity("vanity", 0.0)]
        self.truth: dict[str, tuple[str | None, int]] = {}
        self.evidence = Evidence()
        self.waiting: list[Waiting] = []
        self.heard: dict[str, Waiting] = {}  # every join with an arrival on disk
        self.unheard: dict[str, Waiting] = {}
        self.found: dict[str, Attribution] = {}
        self.kept: list[tuple[Evidence, set[str]]] = [(Evidence(), set())]  # and which joins had been judged by then
        self.named: Counter[str] = Counter()
        self._events: list[tuple[float, Callable[[], None]]] = []
        self._asked: Asked | None = None
        self._resumed_at, self._replayed = 0.0, False
        self._shown_to = 0.0  # no list tells of a moment before this one

    def at(self, seconds: float | None = None) -> datetime:
        return T0 + timedelta(seconds=self.now if seconds is None else seconds)

    # What people do

    def make(self, max_uses: int, lives: float | None, channel: str, seen: bool, doubled: bool) -> None:
        code = f"c{len(self.invites)}"
        expires_at = None if lives is None else self.now + lives
        true = self.invites[code] = TrueInvite(code, max_uses, expires_at, channel, self.now)
        for _ in range(1 + doubled):
            if self.watched and seen:
                self._send(lambda: self._hear_made(true))

    def join(self, pick: int, late: float, order: str, doubled: bool) -> None:
        """By an invite, the vanity code, or neither."""
        usable = sorted(code for code, invite in self.invites.items() if invite.usable(self.now))
        choices = [None, self.vanities[-1].code, *usable]
        self.join_by(choices[pick % len(choices)], late, order, doubled)

    def join_by(self, code: str | None, late: float, order: str, doubled: bool) -> None:
        self.now += 0.001
        vanity = self.vanities[-1]
        invite = self.invites.get(code or "")
        shows = invite.shows if invite else vanity.shows if code else []
        name = f"j{len(self.truth)}"
        self.truth[name] = (code, len(shows) + (vanity.before if code and not invite else 0))
        shows.append(max([self.now + (min(late, LATE_GAP) if self.blind else late), *shows]))
        used_up = invite is not None and invite.max_uses and len(invite.shows) >= invite.max_uses
        if invite and used_up and order == "before":
            self._send_gone(invite.code, False)
        joined = Waiting(name, self.at(), self.at())
        self.unheard[name] = joined
        for _ in range(1 + doubled):
            self._send(lambda: self._hear_join(joined))
        if invite and used_up and order == "after":
            self._send_gone(invite.code, False, late=3.0)

    def burst(self, pick: int, count: int, order: str) -> None:
        """Some join together, one after the other, by a code."""
        for _ in range(count):
            self.join(pick, 0.0, order, False)
        self.look(False, True)

    def limited(self, uses: int, others: int, after: float, seen: bool, order: str, late: float) -> None:
        """An invite is made and soon used up, perhaps while others join by nothing."""
        self.make(uses, None, "x", seen, False)
        self.wait(after)
        code = f"c{len(self.invites) - 1}"
        for number in range(max(uses, others)):
            if number < others:
                self.join(0, 0.0, order, False)
            if number < uses:
                self.join_by(code, late, order, False)

    def owe(self, pick: int, late: float, heard: bool, between: Sequence[str], later: float) -> None:
        """Somebody's use shows late, and about then somebody joins by nothing."""
        self.calm(True)
        if not heard:
            self.lose()
        self.join(1 + pick, late, "never", False)
        for verb in between:
            self._do(verb)
        self.back()
        self.look(False, True)
        self.wait(max(min(late, LATE_GAP if not heard else late) - 1, 0))
        self.look(False, True)
        self.wait(later)
        self.join_by(None, 0.0, "never", False)
        self.look(False, True)

    def vanish(self, uses: int, lives: float | None, how: Sequence[str], joined: bool, later: float) -> None:
        """A limited invite goes, used up by nobody, and somebody joins by nothing around that time."""
        self.calm(True)
        self.make(uses, lives, "z", True, False)
        code = f"c{len(self.invites) - 1}"
        self.wait(1.5)
        self.look(False, True)
        if joined:
            self.join_by(None, 0.0, "never", False)
            self.wait(later)
        for verb in how:
            self._do(verb, code)
        self.wait(later)
        self.join_by(None, 0.0, "never", False)
        if "kill" in how:
            self.find()
        self.back()
        self.look(False, True)

    def _do(self, verb: str, code: str = "") -> None:
        match verb:
            case "look":
                self.look(False, True)
            case "delete" | "delete unaudited":
                self._delete(code, verb == "delete")
            case "delete unheard":
                self._delete(code, False, heard=False)
            case "delete_channel":
                self.delete_channel("z")
            case "kill":
                self.kill(0)
            case _:
                getattr(self, verb)()

    def delete(self, pick: int, audited: bool) -> None:
        """By hand; without an audit log to tell that, at a moment at which nobody joins."""
        usable = sorted(code for code, invite in self.invites.items() if invite.usable(self.now))
        if usable:
            self._delete(usable[pick % len(usable)], audited)

    def _delete(self, code: str, audited: bool, heard: bool = True) -> None:
        apart = 0 if audited else GRACE.total_seconds() + 1
        self.wait(apart)
        if self.invites[code].usable(self.now):
            self.invites[code].deleted_at = self.now
            if heard:
                self._send_gone(code, audited)
        self.wait(apart)

    def delete_channel(self, channel: str) -> None:
        for invite in self.invites.values():
            if invite.channel == channel and invite.deleted_at is None:
                invite.deleted_at = self.now
        self._send(lambda: self._learn(self.evidence.channel_deleted(channel, self.at())))

    def rename_vanity(self, taken_away: bool, keeps_count: bool) -> None:
        old = self.vanities[-1]
        code = None if taken_away else f"vanity{len(self.vanities)}"
        self.vanities.append(TrueVanity(code, self.now, old.before + len(old.shows) if keeps_count else 0))

    # What the way to the producer does

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._deliver()

    def slow(self, lag: float) -> None:
        """Events are on their way so long, in their order."""
        self.lag = lag

    def lose(self) -> None:
        """The session is lost: events from now on never come."""
        self._events.clear()
        self.blind, self.away, self._asked = True, False, None

    def pause(self) -> None:
        """The connection is away; events come once it is resumed."""
        if not self.blind:
            self.away, self._asked = True, None

    def back(self) -> None:
        """The connection is there again, resumed or new."""
        if self.away:
            self.away, self._resumed_at = False, self.now
        if self.blind:
            self.blind = False
            self._learn(self.evidence.missed(self.at()))
        self._deliver()

    def kill(self, back: int) -> None:
        """The process dies, up to `back` writes before its latest evidence was kept; the next one takes over."""
        self.lose()
        evidence, judged = self.kept[max(len(self.kept) - 1 - back, 0)]
        evidence = evidence_json.load(evidence_json.dump(evidence, "1-0"))[0]
        since = [join for name, join in self.heard.items() if name in self.found and name not in judged]
        if evidence.baseline:
            floor = evidence.baseline.taken_at
            owing = [replace(join, received_at=max(join.joined_at, floor)) for join in since]
            evidence = evidence.restarted(self.at(), owing)
        else:
            evidence = Evidence()
        self._learn(evidence)

    def find(self) -> None:
        """Everybody who joined unheard is found."""
        self.back()
        self.wait(self.lag)
        for joined in list(self.unheard.values()):
            self._hear_join(joined, found=True)
        self._learn(self.evidence.reconciled(self.at()))

    def calm(self, found: bool) -> None:
        """For a while nothing happens, and every use shows."""
        self.permitted = True
        if found:
            self.find()
        self.back()
        self.look(False, True)
        self.wait(70)
        self.look(False, True)

    def permit(self, permitted: bool) -> None:
        self.permitted = permitted

    # What the producer does

    def ask(self, old: float) -> None:
        """A request begins, whose list will be `old` seconds behind."""
        if not (self.blind or self.away):
            self._shown_to = max(self.now - old, self._shown_to)
            self._asked = Asked(self.now, self._shown_to)

    def look(self, fails: bool, fresh: bool) -> None:
        """The answer comes, and is judged after the moment for which the worker holds it back.

        `fresh`: it tells of the moment of the answer. A look that is thrown away leaves no trace, so it needs no model.
        """
        if self.blind or self.away:
            return
        asked, self._asked = self._asked, None
        if asked is None or self.now - asked.at > LONGEST_FETCH:
            asked = Asked(self.now, self.now)
        if fresh:
            asked.shows = self.now
        self._shown_to = asked.shows
        after = None if fails else self._snapshot(asked)
        self.wait(HOLD)
        waiting, self.waiting = self.waiting, []
        settled = after is not None and determined(self, after, waiting)
        found, evidence = attribute(self.evidence, after, waiting)
        assert [f.join_id for f in found] == [w.join_id for w in waiting], "one answer for each, in their order"
        for attribution in found:
            self._check(attribution, settled)
        self._learn(evidence)
        self.kept = [*self.kept[-2:], (evidence, set(self.found))]

    def end(self) -> None:
        """Everybody is found and judged, so no join may be missing."""
        self.permitted = True
        self.find()
        self.look(False, True)
        assert self.found.keys() == self.truth.keys(), "no join is dropped"

    def _snapshot(self, asked: Asked) -> Snapshot:
        if not self.permitted:
            return Snapshot(self.at(asked.at), permitted=False, watched=self.watched)
        listed = {
            code: self._shown(true, true.uses(asked.shows))
            for code, true in self.invites.items()
            if true.listed(asked.shows)
        }
        vanity = next(one for one in reversed(self.vanities) if one.since <= asked.shows)
        uses = vanity.before + sum(show <= asked.shows for show in vanity.shows)
        return Snapshot(
            self.at(asked.at), listed, Vanity(vanity.code, uses) if vanity.code else None, watched=self.watched
        )

    def _check(self, found: Attribution, settled: bool) -> None:
        assert found.join_id not in self.found, "once"
        self.found[found.join_id] = found
        self.named[found.confidence] += 1
        code, uses = self.truth[found.join_id]
        if found.confidence == EXACT:
            assert (found.invite_code, found.uses_before, found.uses_after) == (code, uses, uses + 1)
        else:
            assert found.invite_code is None
            assert not settled, "where the evidence determines the code it is found"

    def _shown(self, true: TrueInvite, uses: int) -> Invite:
        expires_at = None if true.expires_at is None else self.at(true.expires_at)
        return Invite(
            true.code, uses, true.max_uses, expires_at, "7", "maria", true.channel, self.at(true.made_at), False
        )

    def _learn(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def _hear_made(self, true: TrueInvite) -> None:
        self._learn(self.evidence.created(self._shown(true, 0), self.at()))

    def _hear_join(self, join: Waiting, found: bool = False) -> None:
        self.unheard.pop(join.join_id, None)
        if join.join_id not in self.heard:
            self.heard[join.join_id] = join if found else replace(join, received_at=self.at())
            self.waiting.append(self.heard[join.join_id])

    def _send_gone(self, code: str, by_hand: bool, late: float = 0.0) -> None:
        """INVITE_DELETE, and the audit log's entry, which needs no right to the channels."""
        if self.watched or by_hand:
            self._send(lambda: self._learn(self.evidence.deleted(code, self.at(), by_hand or self._replayed)), late)

    def _send(self, event: Callable[[], None], late: float = 0.0) -> None:
        if not self.blind:
            self._events.append((self.now + self.lag + late, event))
            self._events.sort(key=lambda one: one[0])
            self._deliver()

    def _deliver(self) -> None:
        end = self.now
        while self._events and self._events[0][0] <= end and not self.away:
            due, event = self._events.pop(0)
            # What waited for the connection arrives with it, and is not taken for proof of when it happened.
            self._replayed = due <= self._resumed_at
            self.now = max(due, self._resumed_at)
            event()
        self.now = end


def play(steps: Iterable[tuple[object, ...]], watched: bool = True, known: bool = True) -> Guild:
    """A history; `known`: the guild has been looked at before it begins."""
    guild = Guild(watched)
    guild.make(0, None, "x", True, False)
    if known:
        guild.look(False, True)
    for verb, *arguments in steps:
        getattr(guild, str(verb))(*arguments)
    guild.end()
    return guild
