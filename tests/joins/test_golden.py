"""Fixed bytes and hashes. A format that drifts breaks the chain of every log there is: raise VERSION instead."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from factories import change, join

from joins.chain import COMMITTED, Record, _commit, check_commitments, genesis, link
from joins.csv_format import to_row
from joins.json_format import to_line
from joins.records import CHANGES, JOINS, normal

SALT = "000102030405060708090a0b0c0d0e0f"


def sealed(record: Record) -> Record:
    groups = [group for group, keys in COMMITTED.items() if any(record.get(key) is not None for key in keys)]
    commitments = {group: _commit(record, group, SALT) for group in groups}
    return {**record, "commitments": commitments, "salts": dict.fromkeys(groups, SALT)}


JOIN = sealed(join(candidates=[{"code": "é\u2028😀"}], flags=["bypass"], evidence={"z": 1, "a": [True, None]}))
CHANGE = sealed(change(7, "attribution_corrected", join_id=JOIN["join_id"], invite_code="zzz", staff_id="7",
                       staff_username="=maria", confidence="exact"))  # fmt: skip


@pytest.mark.parametrize(
    ("log", "record", "hash_", "line", "row"),
    [
        (
            JOINS,
            JOIN,
            "1b1de29fa21a02d073ce1e24579a2cc0e8b96ff4a2aac878c7026f10a1483375",
            "90309a87ae67ba6cb72d87feb1c7eeecfd825698a1bfb1200d5ddd0890018380",
            "3809d6a9f8690a97cd4ef7dd596051348b911bed9b04b22baaeaea97821397c4",
        ),
        (
            CHANGES,
            CHANGE,
            "9e38c08fb63d145aff0e5eca10d56fdb499fe649a887c8f6dff9868e4ef9d13d",
            "959adf1aaba39aabbb4e60648dd708bbd91e1f84dc0c883b8bfd9911c5ed403f",
            "74e620c2bce63d8f184b2cbe3fe4ab0f3c7d177fa5bf211ff10f046ba0a08045",
        ),
    ],
    ids=["join", "change"],
)
def test_hash_line_and_row_of_a_record_are_what_they_always_were(
    log: str, record: dict[str, Any], hash_: str, line: str, row: str
) -> None:
    whole = normal(log, {**record, "event_id": "1761921045123-0"})
    check_commitments(whole)
    whole["hash"] = link(genesis(log), whole)
    assert whole["hash"] == hash_
    assert sha256(to_line(whole)).hexdigest() == line, to_line(whole)
    assert sha256(to_row(log, whole)).hexdigest() == row, to_row(log, whole)


def test_the_hash_is_computed_as_the_documentation_says() -> None:
    """Made without the program: SHA-256 over the previous hash and RFC 8785 JSON of what is neither null nor a name."""
    previous = sha256(b"persistent-invite-log/1/joins").digest()
    assert genesis(JOINS) == previous.hex()
    body = '{"a":[true,null],"b":"é\u2028\\n","event_id":"1-0"}'.encode()
    record = {"b": "é\u2028\n", "username": "x", "a": [True, None], "n": None, "salts": {}, "event_id": "1-0"}
    assert link(previous.hex(), record) == sha256(previous + body).hexdigest()
