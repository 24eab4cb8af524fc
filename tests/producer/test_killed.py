"""kill -9 of the producer at random moments of a guild's history: every join is logged once, no named code is wrong.

`make kills N=200` runs it longer. The history is seeded; the moments of the kills depend on the machine.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.ops.pipeline import DEADLINE, Pipeline, pipeline

KILLS = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("KILLS_SEED", "20251031"))
LIVES = (0.4, 6.0)  # seconds from a start of the producer to its end: it needs about two to be connected


CALM = ["code"] * 6 + ["burst", "vanity", "once", "make"]
WILD = [*CALM, "discovery", "delete", "orders"]


class Guild:
    """Joins alone and together, by every way; invites made, used up and deleted.

    In a wild guild some come without an invite, so that without member search little is certain there.
    """

    def __init__(self, running: Pipeline, chance: random.Random, kinds: list[str]) -> None:
        self._discord, self._chance, self._kinds = running.discord, chance, kinds
        self.id = running.discord.add_guild("PipVault", vanity="pipvault")["id"]
        self.staff = running.discord.add_member(self.id, "TravisP", permissions="MANAGE_GUILD")["id"]
        self._left: dict[str, float] = {}  # uses, by code
        self.codes = [self._made() for _ in range(3)]
        self.joins = 0

    def step(self) -> None:
        """The next thing that happens."""
        kind = self._chance.choice(self._kinds)
        if kind == "code":
            self._use(self._chance.choice(self.codes))
        elif kind == "burst":
            code = self._chance.choice(self.codes)
            for _ in range(self._chance.randint(2, 6)):
                self._use(code)
        elif kind == "vanity":
            self._join(vanity=True)
        elif kind == "discovery":
            self._join(source="discovery")
        elif kind == "once":
            self._use(self._made(max_uses=1))
        elif kind == "make":
            self.codes.append(self._made(max_uses=self._chance.choice([0, 0, 5])))
        elif kind == "delete" and len(self.codes) > 2:
            self._discord.delete_invite(self.id, self.codes.pop(self._chance.randrange(1, len(self.codes))))
        elif kind == "orders":
            self._discord.set_fault(invite_delete_order=self._chance.choice(["before", "after", "never"]))

    def _made(self, max_uses: int = 0) -> str:
        code = str(self._discord.add_invite(self.id, inviter=self.staff, max_uses=max_uses)["code"])
        self._left[code] = max_uses or float("inf")
        return code

    def _use(self, code: str) -> None:
        if not self._left[code]:
            return
        self._join(code=code)
        self._left[code] -= 1
        if not self._left[code] and code in self.codes:
            self.codes.remove(code)

    def _join(self, **how: object) -> None:
        self.joins += 1
        self._discord.join(self.id, f"member_{self.joins}", **how)


def go_on(guilds: list[Guild], chance: random.Random, seconds: float) -> None:
    """For so long, at a lively pace; the calm guild has a join every second or so, the wild one several."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        chance.choices(guilds, (1, 3))[0].step()
        time.sleep(min(chance.choice([0, 0.01, 0.1, 0.5, 1.0]), max(0.0, until - time.monotonic())))


def test_killing_the_producer_at_random_moments_loses_doubles_and_falsifies_no_join(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    with pipeline(tmp_path) as running:
        guilds = [Guild(running, chance, CALM), Guild(running, chance, WILD)]
        for kill in range(KILLS):
            # Half of it without member search, where the difference over each gap is all there is.
            running.discord.set_fault(member_search="refused" if kill % 2 else "on", index_delay_ms=1500)
            go_on(guilds, chance, chance.uniform(*LIVES))
            running.kill("producer")
            go_on(guilds, chance, chance.choice([0.0, 0.3, 1.0]))
            running.start("producer")
        running.discord.wait_connected(timeout=DEADLINE)
        go_on(guilds, chance, 3.0)
        verdict = running.verdict()
    print(f"{KILLS} kills, {verdict.joins} joins, {dict(verdict.confidences)}, {verdict.confirmed} exact and true")
    assert verdict.problems == []
    assert verdict.confirmed == verdict.confidences["exact"]
