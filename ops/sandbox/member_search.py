"""Member search: how a member joined, by which code, invited by whom. Undocumented by Discord.

Source: https://docs.discord.food/resources/guild#search-guild-members (unofficial)
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from . import payloads, permissions
from .faults import Faults
from .gateway import AppSettings
from .models import DID_REJOIN, JOIN_SOURCE_TYPES, Guild, Member
from .rest import ApiError, invalid_form, missing_access, read_json, reply
from .rest_guild import find_guild
from .world import World

MOST_VALUES = 10
"""Values in one `or_query` list."""

_KNOWN_FILTERS = {
    "user_id",
    "guild_joined_at",
    "join_source_type",
    "source_invite_code",
    "did_rejoin",
    "usernames",
    "role_ids",
}


class MemberSearchRoutes:
    """`POST /guilds/{guild_id}/members-search`"""

    def __init__(self, world: World, settings: AppSettings, faults: Faults) -> None:
        self._world = world
        self._settings = settings
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """The route, its path relative to the API prefix."""
        return [web.post("/guilds/{guild_id}/members-search", self.search)]

    async def search(self, request: web.Request) -> web.Response:
        """Search Guild Members (MANAGE_GUILD and the application's members intent)."""
        if self._faults.member_search == "refused":
            raise _REFUSALS.get(self._faults.member_search_status, missing_access)()
        guild = find_guild(self._world, request, permissions.MANAGE_GUILD)
        if not self._settings.members_intent:
            raise missing_access()
        body = await read_json(request)
        limit = body.get("limit", 25)
        if not isinstance(limit, int) or not 1 <= limit <= 1000:
            raise invalid_form(limit="int value should be between 1 and 1000.")
        either = _check(body.get("or_query") or {}, "or_query")
        every = _check(body.get("and_query") or {}, "and_query")
        if self._faults.member_search == "indexing":
            waiting = {
                "message": "Index not yet available. Try again later",
                "code": 110000,
                "documents_indexed": 0,
                "retry_after": self._faults.indexing_retry_after,
            }
            return reply(waiting, 202)
        now = self._world.now()
        found = [
            m
            for m in guild.members.values()
            if (m.indexed_at is None or m.indexed_at <= now)
            and all(_matches(m, name, query) for name, query in every.items())
            and (not either or any(_matches(m, name, query) for name, query in either.items()))
        ]
        newest_first = body.get("sort", 1) != 2
        found.sort(key=_key, reverse=newest_first)
        page = _after(_before(found, body.get("before"), newest_first), body.get("after"), newest_first)[:limit]
        return reply(_result(guild, page, len(found)))


def _unauthorized() -> ApiError:
    return ApiError(401, 0, "401: Unauthorized")


def _not_found() -> ApiError:
    return ApiError(404, 0, "404: Not Found")


_REFUSALS = {401: _unauthorized, 403: missing_access, 404: _not_found}


def _check(filters: Any, where: str) -> dict[str, Any]:
    if not isinstance(filters, dict):
        raise invalid_form(**{where: "Only dictionaries may be used in a DictType"})
    for name, query in filters.items():
        if name not in _KNOWN_FILTERS:
            raise invalid_form(**{f"{where}.{name}": "The sandbox does not know this filter"})
        for kind in ("or_query", "and_query"):
            values = query.get(kind, []) if isinstance(query, dict) else []
            if not isinstance(values, list) or len(values) > MOST_VALUES:
                raise invalid_form(**{f"{where}.{name}.{kind}": f"Must be {MOST_VALUES} or fewer in length."})
    return filters


def _value(member: Member, name: str) -> Any:
    if name == "user_id":
        return member.user.id
    if name == "guild_joined_at":
        return int(member.joined_at.timestamp() * 1000)
    if name == "join_source_type":
        return JOIN_SOURCE_TYPES[member.source]
    return member.code


def _matches(member: Member, name: str, query: Any) -> bool:
    if name == "did_rejoin":
        return bool(member.flags & DID_REJOIN) == bool(query)
    if name == "role_ids":
        own = {str(r) for r in member.roles}
        wanted = {str(v) for v in query.get("or_query", [])}
        return not wanted or bool(own & wanted)
    if name == "usernames":
        names = [n.lower() for n in (member.user.username, member.nick, member.user.global_name) if n]
        return any(n.startswith(str(v).lower()) for v in query.get("or_query", []) for n in names)
    value = _value(member, name)
    if "or_query" in query and str(value) not in {str(v) for v in query["or_query"]}:
        return False
    low_high = query.get("range") or {}
    low, high = low_high.get("gte"), low_high.get("lte")
    return (low is None or value >= int(low)) and (high is None or value <= int(high))


def _position(mark: dict[str, Any]) -> tuple[int, int]:
    return int(mark.get("guild_joined_at", 0)), int(mark.get("user_id", 0))


def _key(member: Member) -> tuple[int, int]:
    return int(member.joined_at.timestamp() * 1000), member.user.id


def _after(members: list[Member], mark: Any, newest_first: bool) -> list[Member]:
    # "after" means further down the list, whichever way it is sorted.
    if not mark:
        return members
    return [m for m in members if (_key(m) < _position(mark)) == newest_first and _key(m) != _position(mark)]


def _before(members: list[Member], mark: Any, newest_first: bool) -> list[Member]:
    return _after(members, mark, not newest_first)


def _result(guild: Guild, page: list[Member], total: int) -> dict[str, Any]:
    return {
        "guild_id": str(guild.id),
        "members": [
            {
                "member": payloads.member(m),
                "source_invite_code": m.code,
                "join_source_type": JOIN_SOURCE_TYPES[m.source],
                "inviter_id": str(m.inviter_id) if m.inviter_id else None,
                "integration_type": None,
            }
            for m in page
        ],
        "page_result_count": len(page),
        "total_result_count": total,
    }
