from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from joins.redis_url import Client
from joins.settings import Settings
from ops import discord_rest
from ops.check_discord import check_discord
from ops.check_server import check_redis
from ops.check_storage import check_cloud, check_disk
from ops.finding import FAIL, OK, WARN, Finding

TOKEN = "good-token"
EVERY_PERMISSION = str(0x20 | 0x10 | 0x80)


class Discord:
    """Answers the REST questions of `doctor` over HTTP, as Discord would."""

    def __init__(self) -> None:
        self.flags = 1 << 15
        self.ahead: float | None = 0  # seconds of its clock; None: its answers bear no date
        self.search: tuple[int, Any] = 200, {"members": []}
        self.guilds = [{"id": "1", "name": "PipVault", "permissions": EVERY_PERMISSION}]
        discord = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.headers["Authorization"] != f"Bot {TOKEN}":
                    self.answer(401, {"message": "401: Unauthorized"})
                else:
                    self.answer(*discord.answer(self.path))

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(*discord.search)

            def answer(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(time.time() + (discord.ahead or 0), usegmt=True)

            def send_header(self, keyword: str, value: str) -> None:
                if keyword != "Date" or discord.ahead is not None:
                    super().send_header(keyword, value)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, Any]:
        parts = urlsplit(path)
        if parts.path == "/users/@me":
            return 200, {"id": "7", "username": "InviteBot"}
        if parts.path == "/applications/@me":
            return 200, {"id": "7", "flags": self.flags}
        if parts.path == "/users/@me/guilds":
            query = parse_qs(parts.query)
            later = [guild for guild in self.guilds if int(guild["id"]) > int(query["after"][0])]
            return 200, later[: int(query["limit"][0])]
        if parts.path == "/channels/123456789012345678":
            return 200, {"id": "123456789012345678", "name": "alerts"}
        if parts.path.startswith("/channels/"):
            return 404, {"message": "Unknown Channel", "code": 10003}
        return 500, {}


@pytest.fixture
def discord() -> Iterator[Discord]:
    discord = Discord()
    thread = threading.Thread(target=discord.server.serve_forever, args=(0.02,))
    thread.start()
    yield discord
    discord.server.shutdown()
    thread.join()
    discord.server.server_close()


@pytest.fixture
def configured(
    discord: Discord, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settings]:
    monkeypatch.delenv("DYNO", raising=False)
    usual = {
        "discord_token": TOKEN,
        "discord_api_url": discord.url,
        "redis_url": server_url,
        "invite_logs_dir": tmp_path / "logs",
    }
    return lambda **others: Settings(**{**usual, **others})


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    found = list(findings)
    assert all(finding.remedy for finding in found if finding.state != OK)
    return [(finding.state, finding.what) for finding in found]


def test_a_bot_with_all_it_needs_is_well(configured: Callable[..., Settings]) -> None:
    found = list(check_discord(configured()))
    assert [finding.state for finding in found] == [OK, OK, OK, OK, OK]
    assert "InviteBot" in found[0].detail


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (30, OK, "within 60 s"),
        (-30, OK, "within 60 s"),
        (3600, FAIL, "s behind Discord's: times in the logs would be wrong"),
        (-3600, FAIL, "s ahead of Discord's: times in the logs would be wrong"),
        (None, WARN, "bears no date"),
    ],
)
def test_a_clock_that_is_off_is_a_fault_with_its_remedy(
    configured: Callable[..., Settings], discord: Discord, ahead: float | None, state: str, said: str
) -> None:
    discord.ahead = ahead
    (finding,) = (one for one in check_discord(configured()) if one.what == "clock")
    assert finding.state == state
    assert said in finding.detail
    assert ("NTP" in (finding.remedy or "")) == (state != OK)


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        ((200, {"members": []}), OK, "granted"),
        ((202, {"code": 110000, "retry_after": 0}), WARN, "indexing"),
        ((401, {}), WARN, "401"),
        ((403, {"code": 50013}), WARN, "403"),
        ((404, {}), WARN, "404"),
        ((200, {"people": []}), WARN, "without a list of members"),
        ((429, {}), WARN, "429"),
    ],
)
def test_member_search_is_asked_for_in_each_server(
    configured: Callable[..., Settings], discord: Discord, answer: tuple[int, Any], state: str, said: str
) -> None:
    discord.search = answer
    (finding,) = (one for one in check_discord(configured()) if one.what == "member search in PipVault")
    assert finding.state == state
    assert said in finding.detail
    assert (finding.remedy is None) == (state == OK)


def test_member_search_that_is_off_is_not_asked_for(configured: Callable[..., Settings], discord: Discord) -> None:
    discord.search = 500, {}
    (finding,) = (one for one in check_discord(configured(member_search=False)) if "search" in one.what)
    assert (finding.state, finding.detail) == (OK, "off: MEMBER_SEARCH is no")


def test_a_refused_token_ends_the_questions_to_discord(configured: Callable[..., Settings]) -> None:
    assert states(check_discord(configured(discord_token="other"))) == [(FAIL, "token")]
    assert states(check_discord(configured(discord_token=None))) == [(FAIL, "token")]


def test_discord_out_of_reach_is_named(configured: Callable[..., Settings]) -> None:
    assert states(check_discord(configured(discord_api_url="http://127.0.0.1:1"))) == [(FAIL, "Discord")]


@pytest.mark.parametrize(("flags", "state"), [(0, FAIL), (1 << 14, OK), (1 << 15, OK), (1 << 13, FAIL)])
def test_the_members_intent_counts_in_either_form(
    configured: Callable[..., Settings], discord: Discord, flags: int, state: str
) -> None:
    discord.flags = flags
    assert (state, "intents") in states(check_discord(configured()))


def test_each_missing_permission_is_named_as_discord_names_it(
    configured: Callable[..., Settings], discord: Discord
) -> None:
    discord.guilds = [
        {"id": "1", "name": "None", "permissions": "0"},
        {"id": "2", "name": "Admin", "permissions": "8"},
    ]
    found = [finding for finding in check_discord(configured()) if finding.what.startswith("permissions")]
    assert [(finding.state, finding.what) for finding in found] == [
        (FAIL, "permissions in None"),
        (WARN, "permissions in None"),
        (WARN, "permissions in None"),
        (OK, "permissions in Admin"),
    ]
    assert "Manage Server is missing: the bot cannot see how often invites were used" in found[0].detail
    assert "Manage Channels is missing" in found[1].detail
    assert "View Audit Log is missing" in found[2].detail


def test_a_bot_in_no_server_is_told_so(configured: Callable[..., Settings], discord: Discord) -> None:
    discord.guilds = []
    assert (WARN, "servers") in states(check_discord(configured()))


def test_an_alerts_channel_that_the_bot_cannot_see_is_a_warning(configured: Callable[..., Settings]) -> None:
    *_, seen = check_discord(configured(alerts_channel_id="123456789012345678"))
    assert (seen.state, seen.what, seen.detail) == (OK, "alerts channel", "#alerts can be seen")
    *_, unseen = check_discord(configured(alerts_channel_id="999999999999999999"))
    assert (unseen.state, unseen.what) == (WARN, "alerts channel")
    assert "404" in unseen.detail
    assert "View Channel" in (unseen.remedy or "")


def test_every_page_of_servers_is_read(configured: Callable[..., Settings], discord: Discord) -> None:
    discord.guilds = [{"id": str(n), "name": f"g{n}", "permissions": "8"} for n in range(1, 402)]
    assert len(discord_rest.guilds(configured())) == 401


def test_a_server_with_our_settings_is_well(configured: Callable[..., Settings], redis_client: Client) -> None:
    assert {state for state, _ in states(check_redis(configured()))} == {OK}


def test_a_server_that_may_evict_fails_and_weaker_persistence_warns(
    configured: Callable[..., Settings], redis_client: Client
) -> None:
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    redis_client.config_set("appendfsync", "everysec")
    try:
        found = states(check_redis(configured()))
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
        redis_client.config_set("appendfsync", "always")
    assert (FAIL, "Redis maxmemory-policy") in found
    assert (WARN, "Redis appendfsync") in found


def test_full_memory_and_too_few_connections_are_named(
    configured: Callable[..., Settings], redis_client: Client
) -> None:
    before: dict[Any, Any] = redis_client.config_get("maxmemory", "maxclients")
    redis_client.client_kill_filter(_type="normal", skipme=True)  # what earlier tests left open takes no place
    redis_client.config_set("maxmemory", 1)
    redis_client.config_set("maxclients", 10)
    try:
        found = states(check_redis(configured()))
    finally:
        for name, value in before.items():
            redis_client.config_set(name, value)
    assert (WARN, "Redis memory") in found
    assert (FAIL, "Redis connections") in found


def test_a_managed_server_that_hides_its_settings_is_a_warning(
    configured: Callable[..., Settings], redis_client: Client, server_url: str
) -> None:
    redis_client.acl_setuser("managed", enabled=True, passwords=["+s3cret"], categories=["+@all"], commands=["-config"])
    try:
        found = list(check_redis(configured(redis_url=server_url.replace("unix://", "unix://managed:s3cret@"))))
    finally:
        redis_client.acl_deluser("managed")
    assert (WARN, "Redis settings") in [(finding.state, finding.what) for finding in found]
    assert "s3cret" not in str(found)


def test_a_server_out_of_reach_fails_without_its_password(configured: Callable[..., Settings]) -> None:
    found = list(check_redis(configured(redis_url="redis://:s3cret@127.0.0.1:1/0")))
    assert [finding.state for finding in found] == [FAIL]
    assert "s3cret" not in str(found)


def test_without_redis_url_the_embedded_server_is_looked_for(configured: Callable[..., Settings]) -> None:
    (found,) = check_redis(configured(redis_url=None))
    assert found.state == OK
    assert "invitelog up" in found.detail


def test_a_folder_in_order_is_well_and_a_dynos_disk_is_not(
    configured: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert states(check_disk(configured())) == [(OK, "log folder")]
    monkeypatch.setenv("DYNO", "web.1")
    assert states(check_disk(configured()))[-1] == (FAIL, "disk")
    assert states(check_disk(configured(cloud_backup_url="s3://bucket")))[-1] == (WARN, "disk")


def test_a_folder_that_cannot_be_written_fails(configured: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert states(check_disk(configured(invite_logs_dir=tmp_path / "file" / "logs"))) == [(FAIL, "log folder")]


def test_a_folder_is_no_backup(configured: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert states(check_cloud(configured())) == [(WARN, "cloud")]
    assert states(check_cloud(configured(cloud_backup_url=f"file://{tmp_path}"))) == [(WARN, "cloud")]


def test_a_cloud_that_cannot_be_listed_fails(
    configured: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "s3cret", "ENDPOINT": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    (found,) = check_cloud(configured(cloud_backup_url="s3://bucket/logs"))
    assert (found.state, found.what) == (FAIL, "cloud")
    assert "s3cret" not in str(found)
    assert states(check_cloud(configured(cloud_backup_url=f"file://{tmp_path}/gone"))) == [(FAIL, "cloud")]


def run(cwd: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {"DISCORD_TOKEN", "REDIS_URL", "INVITE_LOGS_DIR", "PORT", "CLOUD_BACKUP_URL", "DISCORD_API_URL", "DYNO"}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, "-m", "ops", "doctor", *options],
        env={**clean, "PYTHONPATH": str(Path.cwd()), **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_says_each_check_in_a_line_and_the_remedy_below(
    tmp_path: Path, discord: Discord, server_url: str
) -> None:
    usual = {"DISCORD_TOKEN": TOKEN, "DISCORD_API_URL": discord.url, "REDIS_URL": server_url}
    well = run(tmp_path, **usual)
    assert (well.returncode, well.stderr) == (0, "")
    assert "ok    token — accepted, the bot is InviteBot\n" in well.stdout
    assert "warn  cloud — CLOUD_BACKUP_URL is unset" in well.stdout
    assert "\n      Set CLOUD_BACKUP_URL to s3://" in well.stdout
    ill = run(tmp_path, **{**usual, "DISCORD_TOKEN": "bad-token"})
    assert ill.returncode == 1
    assert "fail  token — " in ill.stdout
    assert "bad-token" not in ill.stdout + ill.stderr


def test_json_holds_the_same_findings(tmp_path: Path, discord: Discord, server_url: str) -> None:
    done = run(tmp_path, "--json", DISCORD_TOKEN=TOKEN, DISCORD_API_URL=discord.url, REDIS_URL=server_url)
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    assert {"state": OK, "what": "Python", "detail": sys.version.split()[0], "remedy": None} in answer["checks"]


def test_settings_that_are_wrong_end_the_examination(tmp_path: Path) -> None:
    done = run(tmp_path, REDIS_URL="http://:s3cret@host")
    assert done.returncode == 1
    assert "fail  settings — REDIS_URL must begin with" in done.stdout
    assert "s3cret" not in done.stdout
