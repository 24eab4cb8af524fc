"""Members who keep joining in bursts, and some who leave and come back, at a pace set from outside."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Container

from ops.demo_verdict import ledger_join_id
from ops.sandbox.control import Record, SandboxClient

BURSTS = (1, 1, 1, 3, 10, 30, 100, 250)
PAUSES = (0.0, 0.02, 0.1, 0.3)  # seconds between bursts
AT_ONCE = 3  # guilds
FULL = 3000  # joins after which a guild is left for a new one, so that reading its members stays cheap
LEAVERS = 3


class Guild:
    """A guild with two invites."""

    def __init__(self, discord: SandboxClient, number: int) -> None:
        self.id = int(discord.add_guild(f"PipVault {number}")["id"])
        staff = discord.add_member(self.id, f"staff_{number}", permissions="MANAGE_GUILD")["id"]
        self.codes = [str(discord.add_invite(self.id, inviter=staff)["code"]) for _ in range(2)]
        self.joins: list[str] = []  # join ids


class Crowd(threading.Thread):
    """`pace()` says how many shall have joined by now; who is `recorded` may leave.

    Nobody leaves before he is recorded: a member who came and went while no producer was there is nowhere to be found.
    """

    def __init__(
        self, discord: SandboxClient, chance: random.Random, pace: Callable[[], float], recorded: Container[str]
    ) -> None:
        super().__init__(name="crowd", daemon=True)
        self._discord, self._chance, self._pace, self._recorded = SandboxClient(discord.url), chance, pace, recorded
        self._stopping = threading.Event()
        self._made = 0
        self._guilds = [self._guild() for _ in range(AT_ONCE)]
        self._full: list[Guild] = []
        self._here: list[tuple[str, int, int]] = []  # join id, guild and user of some who might leave
        self._gone: list[tuple[int, int]] = []  # guild and user of who left
        self.joined = 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Until `stop`."""
        try:
            while not self._stopping.is_set():
                self._step()
        except BaseException as error:
            self.fault = error

    def stop(self) -> None:
        """Ends it. Raises what went wrong in it."""
        self._stopping.set()
        self.join()
        if self.fault is not None:
            raise self.fault

    def _step(self) -> None:
        due = int(self._pace()) - self.joined
        if due <= 0:
            self._stopping.wait(0.05)
            return
        chance = self._chance
        place = chance.randrange(AT_ONCE)
        guild, code = self._guilds[place], chance.randrange(2)
        count = min(due, chance.choice(BURSTS))
        self._came(guild, self._discord.join_many(guild.id, count, f"m{self.joined}", code=guild.codes[code]))
        if chance.random() < 0.1:
            self._leave_and_return(guild)
        if len(guild.joins) >= FULL:
            self._full.append(guild)
            self._guilds[place] = self._guild()
        self._retire()
        self._stopping.wait(chance.choice(PAUSES))

    def _guild(self) -> Guild:
        self._made += 1
        return Guild(self._discord, self._made)

    def _came(self, guild: Guild, joins: list[Record]) -> None:
        ids = [ledger_join_id(join) for join in joins]
        guild.joins += ids
        self.joined += len(joins)
        self._here += [(i, guild.id, join["user_id"]) for i, join in list(zip(ids, joins, strict=True))[:LEAVERS]]

    def _leave_and_return(self, guild: Guild) -> None:
        """Some who are recorded leave; some who left come again."""
        for join_id, guild_id, user_id in [one for one in self._here if one[0] in self._recorded][:LEAVERS]:
            self._here.remove((join_id, guild_id, user_id))
            if any(guild_id == active.id for active in self._guilds):
                self._discord.leave(guild_id, user_id)
                self._gone.append((guild_id, user_id))
        back = [one for one in self._gone if one[0] == guild.id][:1]
        for guild_id, user_id in back:
            self._gone.remove((guild_id, user_id))
            self._came(guild, [self._discord.join(guild_id, user_id, code=guild.codes[0])])

    def _retire(self) -> None:
        """The bot leaves guilds that are full, once all their joins are recorded."""
        for guild in [full for full in self._full if all(join in self._recorded for join in full.joins)]:
            self._full.remove(guild)
            self._discord.kick_bot(guild.id)
