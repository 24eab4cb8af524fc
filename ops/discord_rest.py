"""The few questions that start-up and `doctor` ask Discord's REST API, with the standard library alone."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from joins.errors import DiscordUnreachable, TokenRefused
from joins.settings import Settings

API_URL = "https://discord.com/api/v10"
# Discord's front turns away clients that do not name themselves so.
USER_AGENT = "DiscordBot (persistent-invite-log, 0.1.0)"
TIMEOUT = 5.0  # seconds for one answer
PAGE = 200  # guilds in one answer, Discord's maximum


def ask(settings: Settings, path: str) -> Any:
    """The JSON that Discord answers to GET `path`. Raises TokenMissing, TokenRefused or DiscordUnreachable."""
    base = (settings.discord_api_url or API_URL).rstrip("/")
    headers = {"Authorization": f"Bot {settings.token}", "User-Agent": USER_AGENT}
    try:
        request = urllib.request.Request(base + path, headers=headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.load(answer)
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


def me(settings: Settings) -> str:
    """The bot's own name, as Discord knows it."""
    return str(ask(settings, "/users/@me")["username"])


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
