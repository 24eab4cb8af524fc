"""A lease: who may write, for how long, with a fencing number that tells a late holder from the present one."""

from __future__ import annotations

import os
import socket
import time

from joins import keys
from joins.errors import LeaseLost
from joins.redis_url import Client
from joins.scripts import script, text

TTL = 6.0  # seconds; a successor elsewhere waits at most this long after its holder's death
RENEW_EVERY = 1.5  # seconds


class Lease:
    """One lease of this process. Not held until `acquire` says so."""

    def __init__(self, client: Client, name: str, place: str = "") -> None:
        """`place` names what the holder has locked; a lease taken from there is taken over at once."""
        self._client, self._name, self._place = client, name, place
        self._take, self._renew = script(client, "lease"), script(client, "renew")
        self.value: str | None = None
        self._valid_until = 0.0

    def acquire(self) -> bool:
        """Whether this process holds the lease now. Raises redis errors."""
        asked = time.monotonic()
        owner = f"{socket.gethostname()}:{os.getpid()}"
        arguments: list[str | int] = [owner, self._place, int(TTL * 1000)]
        taken, value = self._take(keys=[keys.lease(self._name), keys.FENCE], args=arguments)
        self.value = text(value) if taken else None
        self._valid_until = asked + TTL if taken else 0.0
        return bool(taken)

    def renew(self) -> None:
        """Prolongs the lease. Raises LeaseLost when another process took it or it ran out."""
        asked = time.monotonic()
        if self.value is None or not self._renew(keys=[keys.lease(self._name)], args=[self.value, int(TTL * 1000)]):
            self.value, self._valid_until = None, 0.0
            raise LeaseLost(
                f"the lease of {self._name} ran out, or another process took it; it is taken again when it is free"
            )
        self._valid_until = asked + TTL

    def check(self) -> None:
        """Raises LeaseLost when the lease has run out by this machine's own clock: asks nobody."""
        if time.monotonic() >= self._valid_until:
            raise LeaseLost(f"the lease of {self._name} ran out: this process was stopped, or the server is away")

    def release(self) -> None:
        """Gives the lease up, so that a successor need not wait."""
        if self.value is not None:
            self._renew(keys=[keys.lease(self._name)], args=[self.value, "0"])
            self.value, self._valid_until = None, 0.0
