"""A log of the specification's format that another bot wrote: what kind of file it is, and its records one by one."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from joins.errors import InviteLogError
from ops import old_csv, old_json
from ops.foreign_log import HEAD_BYTES
from ops.old_line import Line, Unreadable

_OURS = re.compile(rb'"hash"\s*:')  # a key: within a name the quotes are escaped
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class OldLog:
    """One file, which must stay as it is while it is read."""

    def __init__(self, path: Path) -> None:
        """Raises InviteLogError when it is no log that can be adopted: not there, unreadable, empty, or our own."""
        self.path, self.name = path, path.name
        self._stamp = self._seen()
        self.size = self._stamp[2]
        head = self._bytes(0)
        if not head.removeprefix(b"\xef\xbb\xbf").strip():
            raise InviteLogError(f"{path} is empty: there is nothing to adopt.")
        if head.startswith(_UTF16):
            raise InviteLogError(f"{path} is UTF-16: save it as UTF-8, then adopt that.")
        self.is_json = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
        if self._is_ours(head):
            raise InviteLogError(
                f"{path} was written by this program (its records carry a hash), so there is nothing to adopt: "
                "it is left as it is."
            )
        self.unknown_columns = [] if self.is_json else self._unknown_columns(head)

    def entries(self) -> Iterator[tuple[Line | Unreadable, int]]:
        """Each record, or what cannot be read in its place, with the bytes read so far. Raises InviteLogError.

        Of the file only a few hundred kilobytes are in memory at a time.
        """
        try:
            with self.path.open("rb") as file:
                for entry in old_json.read(file) if self.is_json else old_csv.read(file):
                    yield entry, min(file.tell(), self.size)
        except OSError as error:
            raise self._refused(error) from error

    def demand_unchanged(self) -> None:
        """Raises InviteLogError when the file is not as it was when it was opened."""
        if self._seen() != self._stamp:
            raise InviteLogError(
                f"{self.path} has changed while it was read: stop the bot that writes it, then run this again; "
                "nothing is recorded twice."
            )

    def _unknown_columns(self, head: bytes) -> list[str]:
        try:
            return old_csv.unknown_columns(head)
        except ValueError as error:
            raise InviteLogError(f"{self.path} is no invite log: {error}.") from error

    def _is_ours(self, head: bytes) -> bool:
        if self.is_json:
            # Ours may begin with records that somebody put before it by hand.
            return any(_OURS.search(part) for part in (head, self._bytes(max(0, self.size - HEAD_BYTES))))
        first = head.decode("utf-8-sig", errors="replace").splitlines()[0]
        return "Hash" in next(csv.reader([first]), [])

    def _bytes(self, offset: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read(HEAD_BYTES)
        except OSError as error:
            raise self._refused(error) from error

    def _seen(self) -> tuple[Any, ...]:
        try:
            status = self.path.stat()
        except OSError as error:
            raise self._refused(error) from error
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _refused(self, error: OSError) -> InviteLogError:
        return InviteLogError(f"{self.path} cannot be read ({error.strerror}): name a JSON or CSV log.")
