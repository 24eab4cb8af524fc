"""Object storage as it is on a bad day: lost answers, a store that is busy, gone or locked, writers that race."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from factories import batch
from s3_proxy import Proxy, proxy
from test_erasing_versions import XMLNS, put

from consumers import merging
from consumers.cloud_backup import CloudBackup
from consumers.merging import Merging
from joins.chain import Record
from joins.cloud import merges
from joins.cloud.bucket import Bucket
from joins.copies.cloud_copy import CloudCopy
from joins.errors import HeadMoved, SinkUnavailable
from joins.records import JOINS

LOCK = (
    f"<ObjectLockConfiguration {XMLNS}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)


@pytest.fixture
def between(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy(s3_address) as made:
        monkeypatch.setenv("AWS_ENDPOINT", made.url)
        yield made


def held(url: str) -> list[Record]:
    return list(CloudCopy(Bucket(url), JOINS).after("0-0"))


@pytest.mark.parametrize("trouble", ["lose", "busy"])
def test_an_answer_that_is_lost_or_a_busy_store_doubles_and_loses_nothing(
    between: Proxy, s3_url: str, trouble: str
) -> None:
    records = batch(JOINS, 0, 30)
    sink, written = CloudBackup(s3_url), 0
    for number in range(40):
        setattr(between, trouble, (1, 4, 0)[number % 3])  # 4: more than is tried again at once
        try:
            sink.write(JOINS, records[written : written + 5])
            written += 5
        except SinkUnavailable:
            sink = CloudBackup(s3_url)  # as the consumer does: it begins at the sink's own head
            written = next((n + 1 for n, one in enumerate(records) if one["event_id"] == sink.head(JOINS)[0]), 0)
        if written == len(records):
            break
    assert held(s3_url) == records


def test_a_store_that_is_gone_for_a_while_is_said_and_gone_on_with(between: Proxy, s3_url: str) -> None:
    records = batch(JOINS, 0, 10)
    sink = CloudBackup(s3_url)
    sink.write(JOINS, records[:5])
    between.gone = True
    with pytest.raises(SinkUnavailable, match="cannot be used"):
        sink.write(JOINS, records[5:])
    with pytest.raises(SinkUnavailable):
        CloudBackup(s3_url)
    between.gone = False
    sink = CloudBackup(s3_url)
    sink.write(JOINS, records[5:])
    assert held(s3_url) == records


def test_twenty_uploaders_at_once_put_each_record_there_once(s3_url: str) -> None:
    records = batch(JOINS, 0, 60)
    faults: list[BaseException] = []

    def upload() -> None:
        try:
            for _ in range(200):
                try:
                    sink = CloudBackup(s3_url)
                    start = next((n + 1 for n, one in enumerate(records) if one["event_id"] == sink.head(JOINS)[0]), 0)
                    if start == len(records):
                        return
                    sink.write(JOINS, records[start : start + 3])
                except HeadMoved:
                    continue  # another one was first, with other records
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=upload) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert held(s3_url) == records


def test_a_bucket_with_object_lock_takes_records_and_merges_and_keeps_what_was_merged(
    between: Proxy, s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merges, "FULL", 20)
    monkeypatch.setattr(merging, "EVERY", 0.0)
    monkeypatch.setattr(merging, "GRACE", 0.0)
    bucket = f"locked-{uuid.uuid4().hex[:8]}"
    put(f"{s3_address}/{bucket}", **{"x-amz-bucket-object-lock-enabled": "true"})
    put(f"{s3_address}/{bucket}?object-lock", LOCK)
    records, url = batch(JOINS, 0, 40), f"s3://{bucket}/log"
    sink = CloudBackup(url)
    for start in range(0, 40, 4):
        sink.write(JOINS, records[start : start + 4])
    working = Merging(Bucket(url), "")
    for _ in range(4):
        working.look(lambda: True)
    assert len(merges.split(Bucket(url), JOINS)[0]) < 8
    assert held(url) == records


def test_credentials_that_are_missing_or_refused_are_one_sentence(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where AWS's own machines are asked for some
    with pytest.raises(SinkUnavailable) as raised:
        CloudBackup("s3://invite-backup/x")
    assert "\n" not in str(raised.value)
    assert "AWS_ACCESS_KEY_ID" in str(raised.value)
