"""`invitelog verify`: proves that no copy was altered, or names what was, where, and how."""

from __future__ import annotations

import json
import re
import sys

import click

from joins import settings as settings_module
from joins.cloud import anchors
from joins.cloud.anchors import Anchor
from joins.errors import SettingsError
from ops.verifying import progress
from ops.verifying.finding import NOTE, UNSETTLED, Verdict
from ops.verifying.verification import Verification, expected_records

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON, for a program.")
@click.option(
    "--anchor", "given", multiple=True, metavar="LOG:EVENT_ID:HASH|DATE",
    help="A head that was written down elsewhere, such as in the alerts channel: every copy must hold it. Or a day, "
    "as 2026-11-26, of which an anchor must be in the cloud. May be given more than once. The anchors in the cloud are "
    "always held against the copies.",
)  # fmt: skip
def verify(as_json: bool, given: tuple[str, ...]) -> None:
    """Check every copy record by record: its chain, the other copies, the database's tables, the anchors.

    Nothing is written, and it may run while the consumers do. Exit status 0: all is sound; 1: something was altered,
    and is named with its file and line; 2: something could not be told, such as an unreachable cloud.
    """
    settings = settings_module.load()
    days = [text for text in given if _DAY.fullmatch(text)]
    checked = Verification(settings, [_anchor(text) for text in given if text not in days], days)
    verdict = checked.run() if as_json else progress.run(checked, "Verifying", lambda: expected_records(settings))
    if verdict.altered():
        # Copies change while they are read: names are erased, files replaced. What is altered stays so.
        verdict = checked.run()
    click.echo(json.dumps(verdict.as_json()) if as_json else "\n".join(lines(verdict)))
    sys.exit(verdict.status)


def lines(verdict: Verdict) -> list[str]:
    """The outcome for a terminal: what is wrong first."""
    shown = [f"ALTERED   {finding.sink}: {finding.sentence}" for finding in verdict.altered()]
    shown += [f"unsettled {finding.sink}: {finding.sentence}" for finding in verdict.of(UNSETTLED)]
    shown += [f"note      {finding.sink}: {finding.sentence}" for finding in verdict.of(NOTE)]
    for sink, logs in verdict.copies.items():
        held = ", ".join(
            f"{found['records']} {log}" if found["sound"] else f"{log} sound up to record {found['records']}"
            for log, found in logs.items()
        )
        shown.append(f"{sink:<9} {held}")
    if not any(found["records"] for logs in verdict.copies.values() for found in logs.values()):
        shown.append("Nothing is recorded yet.")
    witnesses = f", {verdict.anchors} anchors" if verdict.anchors else ""
    summary = ("All is sound", "Something was ALTERED", "Something could not be told")[verdict.status]
    return [*shown, f"{summary} ({verdict.seconds:.1f} s{witnesses})."]


def _anchor(text: str) -> Anchor:
    try:
        return anchors.from_text(text, "the anchor that was given")
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is no anchor: it is written LOG:EVENT_ID:HASH, as the alerts channel has it, or a day"
        ) from error
