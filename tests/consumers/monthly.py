"""Logs that reach over several months, and what every way of reading such a log must give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from factories import of

from consumers.csv_log import CsvLog
from consumers.file_log import FileLog
from consumers.json_log import JsonLog
from joins import event_id
from joins.chain import Record, chained, genesis
from joins.form import Form, csv_form, json_form
from joins.records import JOINS, normal
from joins.whole_log import WholeLog

MONTHS = ("2025-10", "2025-11", "2025-12", "2026-01", "2026-02")
FORMS: dict[str, Callable[[str], Form]] = {"json": json_form, "csv": csv_form}
LOG_FILES: dict[str, type[JsonLog] | type[CsvLog]] = {"json": JsonLog, "csv": CsvLog}


def records_of(
    log: str = JOINS,
    each: int = 7,
    months: tuple[str, ...] = MONTHS,
    before: list[Record] | None = None,
    **values: object,
) -> list[Record]:
    """So many chained records in each month: at its first moment, at its last, and in between; they follow `before`."""
    found, earlier = [], before or []
    for number, month in enumerate(months):
        for turn in range(each):
            sealed = of(log, len(earlier) + number * each + turn, **values)
            found.append({**sealed, "event_id": f"{_begin(month) + turn}-{turn % 2}"})
        year, following = divmod(_index(month) + 1, 12)
        found[-1]["event_id"] = f"{_begin(f'{year}-{following + 1:02}') - 1}-5"
    return chained(earlier[-1]["hash"] if earlier else genesis(log), found)


def fill(log_file: FileLog, log: str, records: list[Record]) -> None:
    """Writes them, some at a time."""
    for start in range(0, len(records), 100):
        log_file.write(log, records[start : start + 100])


def archive_all(log_file: FileLog, log: str = JOINS, after: int = 1) -> list[str]:
    """Archives until nothing is due; gives the months."""
    return list(iter(lambda: log_file.archive(log, after), None))


def check(folder: Path, form: Form, expected: list[Record]) -> None:
    """Reads the log in every way there is."""

    def plain(found: list[Record]) -> list[Record]:
        return [normal(form.log, record) for record in found]

    with WholeLog(folder, form) as whole:
        assert plain(list(whole)) == expected
        assert plain(list(whole.backward())) == expected[::-1]
        assert whole.count() == len(expected)
        assert list(whole.lines()) == [form.encode(record) for record in expected]
        last = whole.last()
        assert (last and last["event_id"]) == (expected[-1]["event_id"] if expected else None)
        step = max(1, len(expected) // 9)
        for number in range(0, len(expected), step):
            event = expected[number]["event_id"]
            assert plain(list(whole.after(event))) == expected[number + 1 :]
            assert plain([whole.at(event) or {}]) == [expected[number]]
            assert whole.at(event_id.following(event, 0) + "9") is None
            user = expected[number]["user_id"]
            held = [record for record in expected[::-1] if user.encode() in form.encode(record)]
            assert plain(list(whole.containing(user.encode()))) == held


def _index(month: str) -> int:
    year, number = map(int, month.split("-"))
    return year * 12 + number - 1


def _begin(month: str) -> int:
    return int(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp() * 1000)
