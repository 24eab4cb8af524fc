from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from joins.csv_format import header
from joins.records import JOINS
from joins.settings import Settings
from ops import embedded, preflight

GOOD = "good-token"
ROOT = Path.cwd()


@pytest.fixture(scope="module")
def discord() -> Iterator[str]:
    """Answers /users/@me as Discord would, to GOOD alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = self.headers["Authorization"] == f"Bot {GOOD}" and "DiscordBot (" in self.headers["User-Agent"]
            body = json.dumps({"username": "InviteBot"} if good else {"message": "401: Unauthorized"}).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def environment(discord: str, **settings: str) -> dict[str, str]:
    ours = {"DISCORD_TOKEN", "REDIS_URL", "INVITE_LOGS_DIR", "PORT", "CLOUD_BACKUP_URL"}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return {**clean, "PYTHONPATH": str(ROOT), "DISCORD_API_URL": discord, **settings}


def up(tmp_path: Path, discord: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "up"],
        env=environment(discord, **settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )


def assert_sentence(done: subprocess.CompletedProcess[str], status: int, *parts: str) -> None:
    assert done.returncode == status, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("invitelog: ")
    for part in parts:
        assert part in done.stderr
    assert done.stdout == ""


def test_a_missing_token_is_one_sentence(tmp_path: Path, discord: str) -> None:
    assert_sentence(up(tmp_path, discord), 11, "DISCORD_TOKEN is not set", ".env")


def test_a_misspelt_setting_is_one_sentence(tmp_path: Path, discord: str) -> None:
    assert_sentence(up(tmp_path, discord, DISCORD_TOKN=GOOD), 10, "DISCORD_TOKN", "did you mean DISCORD_TOKEN")


def test_a_refused_token_is_one_sentence_without_the_token(tmp_path: Path, discord: str) -> None:
    done = up(tmp_path, discord, DISCORD_TOKEN="wrong-token")
    assert_sentence(done, 12, "does not accept DISCORD_TOKEN")
    assert "wrong-token" not in done.stderr


def test_an_unreachable_redis_is_one_sentence_without_the_password(tmp_path: Path, discord: str) -> None:
    done = up(tmp_path, discord, DISCORD_TOKEN=GOOD, REDIS_URL="redis://:s3cret@127.0.0.1:1/0")
    assert_sentence(done, 14, "does not answer", "127.0.0.1:1")
    assert "s3cret" not in done.stderr


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, discord: str) -> None:
    (tmp_path / "file").write_text("")
    done = up(tmp_path, discord, DISCORD_TOKEN=GOOD, INVITE_LOGS_DIR=str(tmp_path / "file" / "logs"))
    assert_sentence(done, 16, "cannot be written", "Not a directory", "INVITE_LOGS_DIR")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("invite_joins.json", '[{"timestamp": "2025-10-31T14:30:45.123456", "user_id": "1"}]'),
        ("invite_joins.json", '{"joins": []}'),
        ("invite_joins.csv", "Timestamp,User ID,Username\n2025-10-31T14:30:45.123456,1,a\n"),
        ("invite_joins.csv", "\ufeffTimestamp,User ID,Username\n"),
    ],
)
def test_a_log_of_another_program_is_left_alone(tmp_path: Path, discord: str, name: str, content: str) -> None:
    (tmp_path / "invite_logs").mkdir()
    (tmp_path / "invite_logs" / name).write_text(content)
    assert_sentence(up(tmp_path, discord, DISCORD_TOKEN=GOOD), 17, name, "move the file")
    assert (tmp_path / "invite_logs" / name).read_text() == content


@pytest.mark.parametrize("content", ["", "[\n]", "[]", '[\n{"user_id": "1", "hash": "ab"}\n]', '[\n{"user_id": "1'])
def test_a_log_of_ours_even_empty_or_torn_is_not_foreign(tmp_path: Path, content: str) -> None:
    (tmp_path / "invite_joins.json").write_text(content)
    (tmp_path / "invite_joins.csv").write_bytes(header(JOINS))
    preflight.check_logs(tmp_path)


def test_discord_out_of_reach_is_only_a_warning(tmp_path: Path, server_url: str) -> None:
    settings = Settings(
        discord_token=GOOD, discord_api_url="http://127.0.0.1:1", invite_logs_dir=tmp_path, redis_url=server_url
    )
    (warning,) = preflight.check(settings)
    assert "does not answer" in warning
    assert "keeps trying" in warning


def test_up_says_where_things_are_refuses_a_second_one_and_ends_within_ten_seconds(
    tmp_path: Path, discord: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "up"],
        env=environment(discord, DISCORD_TOKEN=GOOD),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        logs_dir = tmp_path / "invite_logs"
        assert str(logs_dir) in first
        assert f"rq info -u {embedded.url(logs_dir)}" in first
        assert "no backup" in first
        deadline = time.monotonic() + 10
        while not embedded.answers(logs_dir):
            assert time.monotonic() < deadline, "the embedded server did not start"
            time.sleep(0.05)
        assert_sentence(up(tmp_path, discord, DISCORD_TOKEN=GOOD), 16, "already runs", str(process.pid))
    finally:
        process.terminate()
        began = time.monotonic()
        said, _ = process.communicate(timeout=20)
    assert time.monotonic() - began < 10
    assert process.returncode == 0
    assert not embedded.answers(logs_dir)
    assert "running as root" not in said
    assert "overcommit" not in said
