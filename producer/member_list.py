"""Reads a guild's members over REST, raw and page by page.

Gateway chunks would come faster, but discord.py passes RATE_LIMITED over in silence and keeps no count of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import discord

from joins.errors import FetchFailed
from producer.rest import FAILURES

PAGE = 1000  # members in one answer; Discord's limit

Member = Mapping[str, Any]


class MemberList:
    """The members of the guilds that `client` is in."""

    def __init__(self, client: discord.Client) -> None:
        self._client = client

    async def everybody(self, guild_id: str) -> AsyncIterator[Member]:
        """Every member, by rising id; one page is in memory at a time. Raises FetchFailed."""
        after = 0
        while True:
            try:
                page: list[Any] = list(await self._client.http.get_members(int(guild_id), PAGE, after or None))
            except FAILURES as error:
                raise _failed(guild_id, error) from error
            for member in page:
                yield member
            if len(page) < PAGE:
                return
            after = int(page[-1]["user"]["id"])

    async def one(self, guild_id: str, user_id: str) -> Member | None:
        """One member; None when the user has left. Raises FetchFailed."""
        try:
            member: Any = await self._client.http.get_member(int(guild_id), int(user_id))
        except discord.NotFound:
            return None
        except FAILURES as error:
            raise _failed(guild_id, error) from error
        return member if isinstance(member, dict) else None


def _failed(guild_id: str, error: BaseException) -> FetchFailed:
    return FetchFailed(f"the members of guild {guild_id} could not be read: {str(error) or type(error).__name__}")
