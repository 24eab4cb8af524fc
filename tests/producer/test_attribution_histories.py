"""A code that is named is never wrong: generated histories of a guild against the guild's own truth.

The model keeps to the assumptions written in producer/attribution.py and breaks everything else: uses that show late,
joins together, limited invites used up with INVITE_DELETE before, after or never, deletions by hand, expiries, deleted
channels, failed looks, looks thrown away, lost sessions, guilds whose events we may not see.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joins.records import EXACT
from producer.attribution import Attribution, attribute
from producer.evidence import Evidence, Waiting
from producer.snapshot import Invite, Snapshot, Vanity

T0 = datetime(2025, 10, 31, tzinfo=UTC)
VANITY = "vanity"


@dataclass
class TrueInvite:
    code: str
    max_uses: int
    expires_at: float | None
    channel: str
    made_at: float
    shows: list[float] = field(default_factory=list)  # when each use becomes visible
    deleted: bool = False

    def listed(self, now: float) -> bool:
        spent = bool(self.max_uses) and sum(show <= now for show in self.shows) >= self.max_uses
        return not (spent or self.deleted or (self.expires_at is not None and self.expires_at <= now))

    def usable(self, now: float) -> bool:
        expired = self.expires_at is not None and self.expires_at <= now
        return not (self.deleted or expired or (self.max_uses and len(self.shows) >= self.max_uses))


class Guild:
    """The truth, and what of it reaches the producer."""

    def __init__(self, watched: bool) -> None:
        self.now, self.watched, self.blind = 0.0, watched, False
        self.invites: dict[str, TrueInvite] = {}
        self.vanity_shows: list[float] = []
        self.truth: dict[str, tuple[str | None, int]] = {}
        self.waiting: list[Waiting] = []
        self.evidence = Evidence()
        self.events: list[tuple[float, str, bool]] = []  # INVITE_DELETEs on their way
        self.named: Counter[str] = Counter()

    def at(self, seconds: float | None = None) -> datetime:
        return T0 + timedelta(seconds=self.now if seconds is None else seconds)

    def make(self, max_uses: int, lives: float | None, channel: str, seen: bool) -> None:
        code = f"c{len(self.invites)}"
        expires_at = None if lives is None else self.now + lives
        true = self.invites[code] = TrueInvite(code, max_uses, expires_at, channel, self.now)
        if self.watched and seen and not self.blind:
            self.evidence = self.evidence.created(self.shown(true, 0), self.at())

    def shown(self, true: TrueInvite, uses: int) -> Invite:
        expires_at = None if true.expires_at is None else self.at(true.expires_at)
        return Invite(
            true.code, uses, true.max_uses, expires_at, "7", "maria", true.channel, self.at(true.made_at), False
        )

    def join(self, pick: int, late: float, order: str) -> None:
        """By an invite, the vanity code, or neither; silent while the session is lost."""
        self.now += 0.001
        choices = [None, VANITY, *sorted(code for code, invite in self.invites.items() if invite.usable(self.now))]
        code = choices[pick % len(choices)]
        shows = self.vanity_shows if code == VANITY else self.invites[code].shows if code else []
        name = f"j{len(self.truth)}"
        self.truth[name] = (code, len(shows))
        shows.append(max([self.now + (min(late, 4.0) if self.blind else late), *shows]))
        invite = self.invites.get(code or "")
        if invite and invite.max_uses and len(invite.shows) >= invite.max_uses and order != "never":
            self.events.append((self.now + (3 if order == "after" else 0), invite.code, False))
        if not self.blind:
            self.waiting.append(Waiting(name, self.at(), self.at()))
        self.deliver()

    def delete(self, pick: int) -> None:
        codes = sorted(code for code, invite in self.invites.items() if invite.usable(self.now))
        if codes:
            code = codes[pick % len(codes)]
            self.invites[code].deleted = True
            self.events.append((self.now, code, True))
            self.deliver()

    def delete_channel(self, channel: str) -> None:
        for invite in self.invites.values():
            invite.deleted = invite.deleted or invite.channel == channel
        if not self.blind:
            self.evidence = self.evidence.channel_deleted(channel, self.at())

    def deliver(self) -> None:
        for event in [event for event in self.events if event[0] <= self.now]:
            self.events.remove(event)
            if self.watched and not self.blind:
                self.evidence = self.evidence.deleted(event[1], self.at(event[0]), by_hand=event[2])

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.deliver()

    def look(self, fails: bool) -> None:
        """A look that is judged; one that is thrown away leaves no trace, so it needs no model."""
        after = None
        if not fails:
            listed = {
                code: self.shown(true, sum(show <= self.now for show in true.shows))
                for code, true in self.invites.items()
                if true.listed(self.now)
            }
            vanity = Vanity(VANITY, sum(show <= self.now for show in self.vanity_shows))
            after = Snapshot(self.at(), listed, vanity, watched=self.watched)
        found, self.evidence = attribute(self.evidence, after, self.waiting)
        assert [f.join_id for f in found] == [w.join_id for w in self.waiting], "no join is dropped"
        self.waiting = []
        for attribution in found:
            self.check(attribution)

    def check(self, found: Attribution) -> None:
        code, uses = self.truth[found.join_id]
        self.named[found.confidence] += 1
        if found.confidence == EXACT:
            assert (found.invite_code, found.uses_before, found.uses_after) == (code, uses, uses + 1)
        else:
            assert found.invite_code is None


PICK = st.integers(0, 6)
LATE = st.sampled_from([0.0, 0.0, 0.0, 0.0, 1.0, 5.0, 30.0, 59.0])
STEP = st.one_of(
    st.tuples(st.just("join"), PICK, LATE, st.sampled_from(["before", "after", "never"])),
    st.tuples(st.just("join"), PICK, LATE, st.sampled_from(["before", "after", "never"])),
    st.tuples(
        st.just("make"),
        st.sampled_from([0, 0, 1, 1, 2, 3]),
        st.sampled_from([None, None, 4.0, 40.0, 400.0]),
        st.sampled_from("xy"),
        st.booleans(),
    ),
    st.tuples(st.just("look"), st.sampled_from([False, False, False, True])),
    st.tuples(st.just("look"), st.just(False)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.5, 8.0, 30.0, 70.0, 4000.0])),
    st.tuples(st.just("delete"), PICK),
    st.tuples(st.just("delete_channel"), st.sampled_from("xy")),
    st.tuples(st.just("lose"), st.just(0)),
    st.tuples(st.just("return"), st.just(0)),
)


def play(watched: bool, steps: list[tuple[object, ...]]) -> Guild:
    guild = Guild(watched)
    guild.make(0, None, "x", True)
    guild.look(False)
    for verb, *arguments in steps:
        if verb == "lose":
            guild.blind = True
        elif verb == "return":
            if guild.blind:
                guild.blind, guild.evidence = False, guild.evidence.missed(guild.at())
        elif not (guild.blind and verb == "look"):
            getattr(guild, str(verb))(*arguments)
    if guild.blind:
        guild.blind, guild.evidence = False, guild.evidence.missed(guild.at())
    guild.look(False)
    return guild


@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans(), st.lists(STEP, max_size=25))
def test_a_code_that_is_named_is_never_wrong(watched: bool, steps: list[tuple[object, ...]]) -> None:
    play(watched, steps)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["before", "after", "never"])), min_size=1, max_size=12))
def test_members_who_come_one_at_a_time_by_a_code_are_always_found(joins: list[tuple[int, str]]) -> None:
    guild = Guild(True)
    for limit in (0, 1, 2, 0):
        guild.make(limit, None, "x", True)
    guild.look(False)
    for pick, order in joins:
        codes = [code for code, invite in guild.invites.items() if invite.usable(guild.now)]
        guild.join(1 + pick % (len(codes) + 1), 0.0, order)
        guild.look(False)
        guild.wait(30)
    assert guild.named == {EXACT: len(joins)}
