"""A code that is named is never wrong, across restarts and reconciling too: generated histories of a guild.

On top of the model of test_attribution_histories: the process is killed, perhaps before its latest evidence was kept;
who joins meanwhile is unheard, and so is every deletion; then everybody is found, at once or late, or not at all.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_attribution_histories import PICK, STEP, Guild

from producer.evidence import Evidence, Waiting


class MortalGuild(Guild):
    """Keeps evidence as the store does, and forgets the rest when it is killed."""

    def __init__(self, watched: bool) -> None:
        super().__init__(watched)
        self.heard: dict[str, Waiting] = {}  # every join with an arrival on disk
        self.unheard: list[Waiting] = []
        self.kept: list[tuple[Evidence, set[str]]] = []  # evidence, and which joins had a record by then

    def join(self, pick: int, late: float, order: str) -> None:
        super().join(pick, late, order)
        name = f"j{len(self.truth) - 1}"
        joined = Waiting(name, self.at(), self.at())
        if self.blind:
            self.unheard.append(joined)
        else:
            self.heard[name] = joined

    def look(self, fails: bool) -> None:
        super().look(fails)
        self.kept.append((self.evidence, set(self.heard)))

    def kill(self, back: int) -> None:
        """The process dies `back` writes before the latest evidence was kept."""
        evidence, recorded = self.kept[max(len(self.kept) - 1 - back, 0)]
        waiting = {join.join_id for join in self.waiting}
        since = [join for name, join in self.heard.items() if name not in recorded and name not in waiting]
        floor = evidence.baseline.taken_at if evidence.baseline else self.at(0)
        owing = [Waiting(j.join_id, j.joined_at, max(j.joined_at, floor)) for j in since]
        self.evidence, self.blind = evidence.restarted(self.at(), owing), True

    def find(self) -> None:
        """Everybody who joined unheard is found."""
        if self.blind:
            self.blind, self.evidence = False, self.evidence.missed(self.at())
        self.waiting += self.unheard
        self.heard |= {join.join_id: join for join in self.unheard}
        self.unheard = []
        self.evidence = self.evidence.reconciled(self.at())


ENDING = st.one_of(
    st.tuples(st.just("find")),
    st.tuples(st.just("find")),
    st.tuples(st.just("kill"), st.integers(0, 2)),
    st.tuples(st.just("return"), st.just(0)),
)
JOIN = st.tuples(st.just("join"), PICK, st.sampled_from([0.0, 0.0, 3.0]), st.sampled_from(["before", "never"]))


def play(watched: bool, steps: list[tuple[object, ...]]) -> MortalGuild:
    guild = MortalGuild(watched)
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
    guild.find()
    guild.look(False)
    return guild


@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans(), st.lists(st.one_of(STEP, STEP, ENDING, JOIN), max_size=25))
def test_a_code_that_is_named_is_never_wrong_across_restarts(watched: bool, steps: list[tuple[object, ...]]) -> None:
    play(watched, steps)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.sampled_from([0.1, 30.0, 4000.0]))
def test_members_of_one_code_who_joined_over_a_gap_are_all_found_once_they_are_known(
    picks: list[int], length: float
) -> None:
    guild = MortalGuild(True)
    guild.make(0, None, "x", True)
    guild.look(False)
    guild.wait(70)
    guild.kill(0)
    for _ in picks:
        guild.join(2, 0.0, "never")
        guild.wait(length)
    guild.find()
    guild.look(False)
    assert guild.named == {"exact": len(picks)}
