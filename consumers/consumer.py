"""One sink's consumer: the lock and the lease that make it the one writer, its delivery, and what it reports."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from redis.exceptions import OutOfMemoryError, RedisError

from consumers.chores import Chores
from consumers.delivery import Delivery
from consumers.filling import Filling
from consumers.holding import claim_of
from consumers.outage import Outage
from consumers.sink import opener
from joins import process_report, tokens
from joins.durable import FolderLock, folder_id, make_folder
from joins.errors import InviteLogError, LeaseLost
from joins.lease import RENEW_EVERY, Lease
from joins.process_report import Report
from joins.redis_url import connect
from joins.settings import Settings

if TYPE_CHECKING:
    from consumers.backing_up import DailyBackup

_log = logging.getLogger("consumers")


class Consumer:
    """Everything one consumer process holds. Use as a context manager."""

    def __init__(self, settings: Settings, sink: str) -> None:
        """Raises FolderUnusable. Nothing is sent to the server yet."""
        folder = make_folder(settings.invite_logs_dir)
        self.sink = sink
        self.client = connect(settings, connections=3)
        self.stopping = threading.Event()
        self.outage = Outage()
        self._cleared = False
        self._lock = FolderLock(folder, sink)
        self._claim = claim_of(folder, sink)
        self._locked = False
        self._lease = Lease(self.client, sink, folder_id(folder))
        open_sink = opener(sink)
        self._filling = Filling(sink, settings, self._lease.check, lambda: not self.stopping.is_set())
        self._delivery = Delivery(self.client, sink, lambda: open_sink(settings), self._lease.check, self._filling.fill)
        self._report = Report(sink)
        self._chores = Chores(self._delivery.rest, _daily_backup(settings) if sink == "cloud" else None)
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._keeper.join()
        self._delivery.close()
        try:
            if self._lease.value is not None:
                self._lease.release()
                process_report.withdraw(self.client, self.sink)
        except RedisError as failure:
            _log.info("the lease runs out by itself: %s", failure)
        self._lock.release()
        self.client.close()

    def take(self) -> bool:
        """Whether this process is the sink's one writer now. Raises redis errors."""
        if self._claim.taken:
            self._let_go()
            return False
        if not self._locked:
            self._locked = self._lock.acquire()
        return self._locked and self._lease.acquire()

    def attempt(self) -> float:
        """Delivers what there is; gives the seconds to wait before the next try, 0 when all went well.

        An outage does not raise: the token is given back, one failed job shows in `rq info`, and the caller waits.
        Raises LeaseLost, and redis errors when the server is away.
        """
        try:
            self._step_aside()
            self._delivery.run(lambda: not self.stopping.is_set())
            self._recovered()
            return 0.0
        except (LeaseLost, RedisError):
            raise
        except Exception as error:
            return self._failed(error)

    def look_around(self) -> int:
        """Sets the queue right where it was disturbed (`rq empty`, a lost server); gives the backlog."""
        try:
            self._step_aside()
            backlog = self._delivery.backlog()
        except (LeaseLost, RedisError):
            raise
        except Exception as error:
            self._failed(error)
            return 1
        if backlog == 0:
            self._recovered()
            self._chores.do(lambda: not self.stopping.is_set())
        return backlog

    def _step_aside(self) -> None:
        """Lets go of the sink for a command that asks for it. Raises LeaseLost then."""
        if self._claim.taken:
            self._let_go()
            raise LeaseLost(f"a command works on the {self.sink} sink; this consumer goes on after it")

    def _let_go(self) -> None:
        """Keeps nothing of the sink, whatever of it this process had."""
        self._delivery.close()
        try:
            self._lease.release()
        finally:  # a server that is away keeps no command waiting
            self._lock.release()
            self._locked = False

    def say(self, state: str, reason: str | None = None) -> None:
        """What the next report says; the keeper sends it."""
        if (state, reason) != (self._report.state, self._report.reason):
            if state == "waiting":
                _log.warning("%s", reason)
            since = self.outage.since or time.time()
            self._report = Report(self.sink, state, reason, since, started=self._report.started)

    def _failed(self, error: Exception) -> float:
        first = self.outage.since is None or str(error) != self.outage.reason
        self._delivery.close()
        delay = self.outage.failed(str(error) or type(error).__name__)
        if first:
            # Our own errors are sentences; anything else is a fault of the program and shows where it is.
            _log.error("%s; trying again until it works", error, exc_info=not isinstance(error, InviteLogError))
        self.say("failing", self.outage.reason)
        try:
            tokens.show_outage(self.client, self.sink, str(error))
        except OutOfMemoryError as full:
            _log.debug("a full server shows no failed job: %s", full)
        self._give_back()
        return delay

    def _give_back(self) -> None:
        """Gives the token in hand back, as far as the group is known to the server."""
        try:
            self._delivery.give_back()
        except InviteLogError as error:
            _log.debug("the queue is set right later: %s", error)

    def _recovered(self) -> None:
        reason = self.outage.reason
        if (lasted := self.outage.over()) is not None:
            _log.info("works again after %.0f s (%s)", lasted, reason)
        if lasted is not None or not self._cleared:  # at first what an earlier process left
            tokens.clear_outage(self.client, self.sink)
            self._cleared = True
        self.say("working")

    def _keep(self) -> None:
        """Renews the lease and sends the report, beside whatever the main thread does."""
        while not self.stopping.wait(RENEW_EVERY):
            try:
                if self._report.state == "waiting":
                    continue  # the one that writes reports under this name
                if self._lease.value is not None:
                    self._lease.renew()
                heads, undone = self._delivery.heads, self._chores.undone()
                report = replace(
                    self._report,
                    reason=self._report.reason or self._filling.under_way,
                    heads={log: head[0] for log, head in heads.items()},
                    hashes={log: head[1] for log, head in heads.items()},
                    details={
                        "delivered": self._delivery.delivered,
                        **({"undone": undone[0], "undone_since": undone[1]} if undone else {}),
                    },
                )
                process_report.send(self.client, report)
            except LeaseLost as error:
                _log.warning("%s", error)
            except RedisError as error:
                _log.debug("no report: %s", error)


def _daily_backup(settings: Settings) -> DailyBackup:
    from consumers.backing_up import DailyBackup  # with obstore, which the other sinks do not need in memory

    return DailyBackup(settings)
