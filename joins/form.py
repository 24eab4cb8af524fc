"""The two forms of a log file, JSON array and CSV: how a document of lines is put together, read and written.

document = begin + between.join(lines) + end
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from joins import array_file, csv_file
from joins.array_reader import ArrayReader
from joins.chain import Record
from joins.csv_format import header, to_row
from joins.csv_reader import CsvReader
from joins.json_format import to_line
from joins.log_files import STEMS, csv_path, json_path
from joins.log_reader import LogReader


@dataclass(frozen=True)
class Form:
    """How one log is kept in one form. A line is a record without what separates it from the next."""

    sink: str  # `json` or `csv`: the sink that writes it, and the ending of its files
    log: str
    begin: bytes
    between: bytes
    end: bytes
    encode: Callable[[Record], bytes]
    parse: Callable[[bytes], Record]  # raises ValueError or InvalidRecord
    own: Callable[[bytes], Record]  # as `parse`; LogDamaged too, where this program writes the record otherwise
    reader: Callable[[Path], LogReader]
    write_whole: Callable[[Path, Iterator[bytes]], None]
    path: Callable[[Path], Path]  # the log's file in a folder

    @property
    def stem(self) -> str:
        """What the names of the log's files begin with."""
        return STEMS[self.log]

    def document(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The whole document, in pieces, without space after it."""
        yield self.begin
        end = b"" if self.sink == "csv" else self.end.removeprefix(b"\n")  # of a document without lines
        for number, line in enumerate(lines):
            yield self.between + line if number else line
            end = self.end
        yield end

    def bare(self, line: bytes) -> bytes:
        """A line of a file without the separator that may stand at its end."""
        return line.removesuffix(self.between[:-1]) if len(self.between) > 1 else line


@cache
def json_form(log: str) -> Form:
    """The log as a JSON array."""
    return Form(
        "json", log, array_file.OPEN, b",\n", array_file.CLOSE, to_line, array_file.parse_line,
        array_file.own_line, ArrayReader, array_file.write_whole, partial(_path, json_path, log),
    )  # fmt: skip


@cache
def csv_form(log: str) -> Form:
    """The log as CSV."""
    return Form(
        "csv", log, header(log), b"\n", b"\n", lambda record: to_row(log, record).removesuffix(b"\n"),
        partial(csv_file.parse_line, log), partial(csv_file.own_line, log), lambda path: CsvReader(path, log),
        lambda path, lines: csv_file.write_whole(path, log, lines), partial(_path, csv_path, log),
    )  # fmt: skip


def _path(path_of: Callable[[Path, str], Path], log: str, folder: Path) -> Path:
    return path_of(folder, log)
