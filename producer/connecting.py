"""Keeps the client connected: waits out what time cures, and turns the rest into one sentence with an exit code."""

from __future__ import annotations

import asyncio
import logging
import random
import time

import aiohttp
import discord

from joins.errors import DiscordUnreachable, IntentsRefused, TokenRefused

log = logging.getLogger("producer")

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between two tries to reach Discord
AWAY = (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError, TimeoutError)
NOT_AUTHENTICATED = 4004  # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway

_REFUSED = (
    "Discord does not accept DISCORD_TOKEN: copy the bot's token again from "
    "https://discord.com/developers/applications (Bot, Reset Token)."
)
_INTENTS = (
    "Discord refuses the intents: switch on 'Server Members Intent' at "
    "https://discord.com/developers/applications (your application, Bot, Privileged Gateway Intents)."
)


class OneLine(logging.Filter):
    """discord.py logs each lost connection with a traceback; one line says as much."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through, shortened."""
        if record.exc_info and isinstance(error := record.exc_info[1], (*AWAY, discord.ConnectionClosed)):
            record.msg, record.args = f"{record.getMessage()} ({_said(error)})", ()
            record.exc_info = record.exc_text = None
        return True


def quieten() -> None:
    """Shortens what discord.py says of lost connections."""
    for name in ("discord.client", "discord.shard", "discord.gateway", "discord.http"):
        logger = logging.getLogger(name)
        if not any(isinstance(filter, OneLine) for filter in logger.filters):
            logger.addFilter(OneLine())
    # Every connection and session is said once, by us.
    logging.getLogger("discord.gateway").setLevel(logging.WARNING)
    logging.getLogger("discord.client").setLevel(logging.WARNING)


class Connection:
    """Since when the gateway has no connection that answers; for the process's report."""

    def __init__(self, client: discord.AutoShardedClient) -> None:
        self._client, self._since = client, time.time()

    def details(self) -> dict[str, float]:
        """`away_since`, in seconds since 1970 UTC, while there is none. Called every few seconds, from any thread."""
        shards = self._client.shards.values()
        if self._client.is_ready() and shards and not any(shard.is_closed() for shard in shards):
            self._since = time.time()
            return {}
        return {"away_since": self._since}


async def stay_connected(client: discord.Client, token: str) -> None:
    """Logs in and reads the gateway until the client is closed.

    Raises TokenRefused, IntentsRefused, or DiscordUnreachable for a refusal that time does not cure.
    """
    await _log_in(client, token)
    delay = FIRST_DELAY
    while not client.is_closed():
        try:
            await client.connect()
        except discord.PrivilegedIntentsRequired as error:
            raise IntentsRefused(_INTENTS) from error
        except discord.ConnectionClosed as error:
            if error.code == NOT_AUTHENTICATED:
                raise TokenRefused(_REFUSED) from error
            raise DiscordUnreachable(f"Discord closed the gateway for good ({error}).") from error
        except AWAY as error:
            delay = await _wait(delay, error)


async def _log_in(client: discord.Client, token: str) -> None:
    delay = FIRST_DELAY
    while True:
        try:
            await client.login(token)
        except discord.LoginFailure as error:
            raise TokenRefused(_REFUSED) from error
        except AWAY as error:
            # Closing the session closes its connector, which the library would take again.
            await client.http.close()
            client.http.connector = discord.utils.MISSING
            delay = await _wait(delay, error)
        else:
            return


async def _wait(delay: float, error: Exception) -> float:
    log.warning("Discord does not answer (%s); trying again in %.0f s", _said(error), delay)
    await asyncio.sleep(delay * random.uniform(0.75, 1.25))
    return min(delay * 2, LONGEST_DELAY)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
