"""A local Discord for tests and the demo: REST, gateway and control API on one port. See README.md."""

from __future__ import annotations

from .command_options import CommandRefused
from .control import SandboxClient, SandboxError
from .models import Join
from .replies import NoReply, Reply
from .server import Sandbox
from .world import WorldError

__all__ = ["CommandRefused", "Join", "NoReply", "Reply", "Sandbox", "SandboxClient", "SandboxError", "WorldError"]
