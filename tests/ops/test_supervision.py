from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.programs import Program, write_configuration

ROOT = Path.cwd()
STEADY = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print({last!r}) or 0)); "
    "print('up', flush=True); signal.pause()"
)
DEAF = (
    "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); signal.pause()"
)


def program(name: str, code: str, rank: int = 2) -> Program:
    return Program(name, [sys.executable, "-c", code], rank)


class Tree:
    """Small programs under the supervision that `up` uses, and the lines they have said so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    def start(self, *programs: Program) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops.supervision", str(write_configuration(self.folder, programs))],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self, signum: signal.Signals = signal.SIGTERM) -> float:
        """Seconds from the signal to the end."""
        began = time.monotonic()
        self.process.send_signal(signum)
        self.process.wait(timeout=20)
        took = time.monotonic() - began
        self.reader.join(timeout=10)
        return took

    def count(self, line: str) -> int:
        return self.lines.count(line)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    tree = Tree(tmp_path)
    yield tree
    if tree.process.poll() is None:
        tree.end()
    assert tree.process.stdout is not None
    tree.process.stdout.close()


def await_true(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody reaps in this container is gone all the same.
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


def test_every_line_carries_its_process_name_and_nothing_else_is_said(tree: Tree) -> None:
    tree.start(program("json", STEADY.format(last="bye")), program("csv", STEADY.format(last="bye, no newline")))
    await_true(lambda: len(tree.lines) == 2)
    assert sorted(tree.lines) == ["csv      | up", "json     | up"]
    tree.end()
    assert sorted(tree.lines[2:]) == ["csv      | bye, no newline", "json     | bye"]
    assert tree.process.returncode == 0


def test_a_process_that_ends_is_started_again_after_a_growing_delay(tree: Tree) -> None:
    tree.start(program("json", "print('trying')"), program("csv", STEADY.format(last="bye")))
    await_true(lambda: tree.count("json     | trying") == 3)
    assert tree.count("csv      | up") == 1
    await_true(lambda: "up       | json ended; next try in 3 s" in tree.lines)
    assert [line for line in tree.lines if line.startswith("up")] == [
        f"up       | json ended; next try in {seconds} s" for seconds in (1, 2, 3)
    ]


def test_redis_stops_last_and_the_producer_first(tree: Tree) -> None:
    tree.start(
        program("redis", STEADY.format(last="bye"), rank=1),
        program("json", STEADY.format(last="bye"), rank=2),
        program("producer", STEADY.format(last="bye"), rank=3),
    )
    await_true(lambda: len(tree.lines) == 3)
    tree.end()
    assert tree.lines[3:] == ["producer | bye", "json     | bye", "redis    | bye"]


def test_ctrl_c_ends_it_as_sigterm_does(tree: Tree) -> None:
    tree.start(program("json", STEADY.format(last="bye")))
    await_true(lambda: len(tree.lines) == 1)
    tree.end(signal.SIGINT)
    assert tree.lines[1:] == ["json     | bye"]
    assert tree.process.returncode == 0


def test_processes_that_hang_are_killed_and_all_is_over_within_ten_seconds(tree: Tree) -> None:
    tree.start(*(program(f"deaf{rank}", DEAF, rank) for rank in (1, 2, 3)))
    await_true(lambda: len(tree.lines) == 3)
    pids = [int(line.split()[-1]) for line in tree.lines]
    assert 7 < tree.end() < 10
    assert not any(alive(pid) for pid in pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_no_process_outlives_a_supervisor_that_was_killed(tree: Tree) -> None:
    tree.start(program("redis", "import os, signal; print(os.getpid(), flush=True); signal.pause()"))
    await_true(lambda: len(tree.lines) == 1)
    pid = int(tree.lines[0].split()[-1])
    tree.end(signal.SIGKILL)
    await_true(lambda: not alive(pid))


def test_what_a_server_says_though_nothing_is_amiss_is_kept_from_the_reader(tree: Tree) -> None:
    noise = "12:M 22 Nov 2026 19:18:11.787 # WARNING Memory overcommit must be enabled! Without it, a save may fail"
    code = f"import signal; print({noise!r}); print('# MISCONF', flush=True); signal.pause()"
    tree.start(program("redis", code), program("json", code))
    await_true(lambda: len(tree.lines) == 3)
    assert sorted(tree.lines) == ["json     | # MISCONF", f"json     | {noise}", "redis    | # MISCONF"]


@pytest.mark.parametrize("path", ["a %(b)s 'c' d", "logs #1", "a ;b", "it's # ' ;", "ü %"])
def test_an_odd_path_reaches_the_process_unchanged(tree: Tree, path: str) -> None:
    tree.start(Program("json", [sys.executable, "-c", "import sys; print(sys.argv[1])", path], 2))
    await_true(lambda: f"json     | {path}" in tree.lines)
