"""The staff register, and who may change it."""

from __future__ import annotations

import pytest
from command_logs import GUILD, MARY, OTHER_GUILD, TRAVIS, Logs

from commands import staff_change
from commands.refusals import Refused
from commands.registry import Registry, Staff
from commands.staff_change import StaffChanges
from joins.chain import Record
from joins.log_files import database_path

LINK = "https://broker.example/ib?ref=travis"


def set_travis(logs: Logs, **keys: object) -> None:
    plain = {"staff_id": TRAVIS, "staff_username": "travis", "ib_link": LINK, "ib_code": "IB77"}
    logs.change("staff_set", **plain | keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("with_database", [True, False])
def test_the_register_is_the_fold_of_the_changes(logs: Logs, with_database: bool) -> None:
    set_travis(logs, ib_code="old")
    set_travis(logs)
    logs.change("staff_set", staff_id=MARY, staff_username="mary", ib_link=None, ib_code=None)
    logs.change("staff_retired", staff_id=MARY)
    logs.change("code_assigned", staff_id=MARY, invite_code="abc")
    logs.change("code_assigned", staff_id=TRAVIS, invite_code="abc")
    logs.change("code_assigned", staff_id=TRAVIS, invite_code="other", guild_id=OTHER_GUILD)
    if not with_database:
        logs.close()
        database_path(logs.folder).unlink()
    register = Registry(logs.folder).of_guild(GUILD)
    assert register.active() == [Staff(TRAVIS, "travis", LINK, "IB77")]
    assert register.staff[MARY].retired
    assert register.codes == {"abc": TRAVIS}


def test_changes_that_the_database_lacks_are_read_from_the_log(logs: Logs) -> None:
    set_travis(logs)
    logs.change("staff_set", sinks=("json",), staff_id=TRAVIS, staff_username="t", ib_link=None, ib_code="new")
    assert Registry(logs.folder).of_guild(GUILD).staff[TRAVIS] == Staff(TRAVIS, "t", None, "new")


async def test_a_second_change_builds_on_one_that_no_sink_has_written_yet(logs: Logs) -> None:
    published: list[Record] = []

    async def publish(change: Record) -> str:
        published.append(change)
        return f"{len(published)}-0"

    changes = StaffChanges(Registry(logs.folder), publish)
    await changes.set(GUILD, MARY, TRAVIS, "travis", LINK, None)
    assert await changes.set(GUILD, MARY, TRAVIS, "travis", None, "IB77") == Staff(TRAVIS, "travis", LINK, "IB77")
    assert published[1]["ib_link"] == LINK
    assert await changes.retire(GUILD, MARY, TRAVIS) == []
    assert (await changes.register(GUILD)).active() == []


@pytest.fixture
def changes(logs: Logs) -> StaffChanges:
    return StaffChanges(Registry(logs.folder), logs.record_change)


async def test_a_field_is_kept_when_left_out_and_emptied_by_none(changes: StaffChanges) -> None:
    await changes.set(GUILD, MARY, TRAVIS, "travis", LINK, "IB77")
    assert (await changes.set(GUILD, MARY, TRAVIS, "travis", "none", None)).ib_link is None
    assert (await changes.register(GUILD)).staff[TRAVIS].ib_code == "IB77"


async def assign(
    changes: StaffChanges, actor: str, staff: str, name: str, approved_by: str | None = None
) -> str | None:
    made, holder = await changes.propose(GUILD, actor, "abc", staff)
    await changes.assign(made, name, holder, approved_by)
    return holder


async def test_nobody_assigns_to_himself_without_a_second_person(changes: StaffChanges) -> None:
    for approver in (None, TRAVIS):
        with pytest.raises(Refused, match="second person"):
            await assign(changes, TRAVIS, TRAVIS, "travis", approver)
    await assign(changes, TRAVIS, TRAVIS, "travis", MARY)
    assert (await changes.register(GUILD)).codes == {"abc": TRAVIS}


async def test_assigning_registers_the_owner_and_names_the_one_before(changes: StaffChanges) -> None:
    assert await assign(changes, "1", TRAVIS, "travis") is None
    assert await assign(changes, "1", MARY, "mary") == TRAVIS
    assert [staff.name for staff in (await changes.register(GUILD)).active()] == ["mary", "travis"]
    with pytest.raises(Refused, match="already"):
        await assign(changes, "1", MARY, "mary")


async def test_an_assignment_rests_on_who_had_the_code_when_that_was_shown(changes: StaffChanges) -> None:
    made, holder = await changes.propose(GUILD, "1", "abc", TRAVIS)
    await assign(changes, "1", MARY, "mary")
    with pytest.raises(Refused, match=f"assigned to <@{MARY}> meanwhile"):
        await changes.assign(made, "travis", holder)
    assert (await changes.register(GUILD)).codes == {"abc": MARY}


async def test_who_was_retired_is_registered_again_by_somebody_else(changes: StaffChanges) -> None:
    await changes.set(GUILD, MARY, TRAVIS, "travis", None, None)
    await changes.retire(GUILD, MARY, TRAVIS)
    with pytest.raises(Refused, match="not on the staff register"):
        await changes.retire(GUILD, MARY, TRAVIS)
    with pytest.raises(Refused, match="somebody else"):
        await changes.set(GUILD, TRAVIS, TRAVIS, "travis", None, None)
    with pytest.raises(Refused, match="taken off"):
        await assign(changes, MARY, TRAVIS, "travis")
    await changes.set(GUILD, MARY, TRAVIS, "travis", None, None)
    assert [staff.staff_id for staff in (await changes.register(GUILD)).active()] == [TRAVIS]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "ftp://x.y", "https://", "https://a b", "https://x/<@1>",
                                  "https://x.y/" + "z" * 300, "x.y", "https://[x"])  # fmt: skip
def test_a_link_must_be_a_web_address(link: str) -> None:
    with pytest.raises(Refused, match="web address"):
        staff_change.checked_link(link)


@pytest.mark.parametrize("code", ["x" * 65, "a\u202eb", "a`b", "a\nb"])
def test_an_ib_code_must_be_short_and_plain(code: str) -> None:
    with pytest.raises(Refused, match="plain"):
        staff_change.checked_code(code)


def test_a_change_is_complete(logs: Logs) -> None:
    made = staff_change.change("staff_retired", GUILD, MARY, "why", staff_id=TRAVIS)
    assert logs.write("changes", [made])[0]["actor_id"] == MARY
