"""How the rarer answers to a lookup read."""

from __future__ import annotations

from typing import Any

import pytest
from command_logs import GUILD, MARY, MEMBER, TRAVIS, Logs

from commands import history, lookup_embed
from commands.credit import Policy, credited
from commands.history import History, Join
from commands.registry import Register, Staff


def shown(logs: Logs, register: Register | None = None) -> dict[str, str]:
    found = history.of_member(logs.folder, GUILD, MEMBER)
    return fields(found, register)


def fields(found: History, register: Register | None = None) -> dict[str, str]:
    embed = lookup_embed.embed(found, register or Register(), credited(found.joins), Policy.FIRST_REFERRER)
    return {str(field.name): str(field.value) for field in embed.fields}


def test_a_join_that_was_settled_later_is_no_correction(logs: Logs) -> None:
    logs.correct(logs.join(confidence="ambiguous"))
    answer = shown(logs)
    assert "`mary99`" in answer["Invite"]
    assert answer["Settled Later"].startswith("**Recorded:** ambiguous")
    assert answer["Credited To"].startswith("**mary**")


def test_erased_names_are_said_to_be_erased(logs: Logs) -> None:
    record = logs.join()
    erased = {**record, "username": None, "display_name": None, "discriminator": None}
    answer = fields(History([Join(erased, None, True)], None, True))
    assert answer["User"].splitlines()[0] == "**Name:** erased"


def test_an_entry_that_is_in_doubt_says_so_beside_its_source(logs: Logs) -> None:
    answer = fields(History([Join(logs.join(), None, True, "the JSON log and the database differ")], None, True))
    source = answer["Data Source"].splitlines()
    assert source[0] == lookup_embed.FROM_LOG
    assert "Do not rely on it: the JSON log and the database differ." in source[1]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"method": "no_permission"}, "lacked Manage Server"),
        ({"method": "no_snapshot"}, "no list of the invites"),
        ({"method": "adopted"}, "the log of the earlier bot names none"),
        ({}, "no invite's count rose"),
    ],
)
def test_an_unknown_invite_says_why(logs: Logs, keys: dict[str, Any], why: str) -> None:
    logs.join(confidence="unknown", **keys)
    answer = shown(logs)
    assert why in answer["Invite"]
    assert answer["Referring Staff"] == "not known, since the invite is not"


def test_what_was_taken_over_from_another_bot_is_said_to_be_its_word(logs: Logs) -> None:
    logs.join(method="adopted", evidence={"adopted_from": "old_*joins*.json", "line": 1234})
    source = shown(logs)["Data Source"].splitlines()
    assert source[0] == lookup_embed.FROM_LOG
    assert source[1] == f"{lookup_embed.FROM_OTHER_BOT} (old\\_\\*joins\\*.json, line 1,234)"


def test_the_vanity_url_has_no_referrer(logs: Logs) -> None:
    logs.join(invite_code="pipvault", source="vanity", staff_id=None, staff_username=None)
    answer = shown(logs)
    assert "`pipvault` (vanity URL)" in answer["Invite"]
    assert answer["Referring Staff"] == "nobody: the invite belongs to no member"
    assert answer["Credited To"].startswith("nobody: no referrer")


def test_unread_assignments_are_not_passed_off_as_nobody(logs: Logs) -> None:
    logs.join(staff_id=None, staff_username=None, flags=["staff_unresolved"])
    answer = shown(logs)
    assert "cannot be told" in answer["Referring Staff"]
    assert "Provisional" in answer["Credited To"]


def test_a_retired_member_of_staff_is_marked_and_keeps_his_joins(logs: Logs) -> None:
    logs.join()
    register = Register({TRAVIS: Staff(TRAVIS, "travis", retired=True)})
    answer = shown(logs, register)
    assert answer["Referring Staff"].startswith("**Name:** travis (retired)")
    assert "**IB Link:** not set — `/staff set`" in answer["Referring Staff"]
    assert answer["Credited To"].startswith("**travis**")


def test_a_candidate_is_named_by_its_assignment(logs: Logs) -> None:
    logs.join(confidence="ambiguous", candidates=[{"invite_code": "abc", "inviter_id": TRAVIS}])
    register = Register({MARY: Staff(MARY, "mary")}, {"abc": MARY})
    assert "`abc` · mary" in shown(logs, register)["Candidates"]


def test_fifty_candidates_and_many_rejoins_fit(logs: Logs) -> None:
    for _ in range(20):
        logs.join()
    many = [{"invite_code": f"{n:032}", "inviter_id": TRAVIS} for n in range(50)]
    logs.join(confidence="ambiguous", candidates=many)
    answer = shown(logs)
    assert "Earlier Joins (20)" in answer
    assert "and 15 before these" in answer["Earlier Joins (20)"]
    assert "more" in answer["Candidates"]
    assert "Data Source" in answer


@pytest.mark.parametrize(
    ("staff", "policy", "who", "why"),
    [
        ([TRAVIS], Policy.FIRST_REFERRER, TRAVIS, "for this join: first referrer"),
        ([TRAVIS, MARY, None], Policy.FIRST_REFERRER, TRAVIS, ": first referrer, rejoined twice since"),
        ([None, TRAVIS, MARY], Policy.FIRST_REFERRER, TRAVIS, ": first referrer, rejoined once since"),
        (
            [TRAVIS, MARY, None],
            Policy.LATEST_REFERRER,
            MARY,
            ": latest referrer, joined once before, rejoined once since",
        ),
        ([MEMBER, MARY], Policy.FIRST_REFERRER, MARY, "for this join: first referrer"),
        ([TRAVIS] * 5, Policy.FIRST_REFERRER, TRAVIS, ": first referrer, rejoined 4 times since"),
    ],
)
def test_the_credit_policy_is_shown_in_words(
    logs: Logs, staff: list[str | None], policy: Policy, who: str, why: str
) -> None:
    for staff_id in staff:
        logs.join(staff_id=staff_id, staff_username=None)
    found = history.of_member(logs.folder, GUILD, MEMBER)
    embed = lookup_embed.embed(found, Register(), credited(found.joins, policy), policy)
    said = next(str(field.value) for field in embed.fields if field.name == "Credited To").splitlines()
    assert who in said[0]
    assert said[0].endswith(why)
    assert said[-1] == f"Policy: {policy.sentence}, once a person, and never for oneself."
