from __future__ import annotations

import json

import hostile
from factories import EXAMPLE, join
from hypothesis import given
from hypothesis import strategies as st

from joins.chain import seal
from joins.json_format import from_line, to_line
from joins.records import JOINS, normal


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_a_line_holds_the_whole_record(data: st.DataObject, log: str) -> None:
    record = seal(data.draw(hostile.normals(log))) | {"event_id": "1-0", "hash": "ab"}
    assert list(from_line(log, to_line(record)).items()) == list(record.items())


@given(st.data(), st.sampled_from(hostile.LOGS))
def test_a_record_is_one_line_of_utf8_that_any_json_reader_takes(data: st.DataObject, log: str) -> None:
    record = data.draw(hostile.normals(log))
    line = to_line(record)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line.decode()) == record


def test_the_customers_example_is_written_as_specified() -> None:
    shown = json.loads(to_line(join()), object_pairs_hook=list)[:12]
    assert shown == list(EXAMPLE.items())


def test_keys_stand_in_the_records_own_order() -> None:
    shuffled = dict(reversed(join().items()))
    assert list(json.loads(to_line(normal(JOINS, shuffled)))) == list(join())
