from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import hostile
import pytest
from factories import batch, change, join
from hypothesis import assume, given
from hypothesis import strategies as st

from joins.chain import (
    COMMITTED,
    NAME_KEYS,
    Record,
    canonical,
    chained,
    check_commitments,
    check_link,
    genesis,
    link,
    seal,
)
from joins.errors import ChainBroken, InvalidRecord
from joins.records import CHANGES, JOINS, normal

CHAIN = batch(JOINS, 0, 12)
places = st.integers(0, len(CHAIN) - 1)
EDITS = st.none() | st.integers() | st.booleans() | st.text("0a-") | st.lists(st.text("a"))


def follow(log: str, records: Iterable[Record]) -> str:
    previous = genesis(log)
    for number, record in enumerate(records):
        previous = check_link(previous, record, f"record {number}")
    return previous


def erased(record: Record, how: Callable[[Record, str], None]) -> Record:
    copy = dict(record)
    for key in (*NAME_KEYS, "salts"):
        how(copy, key)
    return copy


def test_a_chain_as_it_was_made_holds() -> None:
    assert follow(JOINS, CHAIN) == CHAIN[-1]["hash"]


@given(places, st.sampled_from(sorted(set(CHAIN[0]) - NAME_KEYS - {"salts", "hash"})), EDITS)
def test_an_edited_value_breaks_the_chain(place: int, key: str, value: Any) -> None:
    assume(canonical(value) != canonical(CHAIN[place][key]))
    edited = [*CHAIN[:place], {**CHAIN[place], key: value}, *CHAIN[place + 1 :]]
    with pytest.raises(ChainBroken, match=f"record {place}:"):
        follow(JOINS, edited)


@given(places, st.text("ab", min_size=1))
def test_an_added_key_breaks_the_chain(place: int, name: str) -> None:
    with pytest.raises(ChainBroken):
        follow(JOINS, [*CHAIN[:place], {**CHAIN[place], f"x{name}": 1}, *CHAIN[place + 1 :]])


@given(st.integers(0, len(CHAIN) - 2))
def test_a_removed_record_breaks_the_chain(place: int) -> None:
    with pytest.raises(ChainBroken, match=f"record {place}:"):
        follow(JOINS, [*CHAIN[:place], *CHAIN[place + 1 :]])


@given(places, places)
def test_an_inserted_record_breaks_the_chain(place: int, other: int) -> None:
    with pytest.raises(ChainBroken):
        follow(JOINS, [*CHAIN[:place], CHAIN[other], CHAIN[place], *CHAIN[place + 1 :]])


@given(places, places)
def test_swapped_records_break_the_chain(a: int, b: int) -> None:
    assume(a != b)
    swapped = list(CHAIN)
    swapped[a], swapped[b] = swapped[b], swapped[a]
    with pytest.raises(ChainBroken, match=f"record {min(a, b)}:"):
        follow(JOINS, swapped)


@pytest.mark.parametrize("how", [lambda r, k: r.update({k: None}), lambda r, k: r.pop(k, None)], ids=["null", "absent"])
def test_names_and_salts_can_be_erased_and_the_chain_holds(how: Callable[[Record, str], None]) -> None:
    some = [erased(record, how) if number % 2 else record for number, record in enumerate(CHAIN)]
    assert follow(JOINS, some) == CHAIN[-1]["hash"]
    for record in some:
        check_commitments(record)


@pytest.mark.parametrize("key", sorted(NAME_KEYS - {"reason"}))
def test_a_name_that_was_changed_does_not_match_its_commitment(key: str) -> None:
    with pytest.raises(InvalidRecord, match="commitment"):
        check_commitments({**CHAIN[3], key: "somebody else"})


def test_a_name_without_its_salt_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="'member'"):
        check_commitments({**CHAIN[0], "salts": {"staff": CHAIN[0]["salts"]["staff"]}})


def test_a_salt_without_its_commitment_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="'staff'"):
        check_commitments({**CHAIN[0], "commitments": {"member": CHAIN[0]["commitments"]["member"]}})


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_a_sealed_record_matches_its_commitments(data: st.DataObject, log: str) -> None:
    sealed = seal(data.draw(hostile.normals(log)))
    check_commitments(sealed)
    assert list(normal(log, sealed).items()) == list(sealed.items())


def test_two_seals_of_one_record_hide_that_the_names_are_the_same() -> None:
    one, two = seal(join()), seal(join())
    assert not set(one["commitments"].values()) & set(two["commitments"].values())


def test_only_the_groups_that_are_named_are_committed() -> None:
    assert set(seal(join(staff_username=None, staff_id=None))["commitments"]) == {"member"}
    assert set(seal(change())["commitments"]) == {"reason"}
    assert set(COMMITTED) == {"member", "staff", "reason"}


def test_a_chain_begins_differently_in_each_log() -> None:
    assert genesis(JOINS) != genesis(CHANGES)
    with pytest.raises(ChainBroken):
        follow(CHANGES, CHAIN)


def test_a_value_that_is_null_and_one_that_is_absent_hash_alike() -> None:
    assert link(genesis(JOINS), {"a": 1, "b": None}) == link(genesis(JOINS), {"a": 1})


def test_a_chain_is_the_same_however_it_is_cut_into_batches() -> None:
    bare = [{key: value for key, value in record.items() if key != "hash"} for record in CHAIN]
    first = chained(genesis(JOINS), bare[:5])
    assert [*first, *chained(first[-1]["hash"], bare[5:])] == CHAIN
