"""Reads an old log of JSON, one object at a time, over a window that slides through the file.

An array of objects, or objects one after the other; with or without a byte order mark, closing bracket or commas.
What is no object is told with its line, and reading goes on where the next object begins.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from ops.old_line import Line, Unreadable

CHUNK = 256 * 1024  # bytes
LONGEST = 1 << 20  # characters within which an object must end; a record has at most 64 kB
_BETWEEN = re.compile(r"[\s,\[\]]*")
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # what the decoder makes of bytes that are none


def read(file: BinaryIO) -> Iterator[Line | Unreadable]:
    """Every object, or what stands in its place, in the file's order. Raises OSError."""
    window = _Window(file)
    while (found := window.following()) is not None:
        yield found


class _Window:
    """The part of the file that is being read: `_text` from `_at` on is not consumed yet."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")
        self._text, self._at, self._ended = "", 0, False
        self._line, self._counted = 1, 0  # the line at `_counted`

    def following(self) -> Line | Unreadable | None:
        """The next object, or what stands in its place; None at the end of the file."""
        while True:
            between = _BETWEEN.match(self._text, self._at)
            self._at = between.end() if between else self._at
            if self._at < len(self._text):
                break
            if self._ended:
                return None
            self._more()
        number = self._number()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                break
            except (ValueError, RecursionError) as error:
                if self._ended or len(self._text) - self._at > LONGEST:
                    return Unreadable(number, self._skip(error))
            self._more()
        raw, self._at = self._text[self._at : end], end
        if not isinstance(value, dict):
            return Unreadable(number, f"{raw[:80]!r} is no record")
        if _NO_UTF8.search(raw):
            return Unreadable(number, "the record holds bytes that are not UTF-8")
        return Line(number, value)

    def _skip(self, error: Exception) -> str:
        """Goes to where the next object begins, or to the end; says what was wrong before it."""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        while True:
            start = self._beginning()
            if start is not None:
                self._at = start
                return f"the record is no JSON ({reason})"
            if self._ended:
                self._at = len(self._text)
                return f"the record is cut off, or no JSON ({reason})"
            self._at = max(self._at, len(self._text) - 1)  # the last character may come right before an object
            self._more()

    def _beginning(self) -> int | None:
        """Where an object begins after `_at`: a brace, first on its line or after a comma, a bracket or a brace."""
        brace = self._text.find("{", self._at + 1)
        while brace >= 0:
            before = brace - 1
            while before > self._at and self._text[before].isspace():
                before -= 1
            if self._text[before] in ",[]}" or "\n" in self._text[before:brace]:
                return brace
            brace = self._text.find("{", brace + 1)
        return None

    def _more(self) -> None:
        self._number()
        data = self._file.read(CHUNK)
        self._ended = not data
        self._text = self._text[self._at :] + self._decoder.decode(data, final=not data)
        self._at = self._counted = 0

    def _number(self) -> int:
        """The line at `_at`."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands in it twice")
    return made


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)
