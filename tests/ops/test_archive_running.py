"""Months go to the archive while the whole product is at work: by themselves, and by a command beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from joins import archives
from joins.copies.finding import checked, open_copy
from joins.form import csv_form, json_form
from joins.records import CHANGES, JOINS, LOGS
from joins.settings import Settings
from joins.tail import empty_head
from ops.overview import look
from ops.verifying.verification import Verification
from tests.consumers.monthly import MONTHS, records_of
from tests.consumers.sink_kinds import LOCAL
from tests.ops.pipeline import Pipeline, pipeline, until

RECORDS = {JOINS: records_of(JOINS, 40), CHANGES: records_of(CHANGES, 4)}
FORMS = [form_of(log) for form_of in (json_form, csv_form) for log in LOGS]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    """A product that starts on logs of five months, with a server that knows nothing of them."""

    def prepare(_: object) -> None:
        logs = tmp_path / "invite_logs"
        logs.mkdir()
        for sink, place in LOCAL.items():
            made = place(tmp_path if sink == "cloud" else logs).open()
            for log in LOGS:
                made.write(log, RECORDS[log])
            made.close()

    with pipeline(tmp_path, prepare) as started:
        yield started


def archived(running: Pipeline) -> set[tuple[str, int]]:
    """How many months each log has in the archive, in either form."""
    return {(form.log, len(archives.paths(running.logs, form))) for form in FORMS}


def test_months_are_archived_while_members_join_and_consumers_are_killed(running: Pipeline) -> None:
    until(lambda: archived(running) == {(JOINS, 2), (CHANGES, 2)}, "the two months that are due are archived")
    guild = running.discord.add_guild("PipVault")["id"]
    staff = running.discord.add_member(guild, "TravisP", permissions="MANAGE_GUILD")["id"]
    code = running.discord.add_invite(guild, inviter=staff)["code"]
    settings = Settings(invite_logs_dir=running.logs, cloud_backup_url=running.cloud.as_uri())

    def everywhere() -> bool:
        count = len(RECORDS[JOINS]) + len(running.discord.ledger())
        copies = [open_copy(sink, JOINS, running.logs, settings.cloud_url) for sink in LOCAL]
        return all(copy is not None and copy.count() == count for copy in copies)

    running.discord.join_many(guild, 30, "first", code=code)
    until(everywhere, "the first are in every sink, so that all of the old months are due")
    command = subprocess.Popen([sys.executable, "-m", "ops", "archive", "now"], env=running.environment)
    for sink in ("json", "csv"):
        running.discord.join_many(guild, 20, f"during_{sink}", code=code)
        running.kill(sink)
        running.start(sink)
    assert command.wait(timeout=60) == 0
    running.discord.join_many(guild, 10, "last", code=code)
    until(everywhere, "all joins are in every sink")
    until(lambda: look(running.client).ok, "all is well")
    assert archived(running) == {(JOINS, len(MONTHS)), (CHANGES, 2)}, "the changes have no newer record"
    assert Verification(settings).run().findings == []
    for sink in ("json", "csv"):
        copy = open_copy(sink, JOINS, running.logs, settings.cloud_url)
        assert copy is not None
        assert list(checked(copy, JOINS, empty_head(JOINS)))[: len(RECORDS[JOINS])] == RECORDS[JOINS]
