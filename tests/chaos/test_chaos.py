"""Everything goes wrong at once while members keep joining: every join is in every copy once, in order, and proven.

`make chaos KILLS=500 JOINS=50000 SEED=7` runs it longer. What happens is seeded; when it meets whom depends on the
machine.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from joins import keys
from tests.chaos.crowd import Crowd
from tests.chaos.faults import FAULTS, LASTING
from tests.chaos.judge import judge
from tests.chaos.stage import PRODUCER, SERVER, Stage
from tests.ops.pipeline import backlogs

KILLS = int(os.environ.get("CHAOS_KILLS", "25"))
CROWD = int(os.environ.get("CHAOS_JOINS", "1500"))
SEED = int(os.environ.get("CHAOS_SEED", "20251031"))
ONLY = os.environ.get("CHAOS_FAULTS", "")  # names of faults, with commas between, to look for the cause of one
WINDOW = 500  # records that the stream keeps: far fewer than a copy that was lost has to be given back
DISK_BYTES = (128 << 20) + 40_000 * CROWD

PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between two strokes
AT_ONCE = (1, 1, 2, 3)  # kills in one stroke
VICTIMS = (SERVER, PRODUCER, *keys.SINKS, *keys.SINKS)
MERCY = 0.7  # how often the producer and the server are spared when nothing was recorded since the last time
BEHIND = 5000  # joins that may wait to be recorded before the crowd pauses, and
RELIEF = 2500  # before only sinks are killed, until hardly any wait: a slow machine must make headway too
FAULT_SHARE = 0.6  # of the strokes bring a fault besides
LASTS = (0.5, 6.0)  # seconds that a fault lasts, where it has no time of its own
STUCK_SECONDS = 75.0  # without any progress after all is cured; a copy may wait half a minute between two tries
START_SECONDS = 40.0


class Storm:
    """Kills, and faults that begin and end, several at a time."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage, self._chance = stage, chance
        self.waiting: Callable[[], int] = int  # how many joins are not recorded yet
        self._relieved = False
        self._going: dict[str, tuple[float, AbstractContextManager[None]]] = {}
        self._names = [name for name in FAULTS if name in ONLY.split(",")] if ONLY else list(FAULTS)
        self._bag: list[str] = []  # names still to come, so that even a short storm has most faults
        self.seen: list[str] = []
        self._recorded = 0  # joins when the producer or the server was killed last

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self._stage.kills.values())

    def stroke(self) -> None:
        """The next thing that goes wrong, and what follows from it for a moment."""
        chance = self._chance
        self._cure(time.monotonic())
        self._relieved = self.waiting() > (RELIEF // 10 if self._relieved else RELIEF)
        if self._names and not self._relieved and chance.random() < FAULT_SHARE:
            self._begin(self._next())
        for _ in range(chance.choice(AT_ONCE)):
            self._stage.kill(self._victim(), chance)
        self._stage.state = f", {', '.join(self._going) or 'no fault'} going on"
        self._stage.run(chance.choice(PAUSES))

    def cure(self) -> None:
        """Ends every fault."""
        self._cure(float("inf"))

    def _victim(self) -> str:
        """Somebody; a slow machine, where the producer would die before it has begun, still makes headway."""
        role, recorded = self._chance.choice(VICTIMS), len(self._stage.recorded)
        if role in keys.SINKS:
            return role
        if self._relieved or (recorded == self._recorded and self._chance.random() < MERCY):
            return self._chance.choice(keys.SINKS)
        self._recorded = recorded
        return role

    def _next(self) -> str:
        if not self._bag:
            self._bag = self._chance.sample(self._names, len(self._names))
        return self._bag.pop()

    def _begin(self, name: str) -> None:
        if name in self._going:
            return
        fault = FAULTS[name](self._stage, self._chance)
        fault.__enter__()
        self._going[name] = (time.monotonic() + self._chance.uniform(*LASTING.get(name, LASTS)), fault)
        self.seen.append(name)

    def _cure(self, now: float) -> None:
        for name in [name for name, (until, _) in self._going.items() if until <= now]:
            self._going.pop(name)[1].__exit__(None, None, None)


def test_whatever_goes_wrong_every_join_is_in_every_copy_once(tmp_path: Path) -> None:
    print(f"CHAOS_SEED={SEED}, in {tmp_path}", flush=True)
    stage = Stage(tmp_path, DISK_BYTES, STREAM_WINDOW=str(WINDOW), MEMBER_SEARCH="no")
    problems = ["it did not come to a verdict"]
    try:
        problems = _through(stage)
    finally:
        if problems:
            print(
                f"CHAOS_SEED={SEED}: what is left is in {tmp_path}", *problems, *stage.reports(), sep="\n", flush=True
            )
        stage.close(keep=bool(problems))
    assert problems == []


def _through(stage: Stage) -> list[str]:
    """The storm, the calm after it, and the verdict."""
    storm = Storm(stage, random.Random(SEED))
    stage.start(SERVER)
    began = time.monotonic()
    with ExitStack() as calm:
        crowd = Crowd(
            stage.discord,
            random.Random(SEED + 1),
            lambda: min(CROWD * min(1.0, (storm.kills + 1) / KILLS), len(stage.recorded) + BEHIND),
            stage.recorded,
        )
        storm.waiting = lambda: crowd.joined - len(stage.recorded)
        stage.run(0)
        stage.discord.wait_connected(timeout=START_SECONDS)
        calm.callback(storm.cure)
        crowd.start()
        calm.callback(crowd.stop)
        while storm.kills < KILLS or crowd.joined < CROWD:
            assert crowd.is_alive(), crowd.fault
            storm.stroke()
    stage.alone()
    lasted, ledger = time.monotonic() - began, stage.discord.ledger()
    settled = _wait_until_settled(stage, len(ledger))
    problems = [] if settled else ["not settled", *stage.reports()]
    problems += _rest(stage)
    drained = time.monotonic() - began - lasted
    stage.end(PRODUCER)
    for sink in keys.SINKS:
        stage.end(sink)
    problems += judge(ledger, stage) + stage.faults()
    if stage.doubled:
        problems.append(f"{len(stage.doubled)} joins stood in the stream twice")
    kills = ", ".join(f"{role} {count}" for role, count in stage.kills.items())
    faults = ", ".join(f"{name} {storm.seen.count(name)}" for name in FAULTS)
    print(
        f"{storm.kills} kills ({kills}) in {lasted:.0f} s, {len(ledger)} joins, {len(stage.recorded)} recorded; "
        f"faults: {faults}; drained in {drained:.0f} s; {len(problems)} problems",
        flush=True,
    )
    return problems


def _wait_until_settled(stage: Stage, joins: int) -> bool:
    """Whether all is recorded and at rest; gives up when nothing has moved for a while."""
    moved, state = time.monotonic(), ""
    while not (settled := stage.is_settled(joins)) and time.monotonic() < moved + STUCK_SECONDS:
        stage.run(0.5)
        if state != (now := f"{len(stage.recorded)}{stage.state}"):
            moved, state = time.monotonic(), now
    return settled


def _rest(stage: Stage) -> list[str]:
    """What is left in the server that should not be."""
    left = {"dead letters": stage.client.xlen(keys.DEAD_LETTERS)}
    left |= {f"backlog of {sink} in rq info": count for sink, count in backlogs(stage.url).items()}
    return [f"{what}: {count}" for what, count in left.items() if count]
