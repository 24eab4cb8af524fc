"""A code that is named is never wrong, no join is dropped, and what the evidence determines is found.

Generated histories of a guild against the guild's own truth (guild_model). 2,000 of them; 20,000 where CI is set; as
many as the environment variable HISTORIES says, which `make histories N=…` sets.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from itertools import product

import pytest
from guild_model import Guild, play
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joins.records import EXACT

HISTORIES = int(os.environ.get("HISTORIES") or (20_000 if os.environ.get("CI") else 2_000))

ORDERS = ("before", "after", "never")
RARELY, OFTEN = (False, False, False, True), (True, True, True, False)

BETWEEN: list[list[str]] = [[], ["look"], ["look", "kill", "find"], ["look", "lose", "back"], ["kill", "find"]]
HOW: list[list[str]] = [
    [], ["delete"], ["delete unaudited"], ["delete unheard"], ["delete_channel"], ["pause", "delete unaudited"],
    ["kill", "delete"], ["kill", "delete", "find"], ["lose", "delete unaudited", "back"],
]  # fmt: skip
# (verb, weight, values of each argument, more likely ones repeated)
KINDS: list[tuple[str, int, Sequence[Sequence[object]]]] = [
    ("join", 24, [range(12), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 5.0, 30.0, 59.0), ORDERS, RARELY]),
    ("burst", 20, [range(12), range(1, 4), ORDERS]),
    ("limited", 10, [(1, 1, 2), (0, 0, 1, 2), (0.0, 0.0, 2.0), OFTEN, ORDERS, (0.0, 0.0, 1.0, 8.0)]),
    ("look", 24, [(False,) * 7 + (True,), OFTEN]),
    ("calm", 14, [RARELY]),
    ("make", 10, [(0, 0, 1, 1, 2, 3), (None, None, None, 4.0, 40.0, 400.0), "xy", OFTEN, RARELY]),
    ("wait", 10, [(0.1, 1.5, 8.0, 30.0, 70.0, 4000.0)]),
    ("ask", 5, [(0.0, 0.3, 1.0)]),
    ("owe", 10, [range(6), (1.0, 5.0, 30.0, 59.0), OFTEN, BETWEEN, (0.1, 1.5, 8.0)]),
    ("vanish", 10, [(1, 2), (None, None, 12.0), HOW, (False, True), (0.1, 3.0, 15.0)]),
    ("delete", 3, [range(7), (True, False)]),
    ("delete_channel", 1, ["xy"]),
    ("rename_vanity", 1, [RARELY, (True, False)]),
    ("slow", 2, [(0.0, 0.05, 0.2)]),
    ("lose", 1, []),
    ("pause", 2, []),
    ("back", 4, []),
    ("kill", 2, [range(3)]),
    ("find", 4, []),
    ("permit", 1, [OFTEN]),
]


def _steps() -> list[tuple[object, ...]]:
    steps: list[tuple[object, ...]] = []
    for verb, weight, arguments in KINDS:
        ways = list(product(*arguments))
        steps += [(verb, *ways[number * len(ways) // (40 * weight)]) for number in range(40 * weight)]
    return steps


STEPS = _steps()

# A history is drawn as bytes, two a step: that takes a fifth of the time of drawing its steps part by part, and
# repeats itself less than a drawn list does.
HISTORY = st.binary(min_size=20, max_size=80).map(
    lambda drawn: [STEPS[(pair[0] << 8 | pair[1]) % len(STEPS)] for pair in zip(drawn[::2], drawn[1::2], strict=False)]
)


def test_a_named_code_is_never_wrong_and_no_join_is_dropped_in_any_history(capsys: pytest.CaptureFixture[str]) -> None:
    played: Counter[str] = Counter()

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORY, st.sampled_from(OFTEN), st.sampled_from(OFTEN))
    def histories(steps: list[tuple[object, ...]], watched: bool, known: bool) -> None:
        guild = play(steps, watched, known)
        played.update(guild.named, histories=1, joins=len(guild.truth))

    began = time.perf_counter()
    histories()
    with capsys.disabled():
        kinds = ", ".join(f"{played[kind]:,} {kind}" for kind in ("exact", "ambiguous", "unknown"))
        seconds = time.perf_counter() - began
        print(f"\n{played['histories']:,} histories, {played['joins']:,} joins ({kinds}) in {seconds:.0f} s")
    assert played["histories"] >= HISTORIES


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(ORDERS)), min_size=1, max_size=12))
def test_members_who_come_one_at_a_time_by_a_code_are_always_found(joins: list[tuple[int, str]]) -> None:
    guild = Guild()
    for limit in (0, 1, 2, 0):
        guild.make(limit, None, "x", True, False)
    guild.look(False, True)
    for pick, order in joins:
        codes = [code for code, invite in guild.invites.items() if invite.usable(guild.now)]
        guild.wait(30 if order == "before" else 5)  # an end not told when it is judged proves a use for ten seconds
        guild.join(1 + pick % (len(codes) + 1), 0.0, order, False)
        guild.look(False, True)
    assert guild.named == {EXACT: len(joins)}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.sampled_from([0.1, 30.0, 4000.0]))
def test_members_of_one_code_who_joined_over_a_gap_are_all_found_once_they_are_known(
    picks: list[int], length: float
) -> None:
    guild = Guild()
    guild.make(0, None, "x", True, False)
    guild.look(False, True)
    guild.wait(70)
    guild.kill(0)
    for _ in picks:
        guild.join(2, 0.0, "never", False)
        guild.wait(length)
    guild.find()
    guild.look(False, True)
    assert guild.named == {EXACT: len(picks)}
