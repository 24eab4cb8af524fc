"""Channel routes: send and read messages, create invites; and the files people would download.

Sources: https://discord.com/developers/docs/resources/message, .../resources/channel
"""

from __future__ import annotations

from aiohttp import web

from . import messages, payloads, permissions
from .actions import Actions
from .models import Channel, Guild, Invite, User
from .rest import Address, ApiError, invalid_form, missing_access, missing_permissions, reply
from .uploads import FileStore, read_body
from .world import World

MOST_INVITES = 1000
"""Invites that a guild may have."""


class ChannelRoutes:
    """`/channels/{channel_id}/...`"""

    def __init__(
        self,
        world: World,
        actions: Actions,
        sent: dict[int, list[messages.Message]],
        address: Address,
        files: FileStore,
    ) -> None:
        self._world = world
        self._actions = actions
        self._sent = sent
        self._address = address
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """The routes, paths relative to the API prefix."""
        base = "/channels/{channel_id}"
        return [
            web.post("/users/@me/channels", self.open_dm),
            web.get(base, self.channel),
            web.post(f"{base}/messages", self.send),
            web.get(f"{base}/messages", self.history),
            web.get(f"{base}/messages/{{message_id}}", self.message),
            web.patch(f"{base}/messages/{{message_id}}", self.edit),
            web.delete(f"{base}/messages/{{message_id}}", self.delete),
            web.post(f"{base}/invites", self.create_invite),
            web.get(f"{base}/invites", self.invites),
            web.get("/invites/{code}", self.invite),
            web.delete("/invites/{code}", self.delete_invite),
        ]

    async def attachment(self, request: web.Request) -> web.Response:
        """What Discord's CDN would serve."""
        text = request.match_info["file_id"]
        file = self._files.files.get(int(text)) if text.isdigit() else None
        if file is None:
            return web.Response(status=404)
        return web.Response(body=file.data, content_type="application/octet-stream")

    async def open_dm(self, request: web.Request) -> web.Response:
        """Create DM."""
        body, _ = await read_body(request, self._files)
        user = self._world.users.get(int(body.get("recipient_id", 0)))
        if user is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return reply(payloads.dm_channel(self._actions.dm_channel_id(user.id), user))

    async def channel(self, request: web.Request) -> web.Response:
        """Get Channel."""
        guild, channel, user = self._find(request)
        if guild is None or channel is None:
            assert user is not None
            return reply(payloads.dm_channel(int(request.match_info["channel_id"]), user))
        return reply(payloads.channel(channel, guild.id))

    async def send(self, request: web.Request) -> web.Response:
        """Create Message (VIEW_CHANNEL, SEND_MESSAGES; ATTACH_FILES for files)."""
        guild, _, _ = self._find(request, permissions.SEND_MESSAGES)
        body, uploads = await read_body(request, self._files)
        if uploads and guild is not None:
            self._need(guild, permissions.ATTACH_FILES)
        message = messages.Message(
            self._world.snowflakes.make(),
            int(request.match_info["channel_id"]),
            self._world.bot,
            self._world.now(),
            guild.id if guild else None,
        )
        limit = guild.filesize_limit if guild else Guild.filesize_limit
        messages.apply(message, body, uploads, limit)
        self._sent.setdefault(message.channel_id, []).append(message)
        payload = messages.payload(message, self._address.http)
        if "nonce" in body:
            payload["nonce"] = body["nonce"]
        if guild is not None:
            self._actions.dispatch("MESSAGE_CREATE", guild.id, payload | {"guild_id": str(guild.id)})
        return reply(payload)

    async def history(self, request: web.Request) -> web.Response:
        """Get Channel Messages: the newest first."""
        self._find(request, permissions.READ_MESSAGE_HISTORY)
        stored = self._sent.get(int(request.match_info["channel_id"]), [])
        limit = int(request.query.get("limit", "50"))
        return reply([messages.payload(m, self._address.http) for m in reversed(stored[-limit:])])

    async def message(self, request: web.Request) -> web.Response:
        """Get Channel Message."""
        self._find(request, permissions.READ_MESSAGE_HISTORY)
        return reply(messages.payload(self._stored(request), self._address.http))

    async def edit(self, request: web.Request) -> web.Response:
        """Edit Message."""
        guild, _, _ = self._find(request)
        body, uploads = await read_body(request, self._files)
        message = self._stored(request)
        limit = guild.filesize_limit if guild else Guild.filesize_limit
        messages.edit(message, body, uploads, limit, self._world.now())
        return reply(messages.payload(message, self._address.http))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete Message."""
        self._find(request)
        message = self._stored(request)
        message.deleted = True
        self._sent[message.channel_id].remove(message)
        return web.Response(status=204)

    async def create_invite(self, request: web.Request) -> web.Response:
        """Create Channel Invite (CREATE_INSTANT_INVITE); the inviter is the bot."""
        guild, channel, _ = self._find(request, permissions.CREATE_INSTANT_INVITE)
        if guild is None or channel is None:
            raise missing_access()
        body, _ = await read_body(request, self._files)
        max_age = body.get("max_age")
        for name, most in (("max_age", 604_800), ("max_uses", 100)):
            value = body.get(name) or 0
            if not isinstance(value, int) or not 0 <= value <= most:
                raise invalid_form(**{name: f"int value should be between 0 and {most}."})
        self._world.purge_invites(guild)
        if len(guild.invites) >= MOST_INVITES:
            raise ApiError(400, 30016, f"Maximum number of invites reached ({MOST_INVITES})")
        invite = self._actions.add_invite(
            guild.id,
            inviter=self._world.bot.id,
            channel=channel.id,
            max_uses=int(body.get("max_uses") or 0),
            max_age=86_400 if max_age is None else int(max_age),
            temporary=bool(body.get("temporary", False)),
        )
        return reply(payloads.invite(self._world, guild, invite, metadata=True))

    async def invites(self, request: web.Request) -> web.Response:
        """Get Channel Invites (MANAGE_CHANNELS)."""
        guild, channel, _ = self._find(request, permissions.MANAGE_CHANNELS)
        if guild is None or channel is None:
            raise missing_access()
        now = self._world.now()
        shown = [i for i in guild.invites.values() if i.channel_id == channel.id and i.listed(now)]
        return reply([payloads.invite(self._world, guild, i, metadata=True) for i in shown])

    async def invite(self, request: web.Request) -> web.Response:
        """Get Invite: never with uses."""
        guild, invite = self._invite(request)
        return reply(payloads.invite(self._world, guild, invite, metadata=False))

    async def delete_invite(self, request: web.Request) -> web.Response:
        """Delete Invite (MANAGE_CHANNELS or MANAGE_GUILD)."""
        guild, invite = self._invite(request)
        bits = guild.permissions_of(self._world.bot.id)
        if not bits & (permissions.MANAGE_CHANNELS | permissions.MANAGE_GUILD):
            raise missing_permissions()
        answer = payloads.invite(self._world, guild, invite, metadata=False)
        self._actions.delete_invite(guild.id, invite.code)
        return reply(answer)

    def _invite(self, request: web.Request) -> tuple[Guild, Invite]:
        code, now = request.match_info["code"], self._world.now()
        for guild in self._world.guilds.values():
            invite = guild.invites.get(code)
            if invite is not None and invite.listed(now):
                return guild, invite
        raise ApiError(404, 10006, "Unknown Invite")

    def _find(self, request: web.Request, needs: int = 0) -> tuple[Guild | None, Channel | None, User | None]:
        text = request.match_info["channel_id"]
        channel_id = int(text) if text.isdigit() else 0
        for guild in self._world.guilds.values():
            if channel_id in guild.channels:
                if self._world.bot.id not in guild.members or guild.unavailable:
                    raise missing_access()
                if not guild.permissions_of(self._world.bot.id) & permissions.VIEW_CHANNEL:
                    raise missing_access()
                self._need(guild, needs)
                return guild, guild.channels[channel_id], None
        user = self._actions.dm_partner(channel_id)
        if user is None:
            raise ApiError(404, 10003, "Unknown Channel")
        return None, None, user

    def _need(self, guild: Guild, needs: int) -> None:
        if guild.permissions_of(self._world.bot.id) & needs != needs:
            raise missing_permissions()

    def _stored(self, request: web.Request) -> messages.Message:
        wanted = request.match_info["message_id"]
        for message in self._sent.get(int(request.match_info["channel_id"]), []):
            if str(message.id) == wanted:
                return message
        raise ApiError(404, 10008, "Unknown Message")
