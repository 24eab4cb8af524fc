"""`make demo`: the whole product, for real, against a sandbox Discord; a person reading along sees what it does."""

from __future__ import annotations

import contextlib
import itertools
import re
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from joins.redis_url import Client
from ops.demo_stage import Stage, settle
from ops.demo_verdict import Verdict, judge
from ops.sandbox.control import Record, SandboxClient
from ops.status import lines

NAMES = ("TravisP", "Mina", "Okonkwo", "Sofia", "Lin")
ALONE = 30  # joins that come alone, each recorded before the next
BURSTS = (25, 15, 8)  # joins that come at once, each burst by one invite
BURSTS_WITHOUT_CLOUD = (20, 20, 20)
BURSTS_AFTER = (20, 20, 18)
JOINS = ALONE + sum(BURSTS) + 2 + sum(BURSTS_WITHOUT_CLOUD) + 2 + sum(BURSTS_AFTER)
DRAIN_SECONDS = 30.0


@click.command()
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, until Ctrl-C.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where all files go.")
def demo(stay: bool, folder: Path) -> None:
    """Show it all at work against a sandbox Discord. Exit status 0 only if nothing is missing and nothing is wrong."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends everything it started, as Ctrl-C does
    _say("The persistent invite log, against a sandbox Discord: no token, no internet.")
    with Stage(folder) as stage:
        discord = stage.start_discord()
        community = Community(discord)
        client = stage.start_product(discord)
        _step(
            f"A sandbox Discord, a Redis server, a producer and four consumers run ({time.monotonic() - began:.0f} s)."
        )
        community.register_staff()
        community.members_join(client)
        _outage(stage, community, client)
        community.more_members_join(client)
        settle(client, JOINS, DRAIN_SECONDS)
        community.ask(folder)
        overview = settle(client, JOINS, DRAIN_SECONDS)
        _step("`invitelog status` says:")
        _quote(lines(overview))
        verdict = judge(discord.ledger(), stage.logs, stage.cloud)
        _summary(verdict, stage, began)
        if stay:
            _say(f"\nStill running. Try: rq info -u {stage.redis_url}\nStop with Ctrl-C.")
            _until_interrupted()
            _say("Stopping.")
    sys.exit(1 if verdict.problems else 0)


class Community:
    """A guild with staff, invites and members who join by them."""

    def __init__(self, discord: SandboxClient) -> None:
        self._discord = discord
        self.guild = discord.add_guild("PipVault", vanity="pipvault")["id"]
        self.staff = [discord.add_member(self.guild, name, permissions="MANAGE_GUILD")["id"] for name in NAMES]
        self.codes = [discord.add_invite(self.guild, inviter=staff)["code"] for staff in self.staff]
        self.single_use = discord.add_invite(self.guild, inviter=self.staff[0], max_uses=1)["code"]
        self._numbers = itertools.count(1)
        self.joined: list[int] = []

    def register_staff(self) -> None:
        """As a manager would, once."""
        for number, (staff, name) in enumerate(zip(self.staff, NAMES, strict=True)):
            link = f"https://broker.example/ib/{name.lower()}"
            self._run("staff set", {"member": staff, "ib_link": link, "ib_code": f"IB-{100 + number}"})
        _step(f"{len(NAMES)} staff members are registered with their IB links: /staff set")

    def members_join(self, client: Client) -> None:
        """Alone, in bursts, by the vanity URL and by an invite that holds for one."""
        for number in range(ALONE):
            self._join(code=self.codes[number % len(self.codes)])
            self._recorded(client)
        _step(f"{ALONE} members joined one after the other, by {len(self.codes)} invites.")
        self.come_in_bursts(client, BURSTS)
        _step(f"{sum(BURSTS)} more came in bursts of {', '.join(map(str, BURSTS))}, each burst by one invite.")
        self._join(vanity=True)
        self._recorded(client)
        self._join(code=self.single_use)
        self._recorded(client)
        _step("One came by the vanity URL, one by an invite that vanished with this use.")

    def come_in_bursts(self, client: Client, bursts: tuple[int, ...]) -> None:
        """Members who come at once, each burst by one invite."""
        for size, code in zip(bursts, self.codes, strict=False):
            for _ in range(size):
                self._join(code=code)
            self._recorded(client)

    def more_members_join(self, client: Client) -> None:
        """Two by two invites in the same instant, whom nothing can tell apart, then the rest."""
        self._join(code=self.codes[0])
        self._join(code=self.codes[1])
        self._recorded(client)
        _step("Two came in the same instant by two invites: where the difference cannot tell, the log says so.")
        self.come_in_bursts(client, BURSTS_AFTER)

    def ask(self, folder: Path) -> None:
        """The slash commands, as staff would call them."""
        answer = self._run("lookup_user_invite", {"user": self.joined[0]})
        _step("/lookup_user_invite, as a staff member sees it:")
        _quote(_shown(answer))
        answer = self._run("view_invite_logs", {})
        _step("/view_invite_logs, its first lines:")
        _quote(_shown(answer)[:6])
        answer = self._run("export_invite_logs", {})
        file = answer["files"][0]
        (folder / file["name"]).write_bytes(file["data"])
        _step(f"/export_invite_logs gave {file['name']} with {len(file['data'].splitlines()) - 1} rows.")
        answer = self._run("sync_member_invites", {})
        _step("/sync_member_invites compares Discord's own counts with the log:")
        _quote(_shown(answer)[:8])

    def _join(self, code: str | None = None, vanity: bool | None = None) -> None:
        name = f"member_{next(self._numbers):03}"
        self.joined.append(self._discord.join(self.guild, name, code=code, vanity=vanity)["user_id"])

    def _recorded(self, client: Client) -> None:
        """Waits until every join so far is in the stream."""
        settle(client, len(self.joined), DRAIN_SECONDS, sinks=())

    def _run(self, command: str, values: dict[str, object]) -> Record:
        return self._discord.invoke(self.guild, self.staff[0], command, values)


def _outage(stage: Stage, community: Community, client: Client) -> None:
    stage.take_cloud_away()
    community.come_in_bursts(client, BURSTS_WITHOUT_CLOUD)
    settle(client, len(community.joined), DRAIN_SECONDS, sinks=("json", "csv", "sqlite"))
    joins = sum(BURSTS_WITHOUT_CLOUD)
    _step(f"The cloud was taken away and {joins} members joined. `rq info` shows whose backlog grew:")
    _quote(stage.rq_info())
    stage.give_cloud_back()
    settle(client, len(community.joined), DRAIN_SECONDS)
    _step("The cloud is back and its consumer caught up by itself:")
    _quote(stage.rq_info())


def _summary(verdict: Verdict, stage: Stage, began: float) -> None:
    right = verdict.confidences["exact"]
    unsure = verdict.confidences["ambiguous"] + verdict.confidences["unknown"]
    _say("")
    _say(f"joins made          {verdict.joins}")
    _say(f"attributed exactly  {right}, of which {verdict.confirmed} are true by the sandbox's own ledger")
    _say(f"said to be unsure   {unsure}")
    _say(f"records in          {', '.join(f'{name} {count}' for name, count in verdict.sinks.items())}")
    _say(f"the four copies     {'equal, hash by hash' if not verdict.problems else 'NOT as they should be'}")
    _say(f"files               {stage.logs} (and {stage.up_log.name}, the export, the cloud folder beside it)")
    _say(f"took                {time.monotonic() - began:.0f} s")
    for problem in verdict.problems:
        _say(f"WRONG: {problem}")


def _until_interrupted() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _shown(reply: Record) -> list[str]:
    """What a person sees of a reply: its text and its embeds, without the markdown that Discord would render."""
    shown = [reply["content"]] if reply["content"] else []
    for embed in reply["embeds"]:
        shown += [embed[key] for key in ("title", "description") if embed.get(key)]
        shown += [f"{field['name']}\n{field['value']}" for field in embed.get("fields", [])]
        if embed.get("footer"):
            shown.append(embed["footer"]["text"])
    return [_rendered(line) for text in shown for line in text.splitlines() if line.strip()]


def _rendered(text: str) -> str:
    text = re.sub(r"<t:(\d+):\w>", lambda at: f"{datetime.fromtimestamp(int(at[1]), UTC):%Y-%m-%d %H:%M UTC}", text)
    return re.sub(r"\\(.)", r"\1", re.sub(r"\*\*|`", "", text))


_steps = itertools.count(1)


def _step(text: str) -> None:
    click.echo(f"{next(_steps):>2}. {text}")


def _quote(quoted: list[str]) -> None:
    for line in quoted:
        click.echo(f"      {line}")


def _say(text: str) -> None:
    click.echo(text)
