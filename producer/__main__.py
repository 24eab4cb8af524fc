"""`python -m producer`: reads Discord's gateway, attributes joins, records them, serves the slash commands."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

from joins.errors import InviteLogError
from joins.logging_setup import setup
from joins.redis_url import Client, connect, wait_for_server
from joins.settings import Settings, load
from producer import command_serving
from producer.alerting import Alerting
from producer.bot_adders import BotAdders
from producer.condition import Condition
from producer.connecting import Connection, quieten, stay_connected
from producer.following import Following
from producer.gateway import Gateway, use_api
from producer.guild_workers import GuildWorkers
from producer.kept_proposals import KeptProposals
from producer.known_joins import KnownJoins
from producer.member_list import MemberList
from producer.member_search import MemberSearch
from producer.reconciling import Reconciling
from producer.recorder import Recorder
from producer.registrar import Registrar
from producer.remembering import Remembering
from producer.rest import RestInvites
from producer.stopping import Stopping
from producer.unheard_leaves import UnheardLeaves

log = logging.getLogger("producer")

# Seconds. A step takes no longer than this, nor than `Stopping` has left of the one deadline for them all; whatever
# these add up to, at least one second of it remains for the recorder.
FINISH_SECONDS = 5.0  # for the joins that wait
FOLLOW_SECONDS = 1.0  # for the leaves that wait, and what is yet to be confirmed
CLOSE_SECONDS = 1.5  # for leaving the gateway, and meanwhile keeping the evidence


async def serve(settings: Settings, stopping: Stopping) -> None:
    """Runs until `stopping` is set. Raises StartupError."""
    token = settings.token
    use_api(settings.discord_api_url)
    redis = connect(settings)
    await asyncio.to_thread(wait_for_server, redis, settings.redis_url or "", stopping.in_threads)
    recorder: Recorder | None = await stopping.or_done(Recorder.start(settings, redis))
    if recorder is None:
        return
    stopping.make_durable = recorder.make_durable
    try:
        await _produce(settings, token, redis, recorder, stopping)
    finally:
        await stopping.step(recorder.stop(stopping.left()))
        log.info("stopped")


async def _produce(settings: Settings, token: str, redis: Client, recorder: Recorder, stopping: Stopping) -> None:
    syncing: list[asyncio.Task[bool]] = []

    async def sync(gateway: Gateway) -> None:
        # Aside: a rate limit on commands may last for hours, and joins must not wait for it.
        syncing.append(asyncio.create_task(command_serving.sync_if_changed(gateway.tree, redis)))

    remembering = Remembering(redis, recorder, settings)
    await stopping.or_done(remembering.start())
    if stopping.event.is_set():
        return
    gateway = Gateway(on_login=sync)
    recorder.publishing.details = Connection(gateway).details
    source, search = RestInvites(gateway), MemberSearch(gateway, settings.member_search)
    known = KnownJoins(settings.invite_logs_dir, redis)
    following = Following(redis, recorder, known, search if settings.member_search else None)
    gateway.leaves, gateway.adders = following.leaves, BotAdders(gateway)
    workers = gateway.workers = GuildWorkers(
        source,
        Registrar(recorder, known, following.recorded),
        evidence=remembering.take(),
        keep=remembering.keep,
        adders=gateway.adders,
    )
    workers.born_offline = True
    listened = remembering.listened
    unheard = UnheardLeaves(settings.invite_logs_dir, recorder, following.leaves, known, listened)
    gateway.reconciling = Reconciling(workers, MemberList(gateway), search, known, listened, unheard)
    aside: list[asyncio.Task[Any]] = [
        asyncio.create_task(gateway.reconciling.run(), name="reconciling"),
        asyncio.create_task(unheard.run(), name="unheard leaves"),
    ]
    if settings.alerts_channel_id:
        alerting = Alerting(
            gateway, redis, settings.alerts_channel_id, search.state, backlog=recorder.publishing.backlog
        )
        aside.append(asyncio.create_task(alerting.run(), name="alerting"))
    condition = Condition(gateway, workers, redis, search.state)
    proposals = KeptProposals(redis)
    command_serving.install(gateway.tree, settings, recorder, source, condition, proposals, following.deciding)
    following.start()
    workers.adopt(recorder.unresolved())
    try:
        await stopping.or_done(stay_connected(gateway, token))
    finally:
        for task in (*aside, *syncing):
            task.cancel()
        # The gateway stays open meanwhile: whoever joins now is durable, and recorded at the next start at the latest.
        if left := await workers.stop(stopping.left(FINISH_SECONDS)):
            log.warning("%d joins are not attributed yet; the next start records them", left)
        await stopping.step(following.stop(), FOLLOW_SECONDS)
        await asyncio.gather(
            stopping.step(remembering.stop(), CLOSE_SECONDS), stopping.step(gateway.close(), CLOSE_SECONDS)
        )


async def _main(settings: Settings) -> None:
    stopping, loop = Stopping(ends_process=True), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await serve(settings, stopping)
    stopping.stepped()


def main() -> None:
    """Runs until SIGTERM or SIGINT; an error that ends it is one sentence and an exit code of its own."""
    try:
        settings = load()
        setup(settings.log_level)
        quieten()
        asyncio.run(_main(settings))
    except InviteLogError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence that start-up owes
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
