"""The few questions that commands ask Discord's REST API, with the standard library alone."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

from joins.errors import DiscordUnreachable, TokenRefused
from joins.settings import Settings

API_URL = "https://discord.com/api/v10"
# Discord's front turns away clients that do not name themselves so.
USER_AGENT = "DiscordBot (persistent-invite-log, 0.1.0)"
TIMEOUT = 5.0  # seconds for one answer
TRIES, PATIENT_TIMEOUT = 8, 30.0  # of a question that may wait, and the seconds for each of its answers
LONGEST_WAIT = 60.0  # seconds between two of its tries, unless Discord names a longer one
PAGE = 200  # guilds in one answer, Discord's maximum


def ask(settings: Settings, path: str) -> Any:
    """The JSON that Discord answers to GET `path`. Raises TokenMissing, TokenRefused or DiscordUnreachable."""
    return ask_dated(settings, path)[0]


def ask_dated(settings: Settings, path: str) -> tuple[Any, datetime | None]:
    """What `ask` gives, and when that was by Discord's clock, to the second; None where the answer does not say."""
    base = (settings.discord_api_url or API_URL).rstrip("/")
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT}
    try:
        request = urllib.request.Request(base + path, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer), _date(answer.headers.get("Date"))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 401:
                raise TokenRefused(
                    "Discord does not accept DISCORD_TOKEN: it was reset or mistyped; copy the current one from "
                    "https://discord.com/developers/applications (Bot, Reset Token)."
                ) from None
            raise DiscordUnreachable(f"{base} answered {error.code} {error.reason} to {path}: try later.") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DiscordUnreachable(f"{base} does not answer ({reason}): check the network.") from None


def ask_patiently(settings: Settings, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and JSON that Discord answers to GET `path`, or to POST when there is a body.

    Waits as rate limits say, and tries again while Discord is out of order; a refusal is an answer too. Raises
    TokenMissing, TokenRefused, DiscordUnreachable.
    """
    base = (settings.discord_api_url or API_URL).rstrip("/")
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    reason: object = None
    for tried in range(TRIES):
        request = urllib.request.Request(base + path, data, headers)
        wait = min(2.0**tried, LONGEST_WAIT)
        try:
            with urllib.request.urlopen(request, timeout=PATIENT_TIMEOUT) as answer:
                content = json.load(answer)
                if answer.headers.get("X-RateLimit-Remaining") == "0":
                    time.sleep(float(answer.headers.get("X-RateLimit-Reset-After") or 0))
                return answer.status, content
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401 and body is None:
                    raise TokenRefused("Discord does not accept DISCORD_TOKEN: run `invitelog doctor`.") from None
                said = _json(error)
            if error.code == 429:
                wait = float(said.get("retry_after") or error.headers.get("Retry-After") or wait)
            elif error.code < 500:
                return error.code, said
            reason = f"{error.code} {error.reason}"
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
        time.sleep(wait)
    raise DiscordUnreachable(f"{base} does not answer {path} ({reason}): try later.")


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _json(answer: Any) -> dict[str, Any]:
    try:
        content = json.load(answer)
    except (OSError, HTTPException, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def search_members(settings: Settings, guild_id: str) -> tuple[int, Any]:
    """The status and the answer of a member search for nobody in particular; a refusal is an answer too.

    Raises TokenMissing or DiscordUnreachable.
    """
    base = (settings.discord_api_url or API_URL).rstrip("/")
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT, "Content-Type": "application/json"}
    url = f"{base}/guilds/{guild_id}/members-search"
    try:
        request = urllib.request.Request(url, b'{"limit":1}', headers, method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.reason
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DiscordUnreachable(f"{base} does not answer ({reason}): check the network.") from None


def guilds(settings: Settings) -> list[dict[str, Any]]:
    """Every guild the bot is in, with `name` and the bot's `permissions` there (a decimal string)."""
    found: list[dict[str, Any]] = []
    after = "0"
    while True:
        page = ask(settings, f"/users/@me/guilds?limit={PAGE}&after={after}")
        found += page
        if len(page) < PAGE:
            return found
        after = page[-1]["id"]


def application(settings: Settings) -> dict[str, Any]:
    """The bot's application: among others its `id`, and `flags` that tell which privileged intents are on."""
    answer: dict[str, Any] = ask(settings, "/applications/@me")
    return answer
