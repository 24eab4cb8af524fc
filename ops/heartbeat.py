"""The call to an outside monitor while all is well: its silence tells even that nothing here is left to tell."""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request

TIMEOUT = 10.0  # seconds
_log = logging.getLogger("ops.watch")


class Heartbeat:
    """Calls one address. It is a secret: whoever knows it could feign that all is well."""

    def __init__(self, url: str) -> None:
        self._url, self._complained = url, False

    def beat(self) -> bool:
        """Whether the monitor took it; a failure is logged once, and harms nothing here."""
        try:
            request = urllib.request.Request(self._url, headers={"User-Agent": "persistent-invite-log"})
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                pass
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
            if not self._complained:
                _log.warning("the monitor of HEARTBEAT_URL cannot be reached (%s); trying again every minute", reason)
            self._complained = True
            return False
        if self._complained:
            _log.info("the monitor of HEARTBEAT_URL is reached again")
        self._complained = False
        return True
