"""Every setting, read once from the environment (and `.env`) into something frozen, every fault reported together."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from joins.errors import SettingsError, TokenMissing

REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
CLOUD_SCHEMES = ("s3", "gs", "az", "file")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CREDIT_POLICIES = ("first_referrer", "latest_referrer")
_CLOSE = 0.85  # difflib ratio from which an unknown name counts as a misspelt one


class _FaultError(ValueError):
    """What is wrong with one setting; gathered into one SettingsError."""


def _setting(parse: Callable[[str], Any], help: str, default: Any = None, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help, "secret": secret}, repr=not secret)


def _text(value: str) -> str:
    return value


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not rest or scheme not in schemes:
            raise _FaultError(f"must begin with {' or '.join(f'{s}://' for s in schemes)}, and name a place")
        if scheme == "file" and not rest.startswith("/"):
            raise _FaultError("must name the whole path of a folder, after three slashes: file:///folder")
        try:
            _ = urlsplit(value).port if "," not in rest else None
        except ValueError as error:
            raise _FaultError("has a port that is no number from 0 to 65535") from error
        return value

    return parse


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > len(str(high)) or not low <= int(value) <= high:
            raise _FaultError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    by_name = {choice.casefold(): choice for choice in choices}

    def parse(value: str) -> str:
        if value.casefold() not in by_name:
            raise _FaultError(f"must be one of {', '.join(choices)}")
        return by_name[value.casefold()]

    return parse


def _snowflake(value: str) -> str:
    if not value.isascii() or not value.isdigit() or not 15 <= len(value) <= 20:
        raise _FaultError(
            "must be a channel's id, a number of 17 to 20 digits "
            "(in Discord: Developer Mode on, right-click the channel, Copy Channel ID)"
        )
    return value


def _flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in words:
        raise _FaultError("must be yes or no")
    return words[value.lower()]


def _token(value: str) -> str:
    token = value.removeprefix("Bot ").strip()
    if not token or not token.isascii() or any(character.isspace() for character in token):
        raise _FaultError("must be the bot's token alone: letters, digits, dots and dashes, without spaces")
    return token


@dataclass(frozen=True)
class Settings:
    """What the environment says. Secrets are kept out of `repr`."""

    discord_token: str | None = _setting(_token, "The bot's token, from the Discord developer portal.", secret=True)
    redis_url: str | None = _setting(
        _url(*REDIS_SCHEMES),
        "The Redis (7.0+) or Valkey (8+) server. Unset: `invitelog up` runs one of its own.",
        secret=True,
    )
    invite_logs_dir: Path = _setting(Path, "Folder of the logs, the database and the outbox.", Path("invite_logs"))
    cloud_backup_url: str | None = _setting(
        _url(*CLOUD_SCHEMES),
        "Where the fourth copy goes: s3://bucket/prefix, gs://…, az://…, file:///folder. "
        "Unset: a folder beside the logs, which is no backup.",
        secret=True,
    )
    discord_api_url: str | None = _setting(
        _url("http", "https"), "Another address for Discord's API: the sandbox, or a test. Unset: Discord itself."
    )
    port: int | None = _setting(_number(1, 65535), "Port on which `invitelog up` answers /healthz. Unset: none.")
    alerts_channel_id: str | None = _setting(
        _snowflake, "Id of the Discord channel to which the bot posts what is wrong, and when it is right again."
    )
    heartbeat_url: str | None = _setting(
        _url("http", "https"),
        "Address of an outside monitor, called once a minute while all is well. Unset: none.",
        secret=True,
    )
    credit_policy: str = _setting(
        _one_of(*CREDIT_POLICIES),
        "Who is credited with a member who joined more than once: first_referrer or latest_referrer.",
        "first_referrer",
    )
    member_search: bool = _setting(
        _flag,
        "Whether each join is confirmed by Discord's member search, where a server grants it. Default: yes.",
        True,
    )
    log_level: str = _setting(_one_of(*LOG_LEVELS), "How much the processes say: DEBUG, INFO, WARNING, ERROR.", "INFO")
    redis_tls_verify: bool = _setting(
        _flag,
        "Whether a rediss:// server's certificate is checked. Default: yes, but no on Heroku (DYNO is set), "
        "whose certificates are self-signed.",
        True,
    )
    backup_keep_daily: int = _setting(_number(1, 10_000), "Days of which the daily backup is kept.", 7)
    backup_keep_weekly: int = _setting(_number(0, 10_000), "Weeks of which the newest backup is kept.", 5)
    backup_keep_monthly: int = _setting(_number(0, 10_000), "Months of which the newest backup is kept.", 12)
    archive_after_months: int = _setting(
        _number(0, 1200),
        "Months after which a month leaves the log files for their archive, where it stays at hand. 0: never.",
        3,
    )
    stream_window: int = _setting(
        _number(100, 10_000_000), "Records that a stream keeps once every sink has them.", 10_000
    )
    outbox_limit: int = _setting(
        _number(100, 1_000_000_000),
        "Records in the producer's outbox at which the alarm is loudest (it begins at half); nothing is dropped.",
        500_000,
    )

    @property
    def cloud_url(self) -> str:
        """`cloud_backup_url`, or the folder that stands in for it."""
        return self.cloud_backup_url or f"file://{(self.invite_logs_dir / 'cloud').absolute()}"

    @property
    def token(self) -> str:
        """The Discord token. Raises TokenMissing."""
        if self.discord_token is None:
            raise TokenMissing(
                "DISCORD_TOKEN is not set: create a bot at https://discord.com/developers/applications, "
                "copy its token, and put DISCORD_TOKEN=… into the environment or a file named .env here."
            )
        return self.discord_token


NAMES = {field.name.upper(): field for field in fields(Settings)}


def load(environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Settings:
    """The settings from `environ` (default: the process's), completed by the file `dotenv` where it exists.

    Raises SettingsError with every fault in one message.
    """
    environ = os.environ if environ is None else environ
    local = _read_dotenv(dotenv)
    merged = {**local, **environ}
    faults = [*_misspelt(local, "in .env", certain=True), *_misspelt(environ, "in the environment", certain=False)]
    values: dict[str, Any] = {}
    for name, spec in NAMES.items():
        text = merged.get(name, "").strip()
        if not text:
            continue
        try:
            values[spec.name] = spec.metadata["parse"](text)
        except _FaultError as fault:
            shown = "" if spec.metadata["secret"] else f" (it is {text!r})"
            faults.append(f"{name} {fault}{shown}")
    if "redis_tls_verify" not in values and "DYNO" in merged:
        values["redis_tls_verify"] = False
    if faults:
        raise SettingsError("; ".join(faults) + " (see the settings table in README.md)")
    return Settings(**values)


def _read_dotenv(path: Path | None) -> dict[str, str]:
    try:
        if path is None or not path.is_file():
            return {}
        with path.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
        wrong = [one.original.line for one in bindings if one.error or (one.key is not None and one.value is None)]
        if wrong:
            raise SettingsError(f"{path}, line {wrong[0]}, is no NAME=value: correct it.")
        return {key: value or "" for key, value in dotenv_values(path).items()}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}): give this user read access, or start in another folder."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} cannot be read as UTF-8 text ({error}): write it anew, one NAME=value a line."
        ) from error


def _misspelt(found: Mapping[str, str], where: str, certain: bool) -> list[str]:
    """Names that look like a setting of ours. In `.env`, which is ours, every name must be known or foreign enough."""
    faults = []
    for name in found:
        if name in NAMES or len(name) < 5:
            continue
        close = difflib.get_close_matches(name.upper(), NAMES, n=1, cutoff=_CLOSE)
        # In the shared environment a similar name may be somebody else's, unless the setting itself is absent.
        if close and (certain or close[0] not in found):
            faults.append(f"{name} {where} is no setting: did you mean {close[0]}?")
    return faults
