"""What a consumer does besides: archiving, merging, the daily backup. A fault in it keeps no record from its sink."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from joins.errors import InviteLogError, LeaseLost

if TYPE_CHECKING:
    from consumers.backing_up import DailyBackup

AGAIN = 600.0  # seconds before what failed is tried again
GoOn = Callable[[], bool]
_log = logging.getLogger("consumers.chores")


class Chores:
    """Done while there is nothing to deliver."""

    def __init__(self, rest: Callable[[GoOn], None], daily: DailyBackup | None) -> None:
        """`rest` puts the sink's house in order."""
        self._rest, self._daily = rest, daily
        self._next = 0.0
        self._fault: str | None = None
        self._undone: tuple[str, float] | None = None

    def do(self, go_on: GoOn) -> None:
        """Does what is due. Raises LeaseLost and redis errors."""
        if self._daily is not None:
            self._daily.look()
        if time.monotonic() >= self._next:
            self._fault = self._try(go_on)
            self._next = time.monotonic() + AGAIN if self._fault else 0.0

    def undone(self) -> tuple[str, float] | None:
        """What could not be done, as a sentence, and since when, in seconds since 1970 UTC; None when all is done."""
        faults = [self._fault, self._daily.fault if self._daily is not None else None]
        said = "; ".join(fault for fault in faults if fault)
        since = self._undone[1] if self._undone is not None else time.time()
        self._undone = (said, since) if said else None
        return self._undone

    def _try(self, go_on: GoOn) -> str | None:
        try:
            self._rest(go_on)
        except LeaseLost:
            raise
        except InviteLogError as error:
            if self._fault is None:
                _log.warning("%s; tried again every %.0f min", error, AGAIN / 60)
            return str(error)
        return None
