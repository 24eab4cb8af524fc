"""Discord's counts against the recorded joins."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_logs import GUILD, MARY, OTHER_GUILD, TRAVIS, Logs
from slash_bot import counts

from commands import tally
from commands.refusals import NoDatabase


def test_uses_joins_and_what_explains_their_difference(logs: Logs) -> None:
    logs.join(invite_code="a", uses_before=5, uses_after=6)
    logs.join(invite_code="a", uses_before=6, uses_after=7, user_id=MARY)
    logs.join(invite_code="b", uses_before=0, uses_after=1)
    logs.join(invite_code="b", guild_id=OTHER_GUILD)
    found = {line.code: line for line in tally.compare(logs.folder, GUILD, counts(a=7, b=3, new=2)).live}
    a, b, new = found["a"], found["b"], found["new"]
    assert (a.uses, a.recorded, a.difference, a.before_first, a.unexplained) == (7, 2, 5, 5, 0)
    assert (b.uses, b.recorded, b.difference, b.unexplained) == (3, 1, 2, 2)
    assert (new.recorded, new.difference, new.staff_name) == (0, 2, "inviter")
    assert a.staff_id == TRAVIS


def test_gone_invites_the_vanity_and_unsettled_joins_have_their_place(logs: Logs) -> None:
    logs.join(invite_code="gone")
    logs.join(invite_code="pipvault", source="vanity", staff_id=None, staff_username=None)
    logs.join(confidence="ambiguous")
    logs.join(confidence="unknown")
    logs.join(source="bot", invite_code=None, staff_id=None, staff_username=None, uses_before=None, uses_after=None)
    found = tally.compare(logs.folder, GUILD, counts(("pipvault", 6)))
    assert [(line.code, line.recorded) for line in found.gone] == [("gone", 1)]
    assert [(line.code, line.vanity, line.unexplained) for line in found.live] == [("pipvault", True, 0)]
    assert (found.ambiguous, found.unknown, found.no_invite) == (1, 1, 1)


def test_a_correction_moves_a_join_to_its_invite(logs: Logs) -> None:
    join = logs.join(invite_code="a", uses_before=5)
    logs.correct(join, invite_code="b")
    found = {line.code: line for line in tally.compare(logs.folder, GUILD, counts(a=6, b=1)).live}
    assert (found["a"].recorded, found["b"].recorded) == (0, 1)
    assert (found["b"].before_first, found["b"].staff_id) == (0, MARY)


def test_a_database_that_is_behind_is_said_to_be(logs: Logs) -> None:
    logs.join()
    assert not tally.compare(logs.folder, GUILD, counts()).behind
    logs.join(sinks=("json",))
    assert tally.compare(logs.folder, GUILD, counts()).behind


def test_without_a_database_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase, match="can be rebuilt"):
        tally.compare(tmp_path, GUILD, counts(a=1))
