"""Every reader takes its seeds, and of mutations of them only errors of ours come out."""

from __future__ import annotations

import random

import pytest

from tests.fuzzing.targets import NAMED, TARGETS

MUTATIONS = 150
SEED = 20261126
ODD = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b'"', b"[[[[", b"{}", b"9" * 400, b"\\ud800", b"null", b"-",
    b"\xe2\x80\xa8",
]  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same with a few pieces replaced, cut, doubled or slipped in."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        upto = min(len(data), at + chance.choice((0, 1, 1, 5, 40)))
        piece = chance.choice((b"", chance.choice(ODD), bytes([chance.randrange(256)]), data[upto : upto + 40]))
        data = data[:at] + piece + data[upto:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_only_errors_of_ours_come_out_of_a_reader(name: str) -> None:
    target, chance = TARGETS[name], random.Random(SEED)
    for seed in target.seeds:
        for data in [seed, b"", *(mutated(seed, chance) for _ in range(MUTATIONS))]:
            try:
                target.read(data)
            except NAMED:
                continue
