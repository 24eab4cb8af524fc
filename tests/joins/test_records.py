from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import hostile
import pytest
from factories import EXAMPLE, change, join
from hypothesis import given
from hypothesis import strategies as st

from joins.chain import canonical, seal
from joins.errors import InvalidRecord, NewerVersion
from joins.json_format import from_line, to_line
from joins.records import CHANGES, JOIN_KEYS, JOINS, identity, join_id, moment, normal, timestamp


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_the_normal_form_of_a_normal_form_is_itself(data: st.DataObject, log: str) -> None:
    once = normal(log, data.draw(hostile.records(log)))
    assert list(normal(log, once).items()) == list(once.items())


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_every_record_in_normal_form_can_be_encoded_and_hashed(data: st.DataObject, log: str) -> None:
    record = seal(normal(log, data.draw(hostile.records(log))))
    to_line(record).decode()
    canonical(record).decode()


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_the_normal_form_does_not_depend_on_the_order_of_the_keys_given(data: st.DataObject, log: str) -> None:
    record = data.draw(hostile.records(log))
    shuffled = dict(data.draw(st.permutations(list(record.items()))))
    assert list(normal(log, shuffled).items()) == list(normal(log, record).items())


def test_a_join_begins_with_the_customers_twelve_keys_in_their_order() -> None:
    assert list(join())[:12] == list(EXAMPLE)
    assert list(JOIN_KEYS[:12]) == list(EXAMPLE)


def test_what_is_not_known_is_null_and_stays_in_its_place() -> None:
    record = join(invite_code=None, staff_id=None, staff_username="", uses_before=None, uses_after=None)
    assert list(record)[:12] == list(EXAMPLE)
    assert record["invite_code"] is None
    assert record["staff_username"] is None


def test_a_key_of_a_later_version_is_kept() -> None:
    assert join(colour="green")["colour"] == "green"


def test_lone_surrogates_become_the_replacement_character_wherever_they_stand() -> None:
    record = join(username="a\ud800b", evidence={"k\udfff": ["\ud83d"]}, **{"x\ud800": "v"})
    assert record["username"] == "a\ufffdb"
    assert record["evidence"] == {"k\ufffd": ["\ufffd"]}
    assert record["x\ufffd"] == "v"


def test_a_surrogate_pair_stays_the_character_it_is() -> None:
    assert join(username="\ud83d\ude00")["username"] == "😀"


def test_an_empty_key_inside_a_value_is_kept() -> None:
    assert join(evidence={"": 1, "a": ""})["evidence"] == {"": 1, "a": None}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": 123}, "user_id"),
        ({"user_id": "12a"}, "user_id"),
        ({"user_id": "٣"}, "user_id"),
        ({"user_id": "1" * 21}, "user_id"),
        ({"guild_id": "-1"}, "guild_id"),
        ({"timestamp": "2025-10-31 14:30:45.123456"}, "timestamp"),
        ({"timestamp": "2025-10-31T14:30:45"}, "timestamp"),
        ({"timestamp": "2025-02-30T14:30:45.123456"}, "timestamp"),
        ({"timestamp": "2025-10-31T14:30:45.123456Z"}, "timestamp"),
        ({"recorded_at": None}, "recorded_at"),
        ({"source": "elsewhere"}, "source"),
        ({"confidence": "likely"}, "confidence"),
        ({"confidence": None}, "confidence"),
        ({"confidence": "ambiguous"}, "invite_code"),
        ({"uses_before": -1}, "uses_before"),
        ({"uses_before": True}, "uses_before"),
        ({"uses_before": "5"}, "uses_before"),
        ({"uses_after": 2**53}, "uses_after"),
        ({"uses_after": 1.5}, "fraction"),
        ({"username": 5}, "username"),
        ({"candidates": {}}, "candidates"),
        ({"flags": None}, "flags"),
        ({"evidence": []}, "evidence"),
        ({"evidence": {"at": datetime.now(UTC)}}, "evidence"),
        ({"evidence": {"n": 10**20}}, "evidence"),
        ({"join_id": "0" * 32}, "join_id"),
        ({"v": 0}, "v must"),
        ({"v": True}, "v must"),
        ({"v": "1"}, "v must"),
        ({"salts": {"member": "xyz"}}, "salts"),
        ({"salts": {"member": "abc"}}, "salts"),
        ({"salts": {"member": 1}}, "salts"),
        ({"commitments": []}, "commitments"),
    ],
)
def test_a_join_that_breaks_a_rule_is_refused_and_the_key_named(values: dict[str, Any], named: str) -> None:
    right = join()
    with pytest.raises(InvalidRecord, match=named):
        normal(JOINS, {**right, **values})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"change": "guessed"}, "guessed"),
        ({"change_id": None}, "change_id"),
        ({"guild_id": None}, "guild_id"),
        ({"actor_id": "somebody"}, "actor_id"),
        ({"change": "attribution_confirmed", "join_id": None, "confidence": "exact"}, "join_id"),
        ({"change": "attribution_confirmed", "join_id": "a", "confidence": None}, "confidence"),
        ({"change": "staff_set"}, "staff_id"),
        ({"change": "code_assigned", "staff_id": "7"}, "invite_code"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused_and_the_key_named(values: dict[str, Any], named: str) -> None:
    right = change()
    with pytest.raises(InvalidRecord, match=named):
        normal(CHANGES, {**right, **values})


def test_a_record_of_a_later_version_is_waited_for_not_refused() -> None:
    with pytest.raises(NewerVersion):
        normal(JOINS, {"v": 2, "anything": "else"})


def test_there_are_only_two_logs() -> None:
    with pytest.raises(InvalidRecord, match="visits"):
        normal("visits", join())


def test_nesting_without_end_is_refused_rather_than_followed() -> None:
    deep = b"[" * 400 + b"]" * 400
    line = to_line(join()).replace(b'"evidence": {}', b'"evidence": {"deep": ' + deep + b"}")
    with pytest.raises(InvalidRecord):
        from_line(JOINS, line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"v": NaN}',
        b"[" * 100_000,
        b"9" * 5000,
        b" " * 70_000,
    ],
)
def test_a_line_that_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidRecord):
        from_line(JOINS, line)


def test_the_id_of_a_join_is_the_same_whoever_computes_it() -> None:
    assert join_id("1", "2", "2025-10-31T14:30:45.123456") == "fb7921b207bcca68315d0815690c0e3c"
    assert join_id("1", "23", "x") != join_id("12", "3", "x")


def test_identity_is_the_join_or_the_change() -> None:
    assert identity(JOINS, join()) == join()["join_id"]
    assert identity(CHANGES, change(4)) == "change-4"


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(9000, 1, 1)))  # noqa: DTZ001
def test_a_timestamp_is_utc_whatever_zone_it_was_given_in(naive: datetime) -> None:
    there = naive.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert timestamp(there) == naive.isoformat(timespec="microseconds")
    assert moment(timestamp(there)) == there


def test_json_keeps_ids_as_text() -> None:
    assert json.loads(to_line(join()))["user_id"] == EXAMPLE["user_id"]
