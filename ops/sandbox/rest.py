"""What every REST route shares: errors, exact JSON answers, authorization, injected faults, rate-limit headers.

Sources: https://discord.com/developers/docs/reference and https://discord.com/developers/docs/topics/rate-limits
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiohttp import web

from .faults import Faults
from .gateway import AppSettings

API_PREFIX = "/api/v10"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Address:
    """Where the server listens; known once it does. `http` is like `http://127.0.0.1:8765`."""

    http: str = ""


class ApiError(Exception):
    """A Discord error answer. `code` is from Discord's JSON error code list."""

    def __init__(self, status: int, code: int, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"message": message, "code": code} | extra


def missing_access() -> ApiError:
    """The bot is not there."""
    return ApiError(403, 50001, "Missing Access")


def missing_permissions() -> ApiError:
    """The bot is there and may not."""
    return ApiError(403, 50013, "Missing Permissions")


def invalid_form(**errors: str) -> ApiError:
    """A body that breaks a rule; keys are dotted paths, values are messages."""
    tree: dict[str, Any] = {}
    for path, message in errors.items():
        node = tree
        for part in path.split("."):
            node = node.setdefault(part, {})
        node["_errors"] = [{"code": "BASE_TYPE_BAD", "message": message}]
    return ApiError(400, 50035, "Invalid Form Body", errors=tree)


def reply(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer. The content type has no charset: discord.py compares it exactly."""
    body = json.dumps(data, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


async def read_json(request: web.Request) -> Any:
    """The request's JSON body, or Discord's error for one that is none."""
    try:
        return json.loads(await request.text())
    except ValueError:
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None


class RateLimits:
    """Fixed windows by route and major parameter, enforced.

    `rules` maps `"METHOD /template"` to (requests, seconds).
    """

    def __init__(self, default: tuple[int, float], rules: dict[str, tuple[int, float]]) -> None:
        self._default = default
        self._rules = rules
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, route: str, major: str) -> tuple[dict[str, str], float]:
        """Counts a request: the headers for its answer, and the seconds to wait (0 when it is within the limit)."""
        limit, period = self._rules.get(route, self._default)
        key, now = f"{route}:{major}", time.time()
        start, used = self._windows.get(key, (now, 0))
        if now >= start + period:
            start, used = now, 0
        wait = start + period - now if used >= limit else 0.0
        used = min(used + 1, limit)
        self._windows[key] = (start, used)
        if len(self._windows) > 10_000:
            self._windows.clear()
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit - used),
            "X-RateLimit-Reset": f"{start + period:.3f}",
            "X-RateLimit-Reset-After": f"{max(start + period - now, 0.001):.3f}",
            # The bucket of a route, not of its parameters.
            "X-RateLimit-Bucket": hashlib.md5(route.encode(), usedforsecurity=False).hexdigest(),
        }, wait


def too_many(retry_after: float, *, is_global: bool, scope: str, headers: dict[str, str]) -> web.Response:
    """A 429. `Via` is there because an answer without it comes from Cloudflare, not from Discord."""
    headers = headers | {"Via": "1.1 google", "Retry-After": str(max(1, round(retry_after)))}
    headers |= {"X-RateLimit-Scope": scope} | ({"X-RateLimit-Global": "true"} if is_global else {})
    body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": is_global}
    return reply(body, 429, headers)


class Request(NamedTuple):
    """One answered REST request, for tests that count them."""

    method: str
    path: str
    status: int


def middleware(settings: AppSettings, faults: Faults, limits: RateLimits, log: deque[Request]) -> Any:
    """The aiohttp middleware around every route under the API prefix; `log` gets each request."""

    async def answer(request: web.Request, handler: Handler, headers: dict[str, str]) -> web.StreamResponse:
        path = request.path.removeprefix(API_PREFIX)
        late = 0
        for fault in list(faults.rest):
            if not fault.take(f"{request.method} {path}"):
                continue
            if fault.cut and request.transport is not None:
                request.transport.abort()
                return web.Response(status=500)
            if fault.stale:
                late += fault.delay_ms
            elif fault.delay_ms:
                await asyncio.sleep(fault.delay_ms / 1000)
            if fault.status == 429:
                scope = "global" if fault.is_global else "shared"
                return too_many(fault.retry_after, is_global=fault.is_global, scope=scope, headers=headers)
            if fault.status:
                body = fault.body if fault.body is not None else {"message": fault.message, "code": fault.code}
                return reply(body, fault.status, headers)
        # Interaction callbacks and their webhooks are authorized by the token in the path.
        open_route = path.startswith(("/interactions/", "/webhooks/")) or path == "/gateway"
        if not open_route and request.headers.get("Authorization") != f"Bot {settings.token}":
            return reply({"message": "401: Unauthorized", "code": 0}, 401, headers)
        response = await handler(request)
        if late:
            await asyncio.sleep(late / 1000)
        return response

    @web.middleware
    async def api(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(API_PREFIX):
            return await handler(request)
        resource = request.match_info.route.resource
        template = (resource.canonical if resource else request.path).removeprefix(API_PREFIX)
        info = request.match_info
        major = "/".join(info.get(k, "") for k in ("guild_id", "channel_id", "webhook_id", "token"))
        headers, wait = limits.take(f"{request.method} {template}", major)
        response: web.StreamResponse
        try:
            if wait:
                response = too_many(round(wait, 3), is_global=False, scope="user", headers=headers)
            else:
                response = await answer(request, handler, headers)
        except ApiError as error:
            response = reply(error.body, error.status)
        except web.HTTPNotFound:
            response = reply({"message": "404: Not Found", "code": 0}, 404)
        except web.HTTPMethodNotAllowed:
            response = reply({"message": "405: Method Not Allowed", "code": 0}, 405)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        log.append(Request(request.method, request.path.removeprefix(API_PREFIX), response.status))
        return response

    return api
