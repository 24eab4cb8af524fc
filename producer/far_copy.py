"""The cloud's copies, asked for in a thread of its own: a network that hangs costs neither lease nor patience."""

from __future__ import annotations

import queue
import threading
import time

from joins.copies.copy import Copy
from joins.copies.finding import open_copy
from joins.errors import InviteLogError, RetryableError, SinkUnavailable
from joins.lease import RENEW_EVERY, Lease
from joins.records import LOGS
from joins.settings import Settings

CLOUD_SECONDS = 20.0  # how long the cloud is waited for; its own time-outs are longer
PAUSE = 1.0  # seconds between two tries
_Answer = dict[str, Copy] | InviteLogError


def from_cloud(settings: Settings, lease: Lease) -> dict[str, Copy]:
    """The cloud's copies by log; a log that it does not hold is left out.

    Raises SinkUnavailable or NewerVersion when it does not answer in time, LogDamaged; LeaseLost, redis errors.
    """
    until = time.monotonic() + CLOUD_SECONDS
    answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(settings, answers, until), name="cloud copy", daemon=True).start()
    while True:
        lease.renew()
        try:
            answer = answers.get(timeout=RENEW_EVERY)
        except queue.Empty:
            if time.monotonic() > until:
                raise SinkUnavailable(f"the cloud backup does not answer within {CLOUD_SECONDS:.0f} s") from None
            continue
        if isinstance(answer, InviteLogError):
            raise answer
        return answer


def _ask(settings: Settings, answers: queue.SimpleQueue[_Answer], until: float) -> None:
    while True:
        try:
            found = {log: open_copy("cloud", log, settings.invite_logs_dir, settings.cloud_url) for log in LOGS}
            answers.put({log: copy for log, copy in found.items() if copy is not None})
            return
        except RetryableError as error:
            if time.monotonic() > until:
                answers.put(error)
                return
            time.sleep(PAUSE)
        except InviteLogError as error:
            answers.put(error)
            return
        except Exception as error:
            answers.put(InviteLogError(f"a fault in reading the cloud backup: {type(error).__name__}: {error}"))
            return
