"""Members who were there before the log began, as records of their joins; and which of them have a record already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from joins import keys
from joins.chain import Record
from joins.records import BACKFILLED, EXACT, JOINS, UNKNOWN, moment, normal
from joins.redis_url import Client
from ops import recorded_joins
from ops.member_pages import Page
from producer import attribution as attributions
from producer import listened, payloads, referral
from producer.attribution import Attribution
from producer.found import Found
from producer.join_record import build
from producer.listened import FIRST
from producer.payloads import Arrival
from producer.staff_registry import StaffRegistry
from producer.verdict import MEMBER_SEARCH

BACKFILL = "backfill"  # the method where nothing but the time of joining is known
YOUNGEST = timedelta(minutes=10)  # who joined later is the producer's to record, unless it began to listen later still
SAME = timedelta(seconds=2)  # two times of joining of one user that are no further apart are one join


class History:
    """Makes records of one guild's members. Its memory is that of one page."""

    def __init__(
        self, client: Client, folder: Path, guild: Mapping[str, Any], bot_id: str, bot_joined: datetime | None
    ) -> None:
        """Raises redis errors, and InviteLogError when nobody here can say which joins have a record."""
        self._client, self._folder, self._bot_id = client, folder, bot_id
        self._id, self._name = str(guild["id"]), guild.get("name")
        self._staff = StaffRegistry()
        self._staff.load(client)
        now = datetime.now(UTC)
        times = listened.in_redis(client)
        first = times.get(FIRST)
        self._settled = max(first, now - YOUNGEST) if first else now
        # The producer records whoever joined since (`Listened.since`), attributed by the difference over the gap where
        # that tells; a record made here first would take that chance. It never does of who came before the bot.
        since = times.get(self._id, first)
        self.until = self._settled if since is None else min(self._settled, max(since, bot_joined or since))
        recorded_joins.demand_database(client, folder)

    def records(self, page: Page) -> tuple[list[Record], int]:
        """The records of those members of the page who have none, and of how many it is the producer's to make one.

        These joined after `until`, up to when the guild was surely listened to.
        """
        arrivals = [self._arrival(member) for member in page.members if member.get("joined_at")]
        old = [a for a in arrivals if a["user_id"] != self._bot_id and moment(a["timestamp"]) <= self._settled]
        known = self._known(old)
        new = [arrival for arrival in old if arrival["join_id"] not in known]
        ours = [arrival for arrival in new if moment(arrival["timestamp"]) <= self.until]
        return [self._record(arrival, page.found.get(arrival["user_id"])) for arrival in ours], len(new) - len(ours)

    def _arrival(self, member: Mapping[str, Any]) -> Arrival:
        # No event announced it, so it counts as received at the moment of joining.
        joined_at = payloads.joined(member) or datetime.now(UTC)
        return payloads.arrival({**member, "guild_id": self._id}, self._name, joined_at)

    def _record(self, arrival: Arrival, found: Found | None) -> Record:
        joined = {**arrival, "flags": [*arrival["flags"], BACKFILLED]}
        if arrival["bot"]:
            return normal(JOINS, build(joined, attributions.bot(payloads.waiting(arrival)), None, datetime.now(UTC)))
        if found is None:
            attribution = Attribution(arrival["join_id"], "unknown", BACKFILL, UNKNOWN)
            return normal(JOINS, build(joined, attribution, None, datetime.now(UTC)))
        attribution = Attribution(
            arrival["join_id"],
            found.source,
            MEMBER_SEARCH,
            EXACT if found.settles else UNKNOWN,
            invite_code=found.invite_code,
            inviter_id=found.inviter_id,
            evidence=found.evidence,
        )
        staff, flags = referral.of_arrival(self._staff, joined, attribution)
        return normal(JOINS, build(joined, attribution, staff, datetime.now(UTC), flags))

    def _known(self, arrivals: Sequence[Arrival]) -> set[str]:
        """The ids of those joins that have a record, or are about to have one."""
        if not arrivals:
            return set()
        ids = [arrival["join_id"] for arrival in arrivals]
        found: list[Any] = [*self._client.hmget(keys.PUBLISHED, ids)]
        about: list[Any] = [*self._client.hmget(keys.ARRIVALS, ids)]
        known = {join_id for join_id, *values in zip(ids, found, about, strict=True) if any(values)}
        recorded = recorded_joins.of_users(self._folder, self._id, [arrival["user_id"] for arrival in arrivals])
        for arrival in arrivals:
            joined_at = moment(arrival["timestamp"])
            if any(abs(join.at - joined_at) <= SAME for join in recorded.get(arrival["user_id"], ())):
                known.add(arrival["join_id"])
        return known
