"""Both log files against a model: batches, crashes that tear a write in any way a disk can, reopening, going on."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from factories import batch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from log_file_cases import KINDS, LOG, Kind, changed

from joins.array_file import GROW_BYTES
from joins.chain import Record
from joins.tail import empty_head

REASONS = ("", "é\n", "x" * 1500, '"=]}{[,\\' * 80, "😀" * 1300)  # of some bytes, of a block, of several
BLOCKS = (512, 4096)  # bytes: what disks write at once
counts = st.integers(1, 4)


class LogFile(RuleBasedStateMachine):
    """What was acknowledged is there, and of a write that was not, its first records in order, or none."""

    kind: Kind
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp(dir=self.folder))
        self.path = self._home / "log"
        self.chain: list[Record] = []  # the stream: what a sink is given, always in the same order
        self.there = 0  # how many of them the file holds
        self.writer: Any = self.kind.open(self.path)

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self._home)

    def next_records(self, count: int, reason: str) -> list[Record]:
        """The next of the stream, which grows with records of that size when it must."""
        while len(self.chain) < self.there + count:
            previous = self.chain[-1]["hash"] if self.chain else None
            self.chain += batch(LOG, len(self.chain), 1, previous, reason=reason, user_id=None, actor_id=None)
        return self.chain[self.there : self.there + count]

    def reopened(self, least: int, most: int) -> None:
        self.writer = self.kind.open(self.path)
        there = self.kind.read(self.path)
        assert least <= len(there) <= most
        self.there = len(there)

    @rule(count=counts, reason=st.sampled_from(REASONS))
    def append(self, count: int, reason: str) -> None:
        self.kind.append(self.writer, self.next_records(count, reason))
        self.there += count

    @rule()
    def restart(self) -> None:
        self.writer.close()
        self.reopened(self.there, self.there)

    @rule(count=counts, reason=st.sampled_from(REASONS), data=st.data())
    def crash_while_writing(self, count: int, reason: str, data: st.DataObject) -> None:
        before = self.path.read_bytes()
        self.kind.append(self.writer, self.next_records(count, reason))
        self.writer.close()
        self.path.write_bytes(crashed(before, self.path.read_bytes(), data))
        self.reopened(self.there, self.there + count)

    @rule(grown=st.integers(0, GROW_BYTES), zeros=st.integers(0, GROW_BYTES))
    def crash_while_space_is_allocated(self, grown: int, zeros: int) -> None:
        """Only the array's end is allocated ahead; a CSV file that grew without content has zeros there."""
        self.writer.close()
        with self.path.open("ab") as file:
            file.write(b" " * grown * (self.kind.name == "json") + bytes(zeros))
        self.reopened(self.there, self.there)

    @rule(data=st.data())
    def allocated_space_is_cut_off(self, data: st.DataObject) -> None:
        """As by an editor that strips what is blank at the end of a file."""
        self.writer.close()
        content = self.path.read_bytes()
        least = len(content.rstrip(b" "))
        self.path.write_bytes(content[: data.draw(st.integers(least, len(content)), label="length")])
        self.reopened(self.there, self.there)

    @invariant()
    def the_file_holds_exactly_what_the_model_says(self) -> None:
        assert self.kind.read(self.path) == self.chain[: self.there]
        last = self.chain[self.there - 1] if self.there else None
        assert self.writer.head == ((last["event_id"], last["hash"]) if last else empty_head(LOG))
        if self.kind.name == "json":
            with self.path.open() as file:
                assert len(json.load(file)) == self.there


def crashed(before: bytes, after: bytes, data: st.DataObject) -> bytes:
    """A state on the way: up to some byte, but for blocks that hold what they held or zeros, at some length."""
    start, end = changed(before, after)
    place = data.draw(st.integers(start, end), label="torn at")
    block = data.draw(st.sampled_from(BLOCKS), label="block")
    old = before.ljust(len(after), b"\0")
    state = bytearray(after[:place] + old[place:])
    first = start - start % block
    for low in range(first, place, block):
        high = min(low + block, len(after))
        match data.draw(st.sampled_from(("written", "written", "old", "zeros")), label=f"block at {low}"):
            case "old":
                state[low:high] = old[low:high]
            case "zeros":
                state[max(low, start) : high] = bytes(high - max(low, start))
    lengths = st.sampled_from((len(before), max(place, len(before)), len(after)))
    return bytes(state[: data.draw(lengths, label="length")])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_after_any_history_the_file_holds_what_was_acknowledged_and_nothing_invented(
    kind: Kind, quick_folder: Path
) -> None:
    machine = type("LogFileOfAKind", (LogFile,), {"kind": kind, "folder": quick_folder})
    machine.TestCase.settings = settings(settings(), stateful_step_count=20)
    machine.TestCase("runTest").runTest()
