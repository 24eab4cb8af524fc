"""The gateway: identify, resume, heartbeat, dispatch by shard, intent and permission.

Sources: https://discord.com/developers/docs/events/gateway and
https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from . import member_chunks, payloads
from .connection import Connection
from .events import Event
from .faults import Faults
from .models import Guild
from .permissions import Intents
from .session import Session
from .world import World

ACK_SECONDS = 0.02
RESUME_S = 300.0
"""Seconds that a lost session can be resumed. Discord gives no figure; a few minutes are observed."""

MOST_SENT, SENT_WINDOW_S = 120, 60.0
"""Payloads that a client may send in a window of seconds."""

API_VERSIONS = ("9", "10")


@dataclass
class AppSettings:
    """What the developer portal holds for the application. The intents here are the privileged ones."""

    token: str
    members_intent: bool = True
    presences_intent: bool = True
    message_content_intent: bool = True
    shards: int = 1
    heartbeat_interval_ms: int = 41_250

    @property
    def flags(self) -> int:
        """Application flags. Source: https://discord.com/developers/docs/resources/application#application-object"""
        presences, members, content = 1 << 13, 1 << 15, 1 << 19
        return (
            (presences if self.presences_intent else 0)
            | (members if self.members_intent else 0)
            | (content if self.message_content_intent else 0)
        )

    @property
    def refused_intents(self) -> int:
        """Privileged intents that an IDENTIFY may not ask for."""
        refused = 0 if self.members_intent else Intents.GUILD_MEMBERS
        refused |= 0 if self.presences_intent else Intents.GUILD_PRESENCES
        return refused | (0 if self.message_content_intent else Intents.MESSAGE_CONTENT)


class Closing(Exception):
    """The client broke the protocol: close with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Gateway:
    """All sessions of the bot."""

    def __init__(self, world: World, settings: AppSettings, faults: Faults) -> None:
        self._world = world
        self._settings = settings
        self._faults = faults
        self.sessions: dict[str, Session] = {}
        self.url = ""
        self.changed = asyncio.Event()
        self.identifies = 0
        self.resumes = 0

    @property
    def connected(self) -> list[Session]:
        """Sessions that have had READY and hold a live connection."""
        return [s for s in self.sessions.values() if s.ready and s.connection is not None]

    def dispatch(self, name: str, guild_id: int | None, data: Any, *, always: bool = False) -> int:
        """Sends an event to the session of every client that may see it; returns how many that are."""
        event = Event.of(name, guild_id, data, always=always)
        if event.permission and guild_id is not None:
            guild = self._world.guild(guild_id)
            if guild.permissions_of(self._world.bot.id) & event.permission == 0:
                return 0
        if not self._faults.take_event(name):
            return 0
        self._expire()
        targets = [s for s in self.sessions.values() if s.ready and s.wants(event)]
        for session in targets:
            session.dispatch(event)
        return len(targets)

    def drop(self, code: int | None = None, *, resumable: bool = True, shard_id: int | None = None) -> int:
        """Drops connections: with a close code, or by cutting TCP when `code` is None.

        `resumable` False also forgets the sessions, so RESUME gets INVALID_SESSION. Returns how many dropped.
        """
        dropped = 0
        for session in list(self.sessions.values()):
            if shard_id is not None and session.shard_id != shard_id:
                continue
            connection = session.connection
            session.lose()
            if connection is not None:
                dropped += 1
                if code is None:
                    connection.cut()
                else:
                    connection.close(code)
            if not resumable:
                del self.sessions[session.id]
        self._notify()
        return dropped

    def reconnect(self) -> None:
        """Asks every client to reconnect (opcode 7), as Discord does before maintenance."""
        for session in self.connected:
            if session.connection is not None:
                session.connection.send(7)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The websocket endpoint."""
        if self._faults.gateway_down:
            return web.Response(status=503, text="gateway down")
        socket = web.WebSocketResponse(autoping=True, max_msg_size=0)
        await socket.prepare(request)
        compress = request.query.get("compress")
        connection = Connection(request, socket, self._faults, compress=compress == "zlib-stream")
        writer = asyncio.create_task(connection.write())
        session: Session | None = None
        sent_at: deque[float] = deque(maxlen=MOST_SENT)
        try:
            if request.query.get("v", "10") not in API_VERSIONS:
                raise Closing(4012, "Invalid API version")
            if compress not in (None, "", "zlib-stream") or request.query.get("encoding", "json") != "json":
                raise Closing(4002, "The sandbox speaks JSON, plain or zlib-stream")
            connection.send(10, {"heartbeat_interval": self._settings.heartbeat_interval_ms, "_trace": []})
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    now = time.monotonic()
                    if len(sent_at) == MOST_SENT and now - sent_at[0] < SENT_WINDOW_S:
                        raise Closing(4008, "Rate limited.")
                    sent_at.append(now)
                    session = self._receive(connection, session, message.data)
        except Closing as closing:
            connection.close(closing.code, closing.reason)
            await writer
        finally:
            connection.closed = True
            if session is not None and session.connection is connection:
                session.lose()
                if socket.close_code in (1000, 1001):
                    # A client that closes with 1000 or 1001 gives its session up.
                    self.sessions.pop(session.id, None)
                self._notify()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _receive(self, connection: Connection, session: Session | None, text: str) -> Session | None:
        try:
            payload = json.loads(text)
            op, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Closing(4002, "Error while decoding payload.") from None
        if op == 1:
            connection.last_heartbeat = data
            if self._faults.heartbeat_acks:
                # Never at once: discord.py notes when it sent a heartbeat only after sending it.
                asyncio.get_running_loop().call_later(ACK_SECONDS, connection.send, 11)
            return session
        if op in (2, 6) and session is not None:
            raise Closing(4005, "Already authenticated.")
        if op == 2:
            return self._identify(connection, data)
        if op == 6:
            return self._resume(connection, data)
        if session is None:
            raise Closing(4003, "Not authenticated.")
        if op == 8:
            member_chunks.answer(self._world, session, data, limited=self._faults.member_chunks == "limited")
        elif op not in (3, 4, 31, 43):
            raise Closing(4001, "Unknown opcode.")
        return session

    def _check_token(self, token: str) -> None:
        if token.removeprefix("Bot ") != self._settings.token:
            raise Closing(4004, "Authentication failed.")

    def _identify(self, connection: Connection, data: dict[str, Any]) -> Session:
        self._check_token(str(data.get("token", "")))
        shard_id, shard_count = data.get("shard") or (0, 1)
        if not 0 <= shard_id < shard_count:
            raise Closing(4010, "Invalid shard.")
        intents = data.get("intents")
        if not isinstance(intents, int) or intents & ~Intents.KNOWN:
            raise Closing(4013, "Invalid intent(s).")
        if intents & self._settings.refused_intents:
            raise Closing(4014, "Disallowed intent(s).")
        session = Session(intents, shard_id, shard_count)
        session.take(connection)
        self.sessions[session.id] = session
        self.identifies += 1
        self._ready(session)
        return session

    def _ready(self, session: Session) -> None:
        guilds = [g for g in self._world.guilds.values() if session.covers(g.id) and self._inside(g)]
        ready = {
            "v": 10,
            "user": payloads.user(self._world.bot) | {"verified": True, "mfa_enabled": False, "email": None},
            "guilds": [{"id": str(g.id), "unavailable": True} for g in guilds],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "shard": [session.shard_id, session.shard_count],
            "application": {"id": str(self._world.bot.id), "flags": self._settings.flags},
            "private_channels": [],
            "relationships": [],
            "user_settings": {},
            "_trace": [],
        }
        session.dispatch(Event.of("READY", None, ready))
        if session.intents & Intents.GUILDS:
            for guild in guilds:
                if not guild.unavailable:
                    data = payloads.guild_create(self._world, guild)
                    session.dispatch(Event.of("GUILD_CREATE", guild.id, data))
        session.ready = True
        self._notify()

    def _resume(self, connection: Connection, data: dict[str, Any]) -> Session | None:
        self._check_token(str(data.get("token", "")))
        session = self.sessions.get(str(data.get("session_id")))
        missed = session.missed(int(data.get("seq") or 0)) if session else None
        if session is None or missed is None:
            if session is not None:
                del self.sessions[session.id]
            connection.send(9, False)
            return None
        if session.connection is not None:
            session.connection.close(4000, "Session resumed elsewhere.")
        session.take(connection)
        self.resumes += 1
        for text in missed:
            connection.send_text(text)
        session.dispatch(Event.of("RESUMED", None, {"_trace": []}))
        self._notify()
        return session

    def _inside(self, guild: Guild) -> bool:
        return self._world.bot.id in guild.members

    def _expire(self) -> None:
        old = time.monotonic() - RESUME_S
        for session in [s for s in self.sessions.values() if s.lost_at is not None and s.lost_at < old]:
            del self.sessions[session.id]

    def _notify(self) -> None:
        # Wakes everyone who waits for a connection, then starts a new wait.
        self.changed.set()
        self.changed = asyncio.Event()
