"""`python -m ops.bench.ambiguity`: how many joins stay ambiguous where the counts of the invites are all there is.

Members join in groups; each member takes one of the invites, every one as likely as another, and each group is one
look at the list. The attribution is the producer's own.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from joins.records import AMBIGUOUS
from producer.attribution import attribute
from producer.evidence import Evidence, Waiting
from producer.snapshot import Invite, Snapshot

AT_ONCE = (1, 2, 3, 5, 10)
INVITES = (1, 2, 3, 5, 10, 20)
APART = timedelta(minutes=2)  # between two groups
LOOK_AFTER = timedelta(seconds=1)
BEGIN, END = "<!-- made by: python -m ops.bench.ambiguity -->", "<!-- end -->"


@click.command()
@click.option("--joins", default=1000, show_default=True, help="Joins in each cell of the table.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same numbers.")
@click.option("--write", type=click.Path(path_type=Path, exists=True), help="A document whose table to renew.")
def main(joins: int, seed: int, write: Path | None) -> None:
    """How many of 1,000 joins stay ambiguous without member search, as a table."""
    shown = table(joins, seed)
    click.echo(shown)
    if write:
        text = write.read_text()
        if BEGIN not in text or END not in text:
            raise click.ClickException(f"{write} has no place for the table: the lines {BEGIN} and {END} are missing")
        before, _, rest = text.partition(BEGIN)
        write.write_text(f"{before}{BEGIN}\n{shown}\n{END}{rest.partition(END)[2]}")


def table(joins: int, seed: int) -> str:
    """The table in Markdown."""
    lines = [
        f"| of {joins:,} joins stay ambiguous | " + " | ".join(_counted(number, "invite") for number in INVITES) + " |",
        "|---|" + "---:|" * len(INVITES),
    ]
    for at_once in AT_ONCE:
        cells = [f"{ambiguous(joins, at_once, invites, seed):,}" for invites in INVITES]
        lines.append(f"| {at_once} at once | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ambiguous(joins: int, at_once: int, invites: int, seed: int) -> int:
    """How many of the joins the attribution leaves open."""
    chance = random.Random(f"{seed}/{at_once}/{invites}")
    now, uses = datetime(2025, 10, 31, tzinfo=UTC), Counter({f"c{number}": 0 for number in range(invites)})
    evidence, left_open = Evidence(_look(now, uses)), 0
    for start in range(0, joins, at_once):
        now += APART
        waiting = []
        for number in range(start, min(start + at_once, joins)):
            code = f"c{chance.randrange(invites)}"
            uses[code] += 1
            at = now + timedelta(milliseconds=number - start)
            waiting.append(Waiting(f"j{number}", at, at))
        found, evidence = attribute(evidence, _look(now + LOOK_AFTER, uses), waiting)
        left_open += sum(one.confidence == AMBIGUOUS for one in found)
    return left_open


def _look(at: datetime, uses: Counter[str]) -> Snapshot:
    made = Invite("", 0, inviter_id="7", inviter_name="maria", created_at=datetime(2025, 1, 1, tzinfo=UTC))
    return Snapshot(at, {code: replace(made, code=code, uses=count) for code, count in uses.items()})


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


if __name__ == "__main__":
    main()
