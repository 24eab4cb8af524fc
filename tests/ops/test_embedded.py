from __future__ import annotations

import shutil
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from joins.errors import FolderUnusable, ServerMissing
from joins.redis_url import Client, check_server, connect
from joins.settings import Settings
from ops import embedded


def program(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_server_is_new_enough_and_writes_every_change_to_disk_before_it_answers(redis_client: Client) -> None:
    assert check_server(redis_client, "embedded")
    config = redis_client.config_get()
    assert config["appendonly"] == "yes"
    assert config["appendfsync"] == "always"
    assert config["maxmemory-policy"] == "noeviction"
    assert config["save"] == ""
    assert config["port"] == "0"


def test_only_its_owner_can_enter_the_server_folder_and_its_socket(server_url: str) -> None:
    path = Path(server_url.removeprefix("unix://"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_log_folder_with_a_long_path_gets_a_short_socket_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    path = embedded.socket_path(deep)
    assert len(bytes(path)) <= embedded.SOCKET_PATH_BYTES
    assert path == embedded.socket_path(deep)
    assert path != embedded.socket_path(deep / "c")


def test_a_program_on_the_path_comes_before_the_bundled_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = program(tmp_path / "bin", "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert embedded.find() == wanted


def test_a_program_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "redis-server", "Redis server v=6.2.14 sha=00000000:0")
    newer = program(tmp_path / "bin", "valkey-server", "Valkey server v=8.0.1 sha=00000000:0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert embedded.find() == newer


def test_no_program_at_all_is_one_sentence_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "redis-server", "Redis server v=6.2.14 sha=00000000:0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + ":/usr/bin:/bin")
    monkeypatch.setattr(embedded, "PROGRAMS", ("redis-server",))
    monkeypatch.setattr(embedded, "_bundled", list)
    with pytest.raises(ServerMissing, match=r"6\.2, too old.*apt install redis-server.*REDIS_URL"):
        embedded.find()


def test_a_socket_folder_that_somebody_else_placed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "redis").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderUnusable, match="belongs to somebody else"):
        embedded.command(tmp_path)


def serve(program: Path, logs_dir: Path, fill: bool) -> dict[str, Any]:
    """Runs `program` on the folder for a moment; returns what it then knows of the stream and its group."""
    command = embedded.command(logs_dir)
    process = subprocess.Popen([str(program), *command[1:]])
    try:
        deadline = time.monotonic() + 10
        while not embedded.answers(logs_dir):
            assert process.poll() is None, f"{program} ended with {process.returncode}"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        client = connect(Settings(redis_url=embedded.url(logs_dir)))
        if fill:
            for number in range(1, 21):
                client.xadd("stream", {"number": number}, id=f"{number}-0")
            client.xgroup_create("stream", "group", "0")
            client.xreadgroup("group", "consumer", {"stream": ">"}, count=10)
            client.xack("stream", "group", "1-0")
            client.bgrewriteaof()
            while client.info("persistence")["aof_rewrite_in_progress"]:
                time.sleep(0.01)
        (group,) = client.xinfo_groups("stream")
        found = {"length": client.xlen("stream"), **{key: group[key] for key in ("pending", "lag", "entries-read")}}
        client.close()
        return found
    finally:
        process.terminate()
        process.wait(timeout=10)


def test_what_one_program_wrote_another_reads(tmp_path: Path) -> None:
    (bundled,) = embedded._bundled()
    installed = shutil.which("redis-server")
    if installed is None:
        pytest.skip("needs a redis-server beside the bundled one: apt install redis-server")
    written = serve(bundled, tmp_path, fill=True)
    assert written == {"length": 20, "pending": 9, "lag": 10, "entries-read": 10}
    assert serve(Path(installed), tmp_path, fill=False) == written
    assert serve(bundled, tmp_path, fill=False) == written
