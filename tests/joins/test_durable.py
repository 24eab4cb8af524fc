from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from joins import durable
from joins.durable import FolderLock, folder_id
from joins.errors import FolderUnusable, SinkUnavailable

HOLDER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from joins.durable import FolderLock
assert FolderLock(Path(sys.argv[1]), "json").acquire()
print("held", flush=True)
time.sleep(60)
"""
ROOT = str(Path(__file__).parents[2])


def test_replacing_a_file_puts_the_new_content_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    durable.replace(tmp_path / "file", b"old")
    durable.replace(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_replacing_is_atomic_for_whoever_reads_meanwhile(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", (b"a" * 300_000, b"b" * 100_000)
    durable.replace(path, contents[0])
    writer = (
        f"import sys; sys.path.insert(0, {ROOT!r})\n"
        "from pathlib import Path\nfrom joins.durable import replace\n"
        f"for n in range(200): replace(Path({str(path)!r}), (b'b' * 100_000, b'a' * 300_000)[n % 2])"
    )
    with subprocess.Popen([sys.executable, "-c", writer]) as process:
        while process.poll() is None:
            assert path.read_bytes() in contents
    assert process.returncode == 0


def test_a_replacement_that_fails_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        durable.replace(tmp_path / "file", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_error_becomes_a_sentence_with_its_remedy(number: int) -> None:
    with (
        pytest.raises(SinkUnavailable, match=r"/the/file cannot be used: .*; \w+"),
        durable.disk_errors(Path("/the/file")),
    ):
        raise OSError(number, os.strerror(number))


def test_an_unforeseen_disk_error_keeps_the_systems_own_words() -> None:
    with pytest.raises(SinkUnavailable, match="Text file busy"), durable.disk_errors(Path("x")):
        raise OSError(errno.ETXTBSY, os.strerror(errno.ETXTBSY))


def test_a_lock_excludes_a_second_holder_until_it_is_released(tmp_path: Path) -> None:
    one, two = FolderLock(tmp_path, "json"), FolderLock(tmp_path, "json")
    assert one.acquire()
    assert not two.acquire()
    assert FolderLock(tmp_path, "csv").acquire(), "another name is another lock"
    one.release()
    assert two.acquire()
    two.release()
    two.release()


def test_a_lock_dies_with_its_holder_however_it_dies(tmp_path: Path) -> None:
    program = [sys.executable, "-c", HOLDER.format(root=ROOT), str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = FolderLock(tmp_path, "json")
        assert not lock.acquire()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert lock.acquire()
        lock.release()


def test_the_id_of_a_folder_is_stable_and_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert folder_id(tmp_path / "a") == folder_id(tmp_path / "a")
    assert folder_id(tmp_path / "a") != folder_id(tmp_path / "b")


def test_all_who_start_at_once_in_a_new_folder_agree_on_its_id(tmp_path: Path) -> None:
    """Who differed would wait for the lease of a process that was killed, with that process's lock in hand."""
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            folder, start = tmp_path / str(number), Barrier(8)
            folder.mkdir()

            def ask(folder: Path = folder, start: Barrier = start) -> str:
                start.wait()
                return folder_id(folder)

            assert len({asked.result() for asked in [pool.submit(ask) for _ in range(8)]}) == 1


def test_a_torn_folder_id_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".folder-id").write_bytes(b"")
    found = folder_id(tmp_path)
    assert len(found) == 32
    assert folder_id(tmp_path) == found


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    assert durable.make_folder(tmp_path / "a" / "b").is_dir()
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_folder_that_cannot_be_is_a_sentence_with_its_own_exit_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FolderUnusable, match="INVITE_LOGS_DIR") as caught:
        durable.make_folder(tmp_path / "file" / "logs")
    assert caught.value.exit_code == 16


def test_the_identity_of_a_file_tells_another_file_and_another_length(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert durable.identity(path) is None
    path.write_bytes(b"12")
    first = durable.identity(path)
    path.write_bytes(b"123")
    second = durable.identity(path)
    durable.replace(path, b"123")
    assert len({first, second, durable.identity(path)}) == 3


def test_what_is_cut_is_kept_beside_the_file(tmp_path: Path) -> None:
    aside = durable.set_aside(tmp_path / "log", b"half", "torn")
    assert aside.parent == tmp_path
    assert aside.name.startswith("log.torn-")
    assert aside.read_bytes() == b"half"


def test_a_foreign_reader_that_has_the_file_open_is_waited_for_a_moment_then_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"[]")
    descriptor = os.open(path, os.O_RDWR)
    with path.open("rb"), durable.readers_away(descriptor, 0.005):
        pass
    os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_who_opens_the_file_meanwhile_waits_and_notices_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(json.dumps(["before"]).encode())
    descriptor = os.open(path, os.O_RDWR)
    with durable.readers_away(descriptor, 1.0):
        reader = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        deadline = time.monotonic() + 10
        while "lease_break" not in (stack := _waits_in(reader.pid)) and "break_lease" not in stack:
            if reader.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        assert reader.poll() is None, "it waits in open"
        os.pwrite(descriptor, b'["after" ]', 0)
    shown, _ = reader.communicate(timeout=10)
    os.close(descriptor)
    assert json.loads(shown) == ["after"]


def _waits_in(pid: int) -> str:
    return Path(f"/proc/{pid}/wchan").read_text() + Path(f"/proc/{pid}/stack").read_text()
