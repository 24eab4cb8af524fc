"""What awaits a second person's approval, in Redis: the button that approves it works after a restart too."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import asdict

from redis.exceptions import RedisError

import commands
from joins import keys
from joins.redis_url import Client
from joins.scripts import text

log = logging.getLogger("producer")


class KeptProposals:
    """Each is one string that expires by itself; writing it twice is writing it once."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def keep(self, proposal: commands.Proposal) -> None:
        """Keeps it until it ends. Raises Refused when Redis does not answer."""
        left = max(1, round(1000 * (proposal.until - time.time())))  # ms
        content = json.dumps(asdict(proposal))
        try:
            await asyncio.to_thread(self._redis.set, keys.proposal(proposal.id), content, px=left)
        except RedisError as error:
            log.warning("a proposal cannot be kept: %s", error)
            raise commands.Refused(
                "What a second person has to approve cannot be kept, since Redis does not answer: nothing was "
                "recorded; try again in a minute."
            ) from error

    async def read(self, proposal_id: str) -> commands.Proposal | None:
        """None when it has expired. Raises Refused when Redis does not answer."""
        try:
            found = await asyncio.to_thread(self._redis.get, keys.proposal(proposal_id))
        except RedisError as error:
            log.warning("a proposal cannot be read: %s", error)
            raise commands.Refused(
                "What is to be approved cannot be read, since Redis does not answer: nothing was recorded; press "
                "again in a minute."
            ) from error
        if found is None:
            return None
        content = json.loads(text(found))
        return commands.Proposal(**content | {"barred": tuple(content["barred"])})
