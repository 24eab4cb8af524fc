"""What reads bytes that anybody may have written, and bytes to begin from: only errors of ours may come out of it."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from joins import archive, archives, inbox
from joins.array_file import ArrayWriter, write_whole
from joins.array_reader import ArrayReader
from joins.chain import check_commitments
from joins.cloud import segments
from joins.columns import HEADERS
from joins.csv_file import CsvWriter
from joins.csv_format import from_row, header, to_row
from joins.csv_reader import CsvReader
from joins.erasure import Erasures
from joins.errors import InvalidRecord, InviteLogError
from joins.form import json_form
from joins.groups import Entry
from joins.json_format import from_line, to_line
from joins.log_files import csv_path, json_path
from joins.records import CHANGES, JOINS, LOGS
from joins.tail import empty_head
from joins.whole_log import WholeLog
from ops.foreign_log import is_foreign
from ops.old_line import Line
from ops.old_log import OldLog
from ops.old_record import OldRecords
from ops.verifying.finding import Flaw
from ops.verifying.following import Orders, follow
from ops.verifying.log_file import csv_file, json_file
from producer import checked_lines, evidence_json
from producer.evidence import Evidence
from producer.outbox import Outbox
from tests.factories import batch

RECORDS = {log: batch(log, 0, 3) for log in (JOINS, CHANGES)}
JSON_LINES = [to_line(record) for records in RECORDS.values() for record in records]
CSV_LINES = [to_row(log, record).rstrip(b"\n") for log, records in RECORDS.items() for record in records]
NAMED = (InviteLogError, Flaw)  # what a reader may raise


@dataclass(frozen=True)
class Target:
    """A reader, and bytes that it reads without complaint."""

    read: Callable[[bytes], object]
    seeds: list[bytes]


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    # In memory where the system has such a folder: a fuzzer writes ten thousand files a minute.
    within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=within) as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def _record(log: str, data: bytes) -> None:
    record = from_line(log, data)
    check_commitments(record)
    assert from_line(log, to_line(record)) == record
    assert from_row(log, to_row(log, record).rstrip(b"\n")) == record


def _row(data: bytes) -> None:
    for log in (JOINS, CHANGES):
        try:
            record = from_row(log, data)
        except InviteLogError:
            continue
        assert from_row(log, to_row(log, record).rstrip(b"\n")) == record


def _json_log(data: bytes) -> None:
    with _file("invite_changes.json", data) as path:
        with ArrayReader(path) as reader:
            seen = list(reader)
            assert reader.last() == (seen[-1] if seen else None)
        ArrayWriter(path, CHANGES).close()


def _csv_log(data: bytes) -> None:
    with _file("invite_changes.csv", data) as path:
        with CsvReader(path, CHANGES) as reader:
            seen = list(reader)
            assert reader.last() == (seen[-1] if seen else None)
        CsvWriter(path, CHANGES).close()


def _verified(data: bytes) -> None:
    nobody = Orders(Erasures(), Erasures())
    for path_of, open_file in ((json_path, json_file), (csv_path, csv_file)):
        with _file("x", data) as path:
            path.rename(path_of(path.parent, CHANGES))
            source = open_file(path.parent, CHANGES)
            assert source is not None
            list(source.orders())
            follow(source, nobody, (), lambda: None)
            source.close()


def _archive(data: bytes) -> None:
    nobody = Orders(Erasures(), Erasures())
    with _file("x", data) as path:
        folder = path.parent
        (folder / archives.FOLDER).mkdir()
        path.rename(archives.path_of(folder, json_form(CHANGES), "2025-10"))
        source = json_file(folder, CHANGES)
        assert source is not None
        list(source.orders())
        follow(source, nobody, (), lambda: None)
        source.close()
        with WholeLog(folder, json_form(CHANGES)) as whole:
            assert list(whole) == list(whole.backward())[::-1]
            assert whole.count() >= 0
            whole.at("7-0")


def _archive_index(data: bytes) -> None:
    """The index stands behind a checksum, which no fuzzer gets right."""
    index_at = int.from_bytes(_ARCHIVE[-18:-10], "little")
    comment = data.replace(b"\0", b"") or b"{}"
    _archive(_ARCHIVE[:index_at] + archive.member(b"", comment) + archive.footer_of(index_at))


def _archived() -> bytes:
    lines = [(to_line(record), (record["event_id"], record["hash"])) for record in RECORDS[CHANGES]]
    file = io.BytesIO()
    archive.write(file, json_form(CHANGES), "2025-10", empty_head(CHANGES), "0-0", lines)
    return file.getvalue()


def _old(data: bytes) -> None:
    for name in ("old.json", "old.csv"):
        with _file(name, data) as path:
            records = OldRecords(name, UTC, None)
            for entry, _ in OldLog(path).entries():
                if isinstance(entry, Line):
                    with contextlib.suppress(InvalidRecord):
                        records.make(entry)


def _foreign(data: bytes) -> None:
    for name in ("invite_joins.json", "invite_joins.csv"):
        with _file(name, data) as path:
            is_foreign(path)


def _evidence(data: bytes) -> None:
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError):  # what its only caller expects
        evidence_json.load(data)


def _outbox(data: bytes) -> None:
    with _file("outbox.jsonl", data) as path:
        box = Outbox(path)
        list(box.records())
        box.close()


def _outbox_items(data: bytes) -> None:
    _outbox(b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in data.split(b"\n")))


def _array() -> bytes:
    with _file("x.json", b"") as path:
        write_whole(path, map(to_line, RECORDS[CHANGES]))
        return path.read_bytes().rstrip(b" ") + b"  "


_ARCHIVE = _archived()
_INDEX = _ARCHIVE[int.from_bytes(_ARCHIVE[-18:-10], "little") + 10 :].partition(b"\0")[0]
_CSV = header(CHANGES) + b"".join(to_row(CHANGES, record) for record in RECORDS[CHANGES])
_ZEROS = dict.fromkeys(LOGS, "0-0")
_OUTBOX = checked_lines.lines(
    [
        {"last": _ZEROS, "high": _ZEROS, "floor": _ZEROS},
        {"epoch": "a"},
        {"arrival": {"join_id": "1"}},
        {"log": JOINS, "event_id": "5-0", "record": RECORDS[JOINS][0]},
        {"published": (JOINS, RECORDS[JOINS][0]["join_id"], "5-0")},
    ]
)  # fmt: skip
_OLD = (
    b'[{"timestamp": "2025-10-31T14:30:45", "user_id": "123456789012345678", "username": "a", '
    b'"guild_id": "1", "invite_code": null}]'
)
_OLD_CSV = ",".join(HEADERS[JOINS][:11]).encode() + b"\n2025-10-31T14:30:45,123456789012345678,a,a,abc,7,t,1,2,1,g\n"

TARGETS: dict[str, Target] = {
    "line": Target(lambda data: _record(JOINS, data), JSON_LINES),
    "change": Target(lambda data: _record(CHANGES, data), JSON_LINES),
    "row": Target(_row, CSV_LINES),
    "json_log": Target(_json_log, [_array(), b"[\n]"]),
    "csv_log": Target(_csv_log, [_CSV]),
    "verify": Target(_verified, [_array(), _CSV]),
    "archive": Target(_archive, [_ARCHIVE]),
    "archive_index": Target(_archive_index, [_INDEX]),
    "segment": Target(
        lambda data: segments.decode("x", data),
        [segments.encode(JOINS, 0, None, "0" * 64, RECORDS[JOINS])],
    ),
    "segment_body": Target(  # what no fuzzer finds its way into: behind a checksum
        lambda data: segments.decode("x", gzip.compress(data)),
        [gzip.decompress(segments.encode(JOINS, 0, None, "0" * 64, RECORDS[JOINS]))],
    ),
    "outbox_items": Target(_outbox_items, [b"\n".join(line[9:] for line in _OUTBOX.splitlines())]),
    "inbox": Target(inbox.read, [inbox.item(JOINS, RECORDS[JOINS][0]), inbox.item(CHANGES, RECORDS[CHANGES][0])]),
    "entry": Target(lambda data: Entry(JOINS, "5-0", {b"v": b"1", b"id": b"x", b"r": data}).record(), JSON_LINES),
    "old_log": Target(_old, [_OLD, _OLD.replace(b", ", b",\n"), _CSV.replace(b"Hash", b"Hush"), _OLD_CSV]),
    "foreign": Target(_foreign, [_array(), _CSV, _OLD]),
    "outbox": Target(_outbox, [_OUTBOX]),
    "evidence": Target(_evidence, [evidence_json.dump(Evidence(), "5-0").encode()]),
}  # fmt: skip
