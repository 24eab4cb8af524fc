from __future__ import annotations

import errno
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from joins.errors import SettingsError, TokenMissing
from joins.settings import NAMES, Settings, load

SECRET = "hunter2-hunter2"


def fault(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ, dotenv=None)
    assert caught.value.exit_code == 10
    return str(caught.value)


def test_nothing_need_be_set() -> None:
    settings = load({}, dotenv=None)
    assert settings.invite_logs_dir == Path("invite_logs")
    assert settings.redis_url is None
    assert settings.cloud_url.startswith("file:///")
    assert settings.redis_tls_verify
    assert settings.stream_window == 10_000


def test_empty_and_blank_values_count_as_not_set() -> None:
    assert load({"REDIS_URL": "", "PORT": "  "}, dotenv=None) == Settings()


def test_every_value_is_read() -> None:
    environ = {
        "DISCORD_TOKEN": "Bot abc.def",
        "REDIS_URL": "rediss://:secret@host:6380/1",
        "INVITE_LOGS_DIR": "/data/logs",
        "CLOUD_BACKUP_URL": "s3://bucket/prefix",
        "DISCORD_API_URL": "http://127.0.0.1:8080/api",
        "PORT": "8000",
        "LOG_LEVEL": "debug",
        "REDIS_TLS_VERIFY": "No",
        "STREAM_WINDOW": "500",
    }
    settings = load(environ, dotenv=None)
    assert settings.token == "abc.def"
    assert settings.port == 8000
    assert settings.log_level == "DEBUG"
    assert not settings.redis_tls_verify
    assert settings.stream_window == 500
    assert settings.cloud_url == "s3://bucket/prefix"


def test_all_faults_are_reported_together() -> None:
    message = fault({
        "REDIS_URL": "http://host", "PORT": "99999", "LOG_LEVEL": "LOUD", "CLOUD_BACKUP_URL": "ftp://x",
        "REDIS_TLS_VERIFY": "perhaps", "STREAM_WINDOW": "-5", "DISCORD_TOKEN": "two words",
    })  # fmt: skip
    for name in (
        "REDIS_URL",
        "PORT",
        "LOG_LEVEL",
        "CLOUD_BACKUP_URL",
        "REDIS_TLS_VERIFY",
        "STREAM_WINDOW",
        "DISCORD_TOKEN",
    ):
        assert name in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:port/0"),
        ("REDIS_URL", "redis://host:99999/0"),
        ("PORT", "0"),
        ("PORT", "٨٠٠٠"),
        ("PORT", "80.5"),
        ("STREAM_WINDOW", "99"),
        ("CLOUD_BACKUP_URL", "file://folder"),
        ("CLOUD_BACKUP_URL", "s3://"),
    ],
)
def test_a_malformed_value_is_refused_by_name(name: str, value: str) -> None:
    assert name in fault({name: value})


def test_a_malformed_value_is_shown_unless_it_is_secret() -> None:
    assert "'loud'" in fault({"LOG_LEVEL": "loud"})
    assert SECRET not in fault({"REDIS_URL": f"http://:{SECRET}@host", "DISCORD_TOKEN": f"{SECRET} {SECRET}"})


@pytest.mark.parametrize("name", ["REDIS_URI", "DISCORD_TOKEN_", "INVITE_LOG_DIR", "CLOUD_BACKUPURL", "LOGLEVEL"])
def test_a_misspelt_name_is_pointed_out(name: str) -> None:
    message = fault({name: "x"})
    assert name in message
    assert "did you mean" in message


def test_a_similar_name_beside_the_right_one_is_somebody_elses() -> None:
    assert load({"REDIS_URL": "redis://host", "REDIS_URLS": "x"}, dotenv=None).redis_url == "redis://host"


def test_in_the_env_file_a_misspelt_name_is_wrong_even_beside_the_right_one(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://host\nREDIS_URI=redis://other\n")
    with pytest.raises(SettingsError, match=r"REDIS_URI in \.env"):
        load({}, tmp_path / ".env")


def test_unrelated_names_are_left_alone() -> None:
    load({"PATH": "/bin", "HOME": "/root", "PGPORT": "1", "PS1": "$", "LANG": "C", "EDITOR": "vi"}, dotenv=None)


def test_the_env_file_completes_the_environment_which_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('PORT=1000\nLOG_LEVEL=ERROR # quiet\nDISCORD_TOKEN="abc"\n')
    settings = load({"PORT": "2000"}, tmp_path / ".env")
    assert (settings.port, settings.log_level, settings.token) == (2000, "ERROR", "abc")


def test_an_env_file_that_is_absent_or_a_folder_is_no_fault(tmp_path: Path) -> None:
    assert load({}, tmp_path / "absent") == load({}, tmp_path) == Settings()


@pytest.mark.parametrize(
    ("text", "line"),
    [("DISCORD_TOKEN abc\n", 1), ("# a comment\n\nPORT=1000\nREDIS_URL\n", 4), ('LOG_LEVEL=INFO\nPORT="8080\n', 2)],
)
def test_a_line_of_the_env_file_that_sets_nothing_is_named_and_not_shown(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / ".env").write_text(text)
    with pytest.raises(SettingsError, match=rf"\.env, line {line}, is no NAME=value") as raised:
        load({}, tmp_path / ".env")
    assert "abc" not in str(raised.value)


def test_an_env_file_that_cannot_be_looked_at_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(SettingsError, match=r"\.env cannot be read \(Permission denied\): give this user read access"):
        load({})


def test_secrets_are_not_in_the_representation() -> None:
    settings = load(
        {"DISCORD_TOKEN": SECRET, "REDIS_URL": f"redis://:{SECRET}@h", "CLOUD_BACKUP_URL": f"s3://k:{SECRET}@b"},
        dotenv=None,
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(FrozenInstanceError):
        load({}, dotenv=None).port = 1  # type: ignore[misc]


def test_a_missing_token_says_where_to_get_one() -> None:
    with pytest.raises(TokenMissing, match="developers/applications") as caught:
        _ = load({}, dotenv=None).token
    assert caught.value.exit_code == 11


def test_on_heroku_the_servers_self_signed_certificate_is_taken_unless_told_otherwise() -> None:
    assert not load({"DYNO": "web.1"}, dotenv=None).redis_tls_verify
    assert load({"DYNO": "web.1", "REDIS_TLS_VERIFY": "yes"}, dotenv=None).redis_tls_verify


def test_every_setting_has_a_line_of_help() -> None:
    assert all(field.metadata["help"].endswith(".") for field in NAMES.values())


def test_the_credit_policy_is_taken_in_either_case_and_has_a_default() -> None:
    assert load({}, None).credit_policy == "first_referrer"
    assert load({"CREDIT_POLICY": "Latest_Referrer"}, None).credit_policy == "latest_referrer"
    with pytest.raises(SettingsError, match="CREDIT_POLICY must be one of first_referrer, latest_referrer"):
        load({"CREDIT_POLICY": "last"}, None)


def test_the_alerts_channel_is_an_id() -> None:
    assert load({}, None).alerts_channel_id is None
    assert load({"ALERTS_CHANNEL_ID": "123456789012345678"}, None).alerts_channel_id == "123456789012345678"
    for wrong in ("#alerts", "12", "<#123456789012345678>"):
        with pytest.raises(SettingsError, match="ALERTS_CHANNEL_ID must be a channel's id"):
            load({"ALERTS_CHANNEL_ID": wrong}, None)
