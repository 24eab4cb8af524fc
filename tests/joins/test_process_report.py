from __future__ import annotations

import os

from joins import keys, process_report
from joins.process_report import EXPIRES_AFTER, Report
from joins.redis_url import Client


def test_a_report_is_read_as_it_was_sent_with_the_memory_of_its_process(redis_client: Client) -> None:
    report = Report("json", "failing", "the disk is full", 12.5, {"joins": "1-0"}, {"joins": "ab"}, details={"n": 1})
    process_report.send(redis_client, report)
    (found,) = process_report.read(redis_client, ("json", "csv")).values()
    assert found.rss > 1_000_000
    assert found.pid == os.getpid()
    assert (found.state, found.reason, found.since) == ("failing", "the disk is full", 12.5)
    assert (found.heads, found.hashes, found.details) == ({"joins": "1-0"}, {"joins": "ab"}, {"n": 1})


def test_a_report_expires_with_its_process_and_is_withdrawn_by_one_that_ends_in_order(redis_client: Client) -> None:
    process_report.send(redis_client, Report("json"))
    assert 0 < redis_client.ttl(keys.process("json")) <= EXPIRES_AFTER
    process_report.withdraw(redis_client, "json")
    assert process_report.read(redis_client, ("json",)) == {}


def test_the_memory_of_a_process_that_is_not_there_is_nothing() -> None:
    assert process_report.resident_bytes(2**22 + 1) == 0
