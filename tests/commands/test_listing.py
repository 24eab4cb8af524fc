"""Pages of joins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from command_logs import GUILD, MARY, MEMBER, OTHER_GUILD, START, Logs

from commands import listing
from commands.listing import Filter, Key, Page
from commands.refusals import Refused
from joins.log_files import database_path
from joins.records import JOINS, timestamp

ALL = Filter(GUILD)


def codes(page: Page) -> list[str | None]:
    return [row.invite_code for row in page.rows]


def after(page: Page) -> Key:
    return Key(page.rows[-1].timestamp, page.rows[-1].position)


def before(page: Page) -> Key:
    return Key(page.rows[0].timestamp, page.rows[0].position, newer=True)


@pytest.mark.parametrize("with_database", [True, False])
def test_pages_lead_through_all_joins_and_back(logs: Logs, with_database: bool) -> None:
    made = [logs.made_join(invite_code=f"c{n:02}", user_id=str(10**17 + n)) for n in range(25)]
    logs.write(JOINS, made)
    logs.join(guild_id=OTHER_GUILD)
    if not with_database:
        logs.close()
        database_path(logs.folder).unlink()
    first = listing.page(logs.folder, ALL)
    second = listing.page(logs.folder, ALL, after(first))
    third = listing.page(logs.folder, ALL, after(second))
    assert {page.from_log for page in (first, second, third)} == {not with_database}
    assert codes(first) + codes(second) + codes(third) == [f"c{n:02}" for n in reversed(range(25))]
    assert [(page.newer, page.older) for page in (first, second, third)] == [(False, True), (True, True), (True, False)]
    back = listing.page(logs.folder, ALL, before(third))
    assert codes(back) == codes(second)
    assert (back.newer, back.older) == (True, True)
    home = listing.page(logs.folder, ALL, before(back))
    assert codes(home) == codes(first)
    assert (home.newer, home.older) == (False, True)
    assert listing.total(logs.folder, ALL) == (25 if with_database else None)


def test_joins_of_one_moment_are_neither_lost_nor_repeated(logs: Logs) -> None:
    same = timestamp(START)
    logs.write(JOINS, [logs.made_join(timestamp=same, user_id=str(10**17 + n)) for n in range(23)])
    seen: list[str] = []
    page = listing.page(logs.folder, ALL)
    while True:
        seen += [row.user_id for row in page.rows]
        if not page.older:
            break
        page = listing.page(logs.folder, ALL, after(page))
    assert len(seen) == len(set(seen)) == 23


@pytest.mark.parametrize("with_database", [True, False])
def test_a_filter_finds_a_user_an_invite_and_a_period(logs: Logs, with_database: bool) -> None:
    logs.join(invite_code="one")
    logs.join(invite_code="two", user_id=MARY)
    logs.join(invite_code="one", timestamp=timestamp(START + timedelta(days=3)))
    if not with_database:
        logs.close()
        database_path(logs.folder).unlink()
    found = lambda **keys: codes(listing.page(logs.folder, Filter(GUILD, **keys)))  # noqa: E731
    assert found(user_id=MARY) == ["two"]
    assert found(user_id=MEMBER) == ["one", "one"]
    assert found(invite_code="two", user_id=MEMBER) == []
    assert found(invite_code="one") == ["one", "one"]
    assert found(until="2025-11-01T00:00:00.000000") == ["two", "one"]
    assert found(since="2025-11-01T00:00:00.000000") == ["one"]


def test_a_corrected_join_is_listed_under_the_invite_that_it_is_held_to_have_used(logs: Logs) -> None:
    corrected, kept = logs.join(), logs.join(user_id=MARY)
    logs.correct(corrected)
    logs.correct(kept, invite_code="abc123XYZ")
    for code, expected in (("abc123XYZ", [(MARY, True)]), ("mary99", [(MEMBER, True)])):
        page = listing.page(logs.folder, Filter(GUILD, invite_code=code))
        assert [(row.user_id, row.altered) for row in page.rows] == expected
        assert not page.from_log
        assert listing.total(logs.folder, Filter(GUILD, invite_code=code)) == 1
    assert listing.total(logs.folder, ALL) == 2


def test_an_ambiguous_join_that_was_settled_is_found_by_its_invite(logs: Logs) -> None:
    join = logs.join(confidence="ambiguous")
    assert listing.page(logs.folder, ALL).rows[0].invite_code is None
    logs.correct(join)
    assert listing.total(logs.folder, Filter(GUILD, invite_code="mary99")) == 1


def test_a_database_that_is_behind_is_said_to_be(logs: Logs) -> None:
    logs.join()
    assert not listing.page(logs.folder, ALL).behind
    logs.join(sinks=("json",))
    assert listing.page(logs.folder, ALL).behind


def test_no_logs_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no invite log yet"):
        listing.page(tmp_path, ALL)
