"""`doctor`'s questions to Discord: token, intents, and what the bot may do in each of its servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from joins import permissions
from joins.errors import DiscordUnreachable, StartupError
from joins.settings import Settings
from ops import discord_rest
from ops.finding import FAIL, OK, WARN, Finding, failed
from producer import found

PORTAL = "https://discord.com/developers/applications"
MEMBERS_INTENT = 1 << 14 | 1 << 15  # GATEWAY_GUILD_MEMBERS, or its LIMITED form below 100 servers
MOST_AHEAD = 60  # seconds that this machine's clock may be ahead of Discord's, or behind


def check_discord(settings: Settings) -> Iterator[Finding]:
    """Token first: without it nothing else can be asked."""
    try:
        me, date = discord_rest.ask_dated(settings, "/users/@me")
        yield Finding(OK, "token", f"accepted, the bot is {me['username']}")
        yield _clock(datetime.now(UTC), date)
        yield from _application(discord_rest.application(settings))
        yield from _guilds(settings)
        yield from _alerts(settings)
    except DiscordUnreachable as error:
        yield failed("Discord", error)
    except StartupError as error:
        yield failed("token", error)


def _clock(ours: datetime, discords: datetime | None) -> Finding:
    remedy = "Switch NTP on (`timedatectl set-ntp true`)."
    if discords is None:
        return Finding(WARN, "clock", "Discord's answer bears no date to compare this machine's clock with", remedy)
    ahead = (ours - discords).total_seconds()
    if abs(ahead) <= MOST_AHEAD:
        return Finding(OK, "clock", f"within {MOST_AHEAD} s of Discord's")
    which = "ahead of" if ahead > 0 else "behind"
    return Finding(FAIL, "clock", f"{abs(ahead):.0f} s {which} Discord's: times in the logs would be wrong", remedy)


def _application(application: dict[str, Any]) -> Iterator[Finding]:
    if int(application.get("flags") or 0) & MEMBERS_INTENT:
        yield Finding(OK, "intents", "Server Members Intent is on")
    else:
        yield Finding(
            FAIL,
            "intents",
            "Server Members Intent is off: Discord will not say who joins",
            f"Switch it on at {PORTAL}/{application.get('id', '')}/bot (Privileged Gateway Intents).",
        )


def _guilds(settings: Settings) -> Iterator[Finding]:
    guilds = discord_rest.guilds(settings)
    if not guilds:
        yield Finding(WARN, "servers", "the bot is in none", f"Make an invitation for it at {PORTAL} (OAuth2).")
    for guild in guilds:
        yield from _permissions(str(guild["name"]), int(guild["permissions"]))
        if settings.member_search:
            yield _member_search(settings, guild)
    if not settings.member_search:
        yield Finding(OK, "member search", "off: MEMBER_SEARCH is no")


def _member_search(settings: Settings, guild: dict[str, Any]) -> Finding:
    what = f"member search in {guild['name']}"
    status, answer = discord_rest.search_members(settings, str(guild["id"]))
    if found.indexing(answer) is not None:
        return Finding(WARN, what, "Discord is still indexing the members", "Nothing: it is tried again by itself.")
    if status == 429 or status >= 500:
        return Finding(WARN, what, f"Discord answers {status} ({answer})", "Try again later.")
    lost = "joins at the same moment may stay ambiguous"
    try:
        if status == 200:
            found.page(answer)
            return Finding(OK, what, "granted: it confirms by which invite each member joined")
    except found.ForeignShape as error:
        return Finding(
            WARN,
            what,
            f"Discord gives {error}: {lost}",
            "Upgrade this program, or set MEMBER_SEARCH=no to do without.",
        )
    return Finding(
        WARN,
        what,
        f"Discord refuses it ({status} {answer}): {lost}",
        f"In {guild['name']}: give the bot's role Manage Server. If it has that, Discord does not grant the search to "
        "bots there, and MEMBER_SEARCH=no silences this.",
    )


def _alerts(settings: Settings) -> Iterator[Finding]:
    channel_id, what = settings.alerts_channel_id, "alerts channel"
    if channel_id is None:
        return
    try:
        channel = discord_rest.ask(settings, f"/channels/{channel_id}")
    except DiscordUnreachable as error:
        yield Finding(
            WARN,
            what,
            f"the bot cannot see ALERTS_CHANNEL_ID {channel_id} ({str(error).rpartition(': ')[0]})",
            "Correct the id (right-click the channel, Copy Channel ID), and give the bot View Channel and Send "
            "Messages there.",
        )
        return
    yield Finding(OK, what, f"#{channel.get('name') or channel_id} can be seen")


def _permissions(guild: str, granted: int) -> Iterator[Finding]:
    what = f"permissions in {guild}"
    lacking = permissions.missing(granted)
    if not lacking:
        yield Finding(OK, what, ", ".join(permission.name for permission in permissions.NEEDED))
    for one in lacking:
        yield Finding(
            FAIL if one.essential else WARN,
            what,
            f"{one.name} is missing: {one.loss}",
            f"In {guild}: Server Settings, Roles, the bot's role, Permissions: switch on {one.name}.",
        )
