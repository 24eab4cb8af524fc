"""What goes wrong, switchable while the server runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal


@dataclass
class RestFault:
    """One rule for REST answers. `route` is a regular expression on `"METHOD /path"` (without `/api/v10`).

    `delay_ms` makes the answer slow; with `stale` it is what was true when the request came. `cut` breaks the
    TCP connection instead of answering. `status` (0: none) replaces it; `count` is how many requests it still
    hits, None for all. 429 uses `retry_after` (seconds) and `is_global`.
    """

    route: str
    status: int = 0
    code: int = 0
    message: str = "Injected fault"
    count: int | None = None
    delay_ms: int = 0
    stale: bool = False
    cut: bool = False
    retry_after: float = 0.1
    is_global: bool = False
    body: Any = None

    def take(self, route: str) -> bool:
        """True when the rule hits this request; counts it."""
        if self.count == 0 or not re.search(self.route, route):
            return False
        if self.count is not None:
            self.count -= 1
        return True


@dataclass
class Faults:
    """All faults. Every field can be set at any time; `reset()` goes back to a healthy Discord."""

    invite_delete_order: Literal["before", "after", "never"] = "after"
    """When INVITE_DELETE comes for a limited invite's last use, seen from GUILD_MEMBER_ADD."""
    uses_delay_ms: int = 0
    """How long invite lists still show the old `uses` after a join."""
    drop_member_adds: int = 0
    """How many of the next GUILD_MEMBER_ADD events never arrive."""
    double_member_adds: int = 0
    """How many of the next GUILD_MEMBER_ADD events arrive twice."""
    drop_member_removes: int = 0
    """How many of the next GUILD_MEMBER_REMOVE events never arrive."""
    gateway_down: bool = False
    """New gateway connections are refused with 503."""
    gateway_lag_ms: int = 0
    """How long every gateway event is on its way: what REST shows is then ahead of the events."""
    drop_events: dict[str, int] = field(default_factory=dict)
    """How many of the next events of a name never arrive, as {"INVITE_CREATE": 2}."""
    member_chunks: Literal["on", "limited"] = "on"
    """"limited": a request for all members gets RATE_LIMITED instead of chunks."""
    heartbeat_acks: bool = True
    """False: heartbeats stay unanswered."""
    member_search: Literal["on", "indexing", "refused"] = "on"
    member_search_status: int = 403
    """The status of a refused member search: 401, 403 or 404."""
    index_delay_ms: int = 0
    """How long a new member is missing from member search."""
    indexing_retry_after: float = 0.0
    """`retry_after` (seconds) of the 202 answer while indexing."""
    rest: list[RestFault] = field(default_factory=list)

    def fail(
        self, route: str, status: int, code: int = 0, message: str = "Injected fault", count: int | None = None
    ) -> RestFault:
        """Requests that match `route` are answered with `status` and Discord error `code`."""
        return self._add(RestFault(route, status, code, message, count))

    def slow(self, route: str, delay_ms: int, count: int | None = None, stale: bool = False) -> RestFault:
        """Requests that match `route` are answered `delay_ms` later; `stale`: with what was true before."""
        return self._add(RestFault(route, delay_ms=delay_ms, count=count, stale=stale))

    def cut(self, route: str, count: int | None = None) -> RestFault:
        """Requests that match `route` get no answer: the TCP connection breaks.

        aiohttp tries a GET on a kept connection once more, so `count` 1 may go unnoticed.
        """
        return self._add(RestFault(route, count=count, cut=True))

    def limit(self, route: str, retry_after: float, count: int = 1, is_global: bool = False) -> RestFault:
        """Requests that match `route` get 429 with `retry_after` seconds, `count` times."""
        return self._add(RestFault(route, 429, count=count, retry_after=retry_after, is_global=is_global))

    def set(self, **values: Any) -> None:
        """Sets fields by name; `rest` may be a list of dicts. ValueError: an unknown name."""
        known = {f.name for f in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(known))}")
            if name == "rest":
                value = [v if isinstance(v, RestFault) else RestFault(**v) for v in value]
            setattr(self, name, value)

    def reset(self) -> None:
        """Everything works again."""
        for f in fields(self):
            setattr(self, f.name, getattr(Faults(), f.name))

    def take_member_adds(self) -> int:
        """How often the next GUILD_MEMBER_ADD is sent: 0, 1 or 2."""
        if self.drop_member_adds > 0:
            self.drop_member_adds -= 1
            return 0
        if self.double_member_adds > 0:
            self.double_member_adds -= 1
            return 2
        return 1

    def take_member_remove(self) -> bool:
        """True when the next GUILD_MEMBER_REMOVE is sent."""
        if self.drop_member_removes > 0:
            self.drop_member_removes -= 1
            return False
        return True

    def take_event(self, name: str) -> bool:
        """True when the next event of this name is sent."""
        left = self.drop_events.get(name, 0)
        if left:
            self.drop_events[name] = left - 1
        return not left

    def _add(self, fault: RestFault) -> RestFault:
        self.rest.append(fault)
        return fault
