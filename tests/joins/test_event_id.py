from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joins import event_id, schema

numbers = st.integers(0, 2**64 - 1)
event_ids = st.tuples(numbers, numbers).map(lambda pair: f"{pair[0]}-{pair[1]}")


@given(event_ids, event_ids)
def test_ids_compare_as_numbers_not_as_text(a: str, b: str) -> None:
    assert event_id.is_above(a, b) == (event_id.parse(a) > event_id.parse(b))
    assert event_id.latest(a, b) == (a if event_id.parse(a) >= event_id.parse(b) else b)


@given(event_ids, event_ids)
def test_the_text_of_a_position_sorts_as_the_ids_do(a: str, b: str) -> None:
    assert (schema.position(a) > schema.position(b)) == event_id.is_above(a, b)


@given(event_ids, st.lists(st.integers(0, 2**41), min_size=1, max_size=20))
def test_ids_grow_whatever_the_clock_does(last: str, clock: list[int]) -> None:
    for now in clock:
        following = event_id.following(last, now)
        assert event_id.is_above(following, last)
        last = following


def test_an_id_tells_the_moment_at_which_it_was_given() -> None:
    assert event_id.following("5-9", 7) == "7-0"
    assert event_id.milliseconds("7-0") == 7


def test_a_clock_that_stands_still_or_went_back_only_counts_on() -> None:
    assert event_id.following("7-0", 7) == "7-1"
    assert event_id.following("7-1", 3) == "7-2"


def test_the_highest_of_no_ids_is_zero() -> None:
    assert event_id.latest() == event_id.ZERO


@pytest.mark.parametrize("text", ["", "7", "a-b", "7-"])
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        event_id.parse(text)
