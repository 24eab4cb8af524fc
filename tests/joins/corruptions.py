"""A catalogue of what disks, editors, spreadsheets and people do to a log file, and what becomes of each.

A row of the table: the name, what is done, and for the JSON and the CSV log whether it is then

- `WHOLE`: taken as it is, because nothing of ours was touched,
- `REPAIRED`: taken up to the damage; what follows is kept aside and comes again from the stream,
- `REFUSED`: left as it is, with a sentence that names the file and the place,
- `-`: not a thing that happens to this kind of file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factories import batch
from log_file_cases import LOG

from joins.chain import Record

WHOLE, REPAIRED, REFUSED, NEVER = "whole", "repaired", "refused", "-"
COUNT = 24
RECORDS: list[Record] = batch(LOG, 0, COUNT, reason='=Ann, "the owner"\n=é 漢 😀 ' + "no name, but long " * 60)


@dataclass(frozen=True)
class Corruption:
    """One row of the table; `damage` gives the bytes that come of the file's, its blank end cut off."""

    name: str
    damage: Callable[[bytes], bytes]
    json: str
    csv: str


def _flip(place: Callable[[bytes], int], bit: int = 1) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        at = place(data) % len(data)
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

    return damage


def _zeros(count: int, place: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        at = place(data) % len(data)
        return data[:at] + bytes(min(count, len(data) - at)) + data[at + count :]

    return damage


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    """A change of the lines, of which the first is the bracket or the header, and line n holds record n - 1."""
    return lambda data: b"".join(change(data.splitlines(keepends=True)))


def _tenth(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change of one line: the tenth."""
    return _lines(lambda lines: [*lines[:9], change(lines[9]), *lines[10:]])


def _middle(data: bytes) -> int:
    """The beginning of the first whole block of the second half."""
    return -(-len(data) // 2 // 4096) * 4096


def _of_line(number: int, mark: bytes, further: int = 0) -> Callable[[bytes], int]:
    """Where a mark stands in a line, counted from 1."""

    def place(data: bytes) -> int:
        start = 0
        for _ in range(number - 1):
            start = data.index(b"\n", start) + 1
        return data.index(mark, start) + further

    return place


def _salt(data: bytes) -> int:
    found = re.compile(rb"[0-9a-f]{32}").search(data, data.index(b"salts"))
    assert found
    return found.start()


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:9], lines[10], lines[9], *lines[11:]]


def _repeated(lines: list[bytes]) -> list[bytes]:
    return [*lines[:9], lines[4], *lines[9:]]


def _spreadsheet(
    data: bytes, ends: str = "\n", bom: bool = False, quoting: int = csv.QUOTE_MINIMAL, ids: Callable[[str], str] = str
) -> bytes:
    """The CSV file as a spreadsheet saves what it has read."""
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=ends, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([[ids(cell) if cell.isdigit() and len(cell) > 15 else cell for cell in row] for row in rows])
    return (codecs.BOM_UTF8 if bom else b"") + out.getvalue().encode()


def _excel(cell: str) -> str:
    return f"{int(cell):.2E}"


def _calc(cell: str) -> str:
    return f"{int(cell):.14E}".replace("E+", "E+0")


def _dropped_quotes(data: bytes) -> bytes:
    return data.replace(b'""', b"\1").replace(b'"', b"").replace(b"\1", b'"')


def _indented(data: bytes) -> bytes:
    return json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()


def _compact(data: bytes) -> bytes:
    return json.dumps(json.loads(data), separators=(",", ":"), ensure_ascii=False).encode()


def _respaced(data: bytes) -> bytes:
    lines = [json.dumps(record, separators=(",", ":"), ensure_ascii=False) for record in json.loads(data)]
    return ("[\n" + ",\n".join(lines) + "\n]").encode()


CATALOGUE = [
    # A disk.
    Corruption("a bit of the first byte", _flip(lambda data: 0), REFUSED, REFUSED),
    Corruption("a bit of the first line's end", _flip(_of_line(1, b"\n")), REFUSED, REFUSED),
    Corruption("a bit of an id", _flip(_of_line(12, b"1234567")), REFUSED, REFUSED),
    Corruption("a bit of a name or free text", _flip(_of_line(12, b"owner")), REFUSED, REFUSED),
    Corruption("a bit of a salt", _flip(_salt), REFUSED, REFUSED),
    Corruption("a bit of a key", _flip(_of_line(12, b"event_id")), REFUSED, NEVER),
    Corruption("a bit of a quote", _flip(_of_line(12, b'"'), 2), REPAIRED, REPAIRED),
    Corruption("a bit of a character of two bytes", _flip(_of_line(12, "é".encode()), 64), REPAIRED, REPAIRED),
    Corruption("a bit of a line's end", _flip(_of_line(12, b"\n"), 4), REPAIRED, REPAIRED),
    Corruption("a bit of the comma between two records", _flip(_of_line(12, b",\n"), 32), REPAIRED, NEVER),
    Corruption("a bit of the last record's text", _flip(lambda data: data.rindex(b"owner")), REFUSED, REFUSED),
    Corruption("a bit of the last byte", _flip(lambda data: -1), REPAIRED, REPAIRED),
    *(
        Corruption(f"{count} zeros at the {where}", _zeros(count, place), *outcomes)
        for count in (512, 4096)
        for where, place, outcomes in (
            ("beginning", lambda data: 0, (REFUSED, REFUSED)),
            ("middle", _middle, (REPAIRED, REPAIRED)),
            ("last block", lambda data: len(data) // 4096 * 4096, (REPAIRED, REPAIRED)),
            ("end", lambda data: len(data) - 4096, (REPAIRED, REPAIRED)),
        )
    ),
    Corruption("zeros after the end", lambda data: data + bytes(4096), REPAIRED, REPAIRED),
    Corruption("nothing but zeros", lambda data: bytes(len(data)), REFUSED, REFUSED),
    # A crash, a full disk, a copy that was broken off.
    Corruption("no closing bracket", lambda data: data.removesuffix(b"\n]"), REPAIRED, NEVER),
    Corruption("no last newline", lambda data: data.removesuffix(b"\n"), NEVER, REPAIRED),
    Corruption("half a line at the end", lambda data: data[:-700], REPAIRED, REPAIRED),
    Corruption("cut to 0 bytes", lambda data: b"", REFUSED, REFUSED),
    Corruption("cut to 1 byte", lambda data: data[:1], REFUSED, REFUSED),
    Corruption("cut within the first line", lambda data: data[: data.index(b"\n")], REFUSED, REFUSED),
    Corruption("cut after the first line", lambda data: data[: data.index(b"\n") + 1], REPAIRED, WHOLE),
    Corruption("cut after a whole line", _lines(lambda lines: lines[:15]), REPAIRED, WHOLE),
    Corruption("yesterday's file", _lines(lambda lines: [*lines[:14], lines[14].rstrip(b",\n"), b"\n]"]), WHOLE, NEVER),
    # An editor, a person, a script.
    Corruption("a byte order mark", lambda data: codecs.BOM_UTF8 + data, REFUSED, REFUSED),
    Corruption(
        "a byte order mark within", _lines(lambda lines: [lines[0], codecs.BOM_UTF8 + lines[1], *lines[2:]]),
        REFUSED, REFUSED,
    ),
    Corruption("Windows line ends", lambda data: data.replace(b"\n", b"\r\n"), REFUSED, REFUSED),
    Corruption("one Windows line end", _tenth(lambda line: line.replace(b"\n", b"\r\n")), REPAIRED, REFUSED),
    Corruption("a newline more at the end", lambda data: data + b"\n", WHOLE, REPAIRED),
    Corruption("a Windows newline more at the end", lambda data: data + b"\r\n", WHOLE, REPAIRED),
    Corruption("text after the end", lambda data: data + b"\nsee below\n", REPAIRED, REPAIRED),
    Corruption("UTF-16 with its mark", lambda data: data.decode().encode("utf-16"), REFUSED, REFUSED),
    Corruption("UTF-16 without a mark", lambda data: data.decode().encode("utf-16-be"), REFUSED, REFUSED),
    Corruption("Latin-1", lambda data: data.decode().encode("latin-1", "replace"), REPAIRED, REPAIRED),
    Corruption("UTF-8 twice", lambda data: data.decode("latin-1").encode(), REFUSED, REFUSED),
    Corruption("the last record twice", _lines(lambda lines: _doubled(lines)), REFUSED, REFUSED),
    Corruption("two lines swapped", _lines(_swapped), REFUSED, REFUSED),
    Corruption("a line removed", _lines(lambda lines: lines[:9] + lines[10:]), REFUSED, REFUSED),
    Corruption("the first record removed", _lines(lambda lines: lines[:1] + lines[2:]), REFUSED, REFUSED),
    Corruption("a line of another place inserted", _lines(_repeated), REFUSED, REFUSED),
    Corruption("a line of a person's inserted", _tenth(lambda line: b'{"a": 1},\n' + line), REFUSED, REPAIRED),
    Corruption("an empty line inserted", _tenth(lambda line: b"\n" + line), REPAIRED, REPAIRED),
    Corruption("a line cut short", _tenth(lambda line: line[:100] + b"\n"), REPAIRED, REPAIRED),
    Corruption("a line cut short with its end", _tenth(lambda line: line[:100]), REPAIRED, REPAIRED),
    Corruption("the comma after a record removed", _tenth(lambda line: line.replace(b",\n", b"\n")), REFUSED, NEVER),
    Corruption("a space after a record", _tenth(lambda line: line.replace(b"}", b"} ")), REFUSED, NEVER),
    Corruption("a key twice in a record", _tenth(lambda line: line.replace(b'{"', b'{"v": 7, "', 1)), REFUSED, NEVER),
    Corruption("names taken out, their salts left", _tenth(lambda line: _nameless(line)), REFUSED, NEVER),
    Corruption("indented by a JSON tool", _indented, REFUSED, NEVER),
    Corruption("made compact by a JSON tool", _compact, REFUSED, NEVER),
    Corruption("its records respaced", _respaced, REFUSED, NEVER),
    # A spreadsheet's "save".
    Corruption("Excel", lambda data: _spreadsheet(data, "\r\n", bom=True, ids=_excel), NEVER, REFUSED),
    Corruption("Excel, without its mark", lambda data: _spreadsheet(data, "\r\n", ids=_excel), NEVER, REFUSED),
    Corruption("Excel, its line ends put right", lambda data: _spreadsheet(data, ids=_excel), NEVER, REFUSED),
    Corruption("Excel, with semicolons", lambda data: data.replace(b",", b";"), NEVER, REFUSED),
    Corruption("LibreOffice", lambda data: _spreadsheet(data, ids=_calc), NEVER, REFUSED),
    Corruption("LibreOffice, all text quoted", lambda data: _spreadsheet(data, quoting=csv.QUOTE_ALL), NEVER, REFUSED),
    Corruption(
        "a row quoted anew", _tenth(lambda line: _spreadsheet(line, quoting=csv.QUOTE_ALL)),
        NEVER, REFUSED,
    ),
    Corruption("quotes dropped", _dropped_quotes, NEVER, REPAIRED),
    Corruption("apostrophes of the guard dropped", lambda data: data.replace(b"'", b""), NEVER, REFUSED),
]  # fmt: skip


def _doubled(lines: list[bytes]) -> list[bytes]:
    """The last record once more, as the format has it: a bracket follows in JSON, nothing in CSV."""
    if lines[-1] == b"]":
        return [*lines[:-2], lines[-2].rstrip(b"\n") + b",\n", *lines[-2:]]
    return [*lines, lines[-1]]


def _nameless(line: bytes) -> bytes:
    record = json.loads(line.rstrip(b",\n"))
    return json.dumps({**record, "reason": None}, ensure_ascii=False).encode() + b",\n"


def _folder(path: Path) -> None:
    path.mkdir()


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "not mounted" / "log")


def _link_in_a_circle(path: Path) -> None:
    path.symlink_to(path)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


IN_ITS_PLACE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a folder": (_folder, "folder in its place; move it away"),
    "a link to nowhere": (_link_to_nowhere, "link to a file that is not there; mount"),
    "a link in a circle": (_link_in_a_circle, "link to a file that is not there"),
    "a pipe": (_pipe, "pipe or a device in its place; move it away"),
    "a device": (_device, "pipe or a device in its place; move it away"),
    "a socket": (_socket, "pipe or a device in its place; move it away"),
}
"""What may stand where a log should: how it comes there, and the remedy that is named."""
