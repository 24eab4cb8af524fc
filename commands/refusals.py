"""What a command says instead of an answer. Each message is the sentence that the person reads.

InviteLogError
└── Refused                the command cannot be answered as asked
    ├── NoDatabase         there is no database, or it cannot be read; the JSON log may answer
    ├── Unfit              this person may not approve it; somebody else may
    └── PermissionMissing  Discord does not let the bot see what the answer needs
"""

from __future__ import annotations

from joins.errors import InviteLogError

NO_LOGS = (
    "There is no invite log yet. It is created by itself when the first member joins while the bot is running; "
    "nothing has to be set up."
)
GUILD_ONLY = "This command answers about one server, so it works inside a server and not in direct messages."


class Refused(InviteLogError):
    """The command cannot be answered as it was asked; the message says why and what to do."""


class NoDatabase(Refused):
    """There is no database, or it cannot be read."""


class Unfit(Refused):
    """This person may not approve it, while somebody else still may."""


class PermissionMissing(Refused):
    """Discord does not let the bot see what the answer needs; the message names the permission."""
