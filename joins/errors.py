"""Every error the invite log raises, as one tree.

    InviteLogError                 what happened, where, and what to do next
    ├── StartupError               the process cannot begin; it prints one sentence and exits with `exit_code`
    │   ├── SettingsError      10  a setting is missing, misspelt or malformed
    │   ├── TokenMissing       11  DISCORD_TOKEN is not set
    │   ├── TokenRefused       12  Discord does not accept the token
    │   ├── IntentsRefused     13  the application lacks a privileged intent
    │   ├── ServerUnreachable  14  REDIS_URL does not answer
    │   ├── ServerTooOld       15  the server lacks what streams need
    │   ├── FolderUnusable     16  the log folder cannot be written
    │   ├── ForeignLog         17  a log at our path was written by another program
    │   ├── ServerMissing      18  no Redis or Valkey program to run
    │   └── DiscordUnreachable 19  Discord does not answer
    ├── RetryableError             time or an operator cures it; wait, say so, go on
    │   ├── SinkUnavailable        disk full, network, database locked
    │   │   └── NoBucket           the cloud's bucket or folder does not exist
    │   ├── FetchFailed            Discord did not give a guild's invites
    │   ├── SearchUnavailable      Discord's member search is off, refused, indexing or out of reach
    │   ├── LeaseLost              another process writes now, or this one slept too long
    │   ├── HeadMoved              the sink's data is not where this process left it
    │   ├── ServerFull             the Redis server has no room (maxmemory)
    │   ├── NewerVersion           a record of a version that this program does not know yet
    │   ├── StreamForgot           the server lost records that were published
    │   └── StreamTrimmed          the stream no longer reaches back to the sink's head
    └── PermanentError             the same input fails for ever
        ├── InvalidRecord          an entry that is no valid record
        ├── LogDamaged             a log file holds what no crash of ours explains
        └── ChainBroken            a record's hash does not follow from its predecessor

Whether to try again is decided by type, never by the text of a message.
"""

from __future__ import annotations


class InviteLogError(Exception):
    """The root. The message is one sentence for a person: what happened, where, what to do."""

    exit_code = 1


class StartupError(InviteLogError):
    """A process cannot begin. `python -m …` prints the sentence and exits with `exit_code`."""


class SettingsError(StartupError):
    """One or more settings are wrong; the message names them all."""

    exit_code = 10


class TokenMissing(StartupError):
    """DISCORD_TOKEN is not set."""

    exit_code = 11


class TokenRefused(StartupError):
    """Discord answered 401 to the token."""

    exit_code = 12


class IntentsRefused(StartupError):
    """Discord closed the gateway with 4014: a privileged intent is not switched on."""

    exit_code = 13


class ServerUnreachable(StartupError):
    """The Redis server does not answer."""

    exit_code = 14


class ServerTooOld(StartupError):
    """The server is older than Redis 7.0 or Valkey 8."""

    exit_code = 15


class FolderUnusable(StartupError):
    """The log folder cannot be created or written."""

    exit_code = 16


class ForeignLog(StartupError):
    """A log at our path has no hash chain: another program wrote it."""

    exit_code = 17


class ServerMissing(StartupError):
    """There is no Redis or Valkey program on this machine to embed."""

    exit_code = 18


class DiscordUnreachable(StartupError):
    """Discord's API does not answer."""

    exit_code = 19


class RetryableError(InviteLogError):
    """Time or an operator cures it: wait, say so, go on."""


class SinkUnavailable(RetryableError):
    """A sink cannot take records now: disk full, no permission, network, locked database."""


class NoBucket(SinkUnavailable):
    """The cloud answers, but there is no such bucket or folder: nothing can be in it."""


class FetchFailed(RetryableError):
    """Discord did not give a guild's invites."""


class SearchUnavailable(RetryableError):
    """Discord's member search gives nothing for a guild now; `retry_after` seconds say when it may again."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LeaseLost(RetryableError):
    """This process is not, or is no longer, the one writer."""


class Interrupted(RetryableError):
    """This process ends, so what takes long was given up; the next one does it."""


class HeadMoved(RetryableError):
    """The sink's data is not where this process left it; read the head again."""


class ServerFull(RetryableError):
    """The Redis server has no room for more (maxmemory, and it evicts nothing)."""


class NewerVersion(RetryableError):
    """A record of a later format: it is waited for until this program is upgraded, never rejected."""


class StreamForgot(RetryableError):
    """The server no longer has records that were published: nothing is published until it is healed."""


class StreamTrimmed(RetryableError):
    """The stream begins above the sink's head; the records between must come from another sink."""


class PermanentError(InviteLogError):
    """The same input fails for ever."""


class InvalidRecord(PermanentError):
    """An entry that is no valid record."""


class LogDamaged(PermanentError):
    """A log file holds what no crash of ours explains; it names file and place and is left as it is."""


class ChainBroken(PermanentError):
    """A record's hash does not follow from its predecessor: edited, removed, inserted or moved."""
