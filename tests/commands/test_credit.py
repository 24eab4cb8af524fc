"""Who is credited."""

from __future__ import annotations

from dataclasses import dataclass

from commands.credit import Policy, credited
from joins.settings import CREDIT_POLICIES


@dataclass(frozen=True)
class Arrival:
    staff_id: str | None
    settled: bool = True
    user_id: str = "7"


def test_the_first_referrer_keeps_the_credit_through_rejoins() -> None:
    first, second = Arrival("1"), Arrival("2")
    credit = credited([first, second])
    assert credit.join is first
    assert not credit.provisional


def test_the_latest_referrer_has_it_where_the_policy_says_so() -> None:
    first, second = Arrival("1"), Arrival("2")
    assert credited([first, second], Policy.LATEST_REFERRER).join is second


def test_nobody_is_credited_for_himself() -> None:
    assert credited([Arrival("7")]).join is None
    other = Arrival("1")
    assert credited([Arrival("7"), other]).join is other


def test_a_join_without_a_referrer_leaves_the_credit_to_a_later_one() -> None:
    other = Arrival("1")
    assert credited([Arrival(None), other]).join is other


def test_an_unsettled_join_that_could_come_first_makes_the_credit_provisional() -> None:
    unsettled, found = Arrival(None, settled=False), Arrival("1")
    credit = credited([unsettled, found])
    assert credit.join is found
    assert credit.unsettled == (unsettled,)
    assert not credited([found, unsettled]).provisional


def test_nobody_joined_means_nobody_credited() -> None:
    assert credited([]).join is None


def test_every_policy_can_be_set() -> None:
    assert tuple(policy.value for policy in Policy) == CREDIT_POLICIES
