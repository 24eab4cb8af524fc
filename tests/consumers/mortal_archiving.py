"""A program for a test: archives a log again and again, killed after each system call that changes the disk, in turn.

python mortal_archiving.py SINK FOLDER   prints, as JSON, at how many points it was killed
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

CHANGING = (
    "open",
    "pwrite",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "replace",
    "unlink",
    "mkdir",
    "link",
)
_left = -1  # calls until the kill


def _count() -> None:
    global _left
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class _Raw(io.FileIO):
    def write(self, data: Any, /) -> int:
        # Half of it first: a kill may come between two calls for what was one write to the program.
        view = memoryview(data).cast("B")
        half = super().write(view[: len(view) // 2]) if len(view) > 1 else 0
        _count()
        rest = super().write(view[half:])
        _count()
        return half + rest


def _mortal(point: int) -> None:
    """From now on the process dies after so many calls."""
    global _left
    _left = point
    for name in CHANGING:
        plain = getattr(os, name)

        def counted(*args: Any, _plain: Any = plain, **keywords: Any) -> Any:
            found = _plain(*args, **keywords)
            _count()
            return found

        setattr(os, name, counted)
    opened = io.open

    def open_counted(path: Any, mode: str = "r", *args: Any, **keywords: Any) -> Any:
        if mode != "wb":
            return opened(path, mode, *args, **keywords)
        raw = _Raw(path, "w")
        _count()
        return io.BufferedWriter(raw, buffer_size=512)

    io.open = open_counted  # type: ignore[assignment]


def _run(sink: str, folder: Path, point: int) -> bool:
    """Opens, archives and closes in a process of its own; whether it came to its end."""
    from monthly import LOG_FILES, archive_all

    child = os.fork()
    if child == 0:
        try:
            _mortal(point)
            log_file = LOG_FILES[sink](folder)
            archive_all(log_file)
            log_file.close()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return False
    assert os.WEXITSTATUS(status) == 0, f"at point {point}"
    return True


def _main(sink: str, place: Path) -> None:
    from monthly import FORMS, LOG_FILES, archive_all, check, fill, records_of

    from joins.records import JOINS

    records, form = records_of(each=4), FORMS[sink](JOINS)
    full = place / "full"
    full.mkdir()
    log_file = LOG_FILES[sink](full)
    fill(log_file, JOINS, records)
    log_file.close()
    more = records_of(each=4, months=("2026-03",), before=records)
    killed, ended = 0, False
    while not ended:
        folder = place / "now"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(full, folder)
        ended = _run(sink, folder, killed + 1)
        check(folder, form, records)
        if not ended:
            killed += 1
            # Killed once more, a few calls into the repair.
            _run(sink, folder, 1 + killed % 7)
            check(folder, form, records)
        log_file = LOG_FILES[sink](folder)
        assert log_file.head(JOINS) == (records[-1]["event_id"], records[-1]["hash"])
        fill(log_file, JOINS, more)
        archive_all(log_file)
        log_file.close()
        check(folder, form, records + more)
        assert sorted(path.name.split(".")[1] for path in (folder / "archive").iterdir()) == [
            "2025-10", "2025-11", "2025-12", "2026-01", "2026-02",
        ], "and nothing else lies there"  # fmt: skip
        with form.reader(form.path(folder)) as recent:
            assert recent.count() == len(more)
    print(json.dumps({"killed": killed}))


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests.parent), str(tests), str(tests / "consumers")]
    _main(sys.argv[1], Path(sys.argv[2]))
