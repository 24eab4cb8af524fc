"""What a lookup finds, whichever copy is missing, behind or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_logs import GUILD, MARY, MEMBER, OTHER_GUILD, TRAVIS, Logs

from commands import history
from commands.refusals import Refused
from joins.log_files import database_path, json_path
from joins.records import JOINS


def test_a_join_is_read_from_the_log(logs: Logs) -> None:
    logs.join()
    found = history.of_member(logs.folder, GUILD, MEMBER)
    (join,) = found.joins
    assert join.from_log
    assert join.doubt is None
    assert (join.invite_code, join.staff_id, join["uses_before"], join["uses_after"]) == ("abc123XYZ", TRAVIS, 5, 6)
    assert found.begins == "2025-10-31T14:30:45.123456"


def test_the_database_answers_for_what_the_log_lacks(logs: Logs) -> None:
    logs.join(user_id=TRAVIS)
    (join,) = history_with_new_sinks(logs)
    assert not join.from_log
    assert join.invite_code == "abc123XYZ"


def history_with_new_sinks(logs: Logs) -> list[history.Join]:
    logs.join(sinks=("sqlite",))
    return history.of_member(logs.folder, GUILD, MEMBER).joins


def test_the_log_answers_without_a_database(logs: Logs) -> None:
    first = logs.join()
    logs.join(invite_code="second")
    logs.correct(first)
    logs.close()
    database_path(logs.folder).unlink()
    found = history.of_member(logs.folder, GUILD, MEMBER)
    assert [join.invite_code for join in found.joins] == ["mary99", "second"]
    assert found.joins[0].altered
    assert not found.has_database
    assert found.begins == first["timestamp"]


@pytest.mark.parametrize("content", [b"", b"this is no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_database_is_no_obstacle(logs: Logs, content: bytes) -> None:
    logs.join()
    logs.close()
    for path in logs.folder.glob("invites.db*"):
        path.unlink()
    database_path(logs.folder).write_bytes(content)
    assert [join.from_log for join in history.of_member(logs.folder, GUILD, MEMBER).joins] == [True]


def test_what_the_database_does_not_hold_yet_counts(logs: Logs) -> None:
    first = logs.join()
    logs.join(invite_code="late", sinks=("json",))
    logs.correct(first, sinks=("json",))
    found = history.of_member(logs.folder, GUILD, MEMBER)
    assert [join.invite_code for join in found.joins] == ["mary99", "late"]


def test_the_latest_correction_wins(logs: Logs) -> None:
    join = logs.join()
    logs.correct(join, invite_code="one")
    logs.correct(join, invite_code="two")
    assert history.of_member(logs.folder, GUILD, MEMBER).joins[0].invite_code == "two"
    logs.correct(join, invite_code="three", sinks=("json",))
    assert history.of_member(logs.folder, GUILD, MEMBER).joins[0].invite_code == "three"


def test_other_changes_about_a_join_leave_its_attribution(logs: Logs) -> None:
    join = logs.join()
    logs.change("member_left", join_id=join["join_id"], user_id=MEMBER)
    assert history.of_member(logs.folder, GUILD, MEMBER).joins[0].change is None


def test_joins_of_another_guild_are_never_shown(logs: Logs) -> None:
    logs.join(guild_id=OTHER_GUILD)
    for _ in range(2):
        found = history.of_member(logs.folder, GUILD, MEMBER)
        assert (found.joins, found.begins) == ([], None)
        logs.close()
        database_path(logs.folder).unlink(missing_ok=True)


def test_joins_come_by_their_time_and_not_by_their_place(logs: Logs) -> None:
    logs.join(invite_code="later")
    logs.join(invite_code="adopted", timestamp="2024-01-01T00:00:00.000000")
    found = history.of_member(logs.folder, GUILD, MEMBER)
    assert [join.invite_code for join in found.joins] == ["adopted", "later"]
    assert found.begins == "2024-01-01T00:00:00.000000"


def test_no_logs_and_no_database_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="created by itself"):
        history.of_member(tmp_path, GUILD, MEMBER)


def test_an_edited_log_is_not_passed_off_as_the_truth(logs: Logs) -> None:
    logs.join()
    path = json_path(logs.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'"staff_id": "' + TRAVIS.encode(), b'"staff_id": "' + MARY.encode()))
    (join,) = history.of_member(logs.folder, GUILD, MEMBER).joins
    assert join.doubt == "the JSON log and the database differ"


def test_an_edited_name_shows_without_a_database_too(logs: Logs) -> None:
    logs.join()
    logs.close()
    database_path(logs.folder).unlink()
    path = json_path(logs.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b"TravisP#0001", b"TravisQ#0001"))
    (join,) = history.of_member(logs.folder, GUILD, MEMBER).joins
    assert join.doubt is not None
    assert "seal" in join.doubt


def test_a_line_that_cannot_be_read_leaves_the_answer_to_the_database(logs: Logs) -> None:
    logs.join()
    path = json_path(logs.folder, JOINS)
    path.write_bytes(path.read_bytes().replace(b'{"timestamp"', b'{"timestamp'))
    (join,) = history.of_member(logs.folder, GUILD, MEMBER).joins
    assert not join.from_log
    assert join.doubt is not None


def test_a_row_lost_from_the_database_is_found_in_the_log(logs: Logs) -> None:
    logs.join()
    database = logs._sinks["sqlite"]._database  # type: ignore[union-attr]
    database.execute("delete from joins")
    assert [join.from_log for join in history.of_member(logs.folder, GUILD, MEMBER).joins] == [True]


def test_a_join_whose_staff_could_not_be_read_is_not_settled(logs: Logs) -> None:
    join = logs.join(staff_id=None, staff_username=None, flags=["staff_unresolved"])
    assert not history.of_member(logs.folder, GUILD, MEMBER).joins[0].settled
    logs.correct(join)
    assert history.of_member(logs.folder, GUILD, MEMBER).joins[0].settled


def test_an_empty_database_is_no_log_either(logs: Logs) -> None:
    logs.change("staff_set", staff_id=MARY, staff_username="mary", ib_link=None, ib_code=None)
    with pytest.raises(Refused, match="created by itself"):
        history.of_member(logs.folder, GUILD, MEMBER)


def test_a_change_that_does_not_know_whom_the_code_stood_for_settles_no_credit(logs: Logs) -> None:
    join = logs.join(confidence="unknown")
    logs.correct(join, staff_id=None, staff_username=None, flags=["staff_unresolved"])
    (found,) = history.of_member(logs.folder, GUILD, MEMBER).joins
    assert (found.invite_code, found.staff_unread, found.settled) == ("mary99", True, False)
    logs.correct(join)
    assert history.of_member(logs.folder, GUILD, MEMBER).joins[0].settled
