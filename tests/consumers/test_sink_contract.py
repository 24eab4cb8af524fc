"""What every sink promises. A new one is added to `sink_kinds` and passes all of this."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from factories import batch
from moto_process import free_port
from sink_kinds import LOCAL, Place

from consumers.cloud_backup import CloudBackup
from consumers.sink import Sink
from joins.chain import Record
from joins.errors import HeadMoved, LogDamaged, SinkUnavailable
from joins.log_files import database_path
from joins.records import CHANGES, JOINS
from joins.tail import MAX_WRITE_BYTES, empty_head

LOGS = (JOINS, CHANGES)


@contextlib.contextmanager
def opened(place: Place) -> Iterator[Sink]:
    sink = place.open()
    try:
        yield sink
    finally:
        sink.close()


def head_of(records: list[Record]) -> tuple[str, str]:
    return records[-1]["event_id"], records[-1]["hash"]


def test_a_sink_without_data_has_the_empty_head_of_each_log(place: Place) -> None:
    with opened(place) as sink:
        assert [sink.head(log) for log in LOGS] == [empty_head(JOINS), empty_head(CHANGES)]


def test_what_was_written_is_the_head_and_stands_in_the_data(place: Place) -> None:
    records = batch(JOINS, 0, 3)
    with opened(place) as sink:
        sink.write(JOINS, records)
        assert sink.head(JOINS) == head_of(records)
    assert place.read(JOINS) == records


def test_the_two_logs_are_independent(place: Place) -> None:
    joins, changes = batch(JOINS, 0, 4), batch(CHANGES, 0, 3)
    with opened(place) as sink:
        sink.write(CHANGES, changes[:1])
        assert sink.head(JOINS) == empty_head(JOINS)
        sink.write(JOINS, joins)
        sink.write(CHANGES, changes[1:])
        assert (sink.head(JOINS), sink.head(CHANGES)) == (head_of(joins), head_of(changes))
    assert (place.read(JOINS), place.read(CHANGES)) == (joins, changes)


def test_a_sink_opened_again_ends_where_it_ended_and_goes_on(place: Place) -> None:
    records = batch(JOINS, 0, 9)
    for start in range(0, 9, 3):
        with opened(place) as sink:
            assert sink.head(JOINS) == (head_of(records[:start]) if start else empty_head(JOINS))
            sink.write(JOINS, records[start : start + 2])
            sink.write(JOINS, records[start + 2 : start + 3])
    assert place.read(JOINS) == records


@pytest.mark.parametrize("size", [1, 500])
def test_batches_of_any_size_keep_their_order(place: Place, size: int) -> None:
    records = batch(JOINS, 0, max(7, 2 * size))
    with opened(place) as sink:
        for start in range(0, len(records), size):
            sink.write(JOINS, records[start : start + size])
        assert sink.head(JOINS) == head_of(records)
    assert place.read(JOINS) == records


def test_a_batch_larger_than_any_single_write_is_taken_whole(place: Place) -> None:
    records = batch(CHANGES, 0, 60, reason="é" * 20_000)
    assert sum(len(record["reason"].encode()) for record in records) > 2 * MAX_WRITE_BYTES
    with opened(place) as sink:
        sink.write(CHANGES, records)
        assert sink.head(CHANGES) == head_of(records)
    with opened(place) as sink:
        assert sink.head(CHANGES) == head_of(records)
    assert place.read(CHANGES) == records


def test_of_two_writers_the_second_is_told_and_writes_nothing(place: Place) -> None:
    records = batch(JOINS, 0, 4)
    with opened(place) as sink:
        sink.write(JOINS, records[:1])
    with opened(place) as one, opened(place) as two:
        one.write(JOINS, records[1:3])
        with pytest.raises(HeadMoved):
            two.write(JOINS, records[1:2])
    assert place.read(JOINS) == records[:3]
    with opened(place) as sink:
        assert sink.head(JOINS) == head_of(records[:3])
        sink.write(JOINS, records[3:])
    assert place.read(JOINS) == records


def test_of_two_writers_of_a_new_log_the_second_is_told(place: Place) -> None:
    records = batch(JOINS, 0, 4)
    with opened(place) as one, opened(place) as two:
        one.write(JOINS, records)
        with pytest.raises(HeadMoved):
            two.write(JOINS, batch(JOINS, 0, 2))
    assert place.read(JOINS) == records


def test_data_that_vanished_is_noticed_and_the_log_begins_anew(place: Place) -> None:
    records = batch(JOINS, 0, 5)
    with opened(place) as sink:
        sink.write(JOINS, records[:3])
        place.lose()
        with pytest.raises((HeadMoved, SinkUnavailable)):
            sink.write(JOINS, records[3:])
    with opened(place) as sink:
        assert sink.head(JOINS) == empty_head(JOINS)
        sink.write(JOINS, records)
    assert place.read(JOINS) == records


def test_a_closed_sink_keeps_nothing_open(place: Place) -> None:
    with opened(place) as sink:
        sink.write(JOINS, batch(JOINS, 0, 1))
    if place.name == "s3":
        return  # its connections are a pool that obstore keeps for the process
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with opened(place):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_all_sinks_compute_the_same_chain(tmp_path: Path, s3_url: str) -> None:
    from sink_kinds import s3_place

    places = [make(tmp_path) for make in LOCAL.values()] + [s3_place(s3_url)]
    records = batch(JOINS, 0, 20)
    for size, place in enumerate(places, start=2):
        with opened(place) as sink:
            for start in range(0, 20, size):
                sink.write(JOINS, records[start : start + size])
    assert len({place.read(JOINS)[-1]["hash"] for place in places}) == 1
    assert all(place.read(JOINS) == records for place in places)


@pytest.mark.parametrize("name", ["json", "csv", "sqlite"])
def test_a_folder_that_is_gone_is_a_sentence(name: str, tmp_path: Path) -> None:
    place = LOCAL[name](tmp_path / "absent")
    with pytest.raises(SinkUnavailable, match=r"cannot be used: \w+"), opened(place) as sink:
        sink.write(JOINS, batch(JOINS, 0, 1))
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize("name", ["json", "csv"])
def test_a_file_of_another_program_is_a_sentence_and_leaves_nothing_open(name: str, tmp_path: Path) -> None:
    place = LOCAL[name](tmp_path)
    with opened(place) as sink:
        sink.write(JOINS, batch(JOINS, 0, 1))
    for foreign in ("invite_changes.json", "invite_changes.csv"):
        (tmp_path / foreign).write_bytes(b"somebody else's\n" * 100)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises((LogDamaged, SinkUnavailable)):
            place.open()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("damage", ["header", "page"])
def test_a_damaged_database_is_set_aside_whole_and_begun_anew(damage: str, tmp_path: Path) -> None:
    place = LOCAL["sqlite"](tmp_path)
    path = database_path(tmp_path)
    records = batch(JOINS, 0, 400)
    with opened(place) as sink:
        sink.write(JOINS, records[:200])
    data = path.read_bytes()
    begin = 0 if damage == "header" else len(data) // 2
    data = data[:begin] + b"\xee" * (len(data) - begin)
    path.write_bytes(data)
    for _ in range(2):  # at opening, or when the page is first met
        with contextlib.suppress(HeadMoved), opened(place) as sink:
            sink.write(JOINS, records if sink.head(JOINS) == empty_head(JOINS) else records[200:])
    assert [p.read_bytes() for p in tmp_path.glob("invites.db.damaged-*Z")] == [data]
    with opened(place) as sink:
        assert sink.head(JOINS) == head_of(records)
    assert place.read(JOINS) == records


def test_a_cloud_that_does_not_answer_is_a_sentence_without_the_login(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(SinkUnavailable, match="the cloud backup s3://bucket/x cannot be used") as caught:
        CloudBackup("s3://bucket/x")
    assert "\n" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_a_sentence(s3_address: str) -> None:
    with pytest.raises(SinkUnavailable, match="no such bucket"):
        CloudBackup("s3://no-such-bucket-here/x")


def test_a_backup_that_this_program_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "joins").mkdir()
    (tmp_path / "joins" / "000000000000.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(LogDamaged, match="no object of this program"):
        CloudBackup(tmp_path.as_uri())


def test_an_upload_whose_answer_was_lost_is_recognised_as_ones_own(tmp_path: Path) -> None:
    records = batch(JOINS, 0, 3)
    one, again = CloudBackup(tmp_path.as_uri()), CloudBackup(tmp_path.as_uri())
    one.write(JOINS, records)
    again.write(JOINS, records)
    assert one.head(JOINS) == again.head(JOINS) == head_of(records)
