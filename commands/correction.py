"""Corrections of a join's attribution by a person: what may be corrected, by whom, and the record it becomes.

A correction is proposed, perhaps approved by somebody else, and recorded only if the attribution is
still the one that was shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from commands import referrer, replies
from commands.credit import credited
from commands.history import Join
from commands.recent import Recent
from commands.referrer import Referrer
from commands.refusals import Refused, Unfit
from commands.registry import Registry
from commands.services import Services
from commands.staff_change import change
from joins.chain import Record
from joins.records import EXACT

NO_INVITE = "none"
"""What somebody types for a join without an invite."""

METHOD = "person"
_SHOWN = ("invite_code", "staff_id", "confidence")


@dataclass(frozen=True)
class Correction:
    """A correction that could be recorded. Recording the same one again is recording it once.

    `shown`: `change_id` of the attribution that it corrects (None: the record itself), what that is held to be, and
    when the member joined. `known`: the code is. `favours`: it is in the corrector's own favour. `barred`: who may not
    approve it, as it concerns them too.
    """

    change: Record
    shown: Record
    known: bool
    favours: bool
    barred: frozenset[str]


class Corrections:
    """Proposes and records corrections, one at a time."""

    def __init__(self, services: Services, registry: Registry, recent: Recent) -> None:
        self._services, self._registry, self._recent = services, registry, recent
        # A correction rests on what was shown, so none may come between the second look and the record.
        self._lock = asyncio.Lock()

    async def joins(self, guild_id: str, user_id: str) -> list[Join]:
        """A member's joins, oldest first, with what this process recorded a moment ago. Raises Refused."""
        return (await asyncio.to_thread(self._recent.of_member, guild_id, user_id)).joins

    async def propose(
        self, guild_id: str, actor_id: str, user_id: str, join_id: str | None, code: str | None, reason: str
    ) -> Correction:
        """A correction of one join (None: the latest) to a code (None: no invite was used). Raises Refused."""
        joins = await self.joins(guild_id, user_id)
        join = _chosen(joins, join_id)
        if join["source"] == "bot":
            raise Refused("That is a bot: it was added, not invited, so there is no invite to correct.")
        found = Referrer(source="unknown", known=True)
        if code is not None:
            register = await asyncio.to_thread(self._registry.of_guild, guild_id)
            found = await referrer.of_code(self._services, register, guild_id, code)
        if join.settled and (join.invite_code, join.staff_id) == (code, found.staff_id):
            raise Refused(
                f"That is what is held already: {_said(join)}. Nothing was recorded; `/lookup_user_invite` shows it."
            )
        made = change(
            "attribution_corrected",
            guild_id,
            actor_id,
            reason,
            invite_code=code,
            staff_id=found.staff_id,
            staff_username=found.staff_username,
            confidence=EXACT,
            method=METHOD,
            source=found.source,
            # Names stand in the changes and the join alone, where they can be erased.
            was={key: join.effective(key) for key in _SHOWN},
        )
        made |= {"join_id": join["join_id"], "user_id": user_id}
        if not found.known:
            made["unverified"] = True
        favours, gainers = self._favours(joins, join, made)
        shown = {"change_id": _state(join), "held": _said(join), "joined_at": join["timestamp"]}
        return Correction(made, shown, found.known, favours, frozenset(gainers))

    async def record(self, made: Record, shown: Record, approved_by: str | None = None) -> Record:
        """Records it, and returns what is recorded: when it was already, with who approved it then.

        Raises Refused when it takes an approval, or the attribution is no longer the one shown.
        """
        guild_id, user_id = str(made["guild_id"]), str(made["user_id"])
        async with self._lock:
            joins = await self.joins(guild_id, user_id)
            join = _chosen(joins, made["join_id"])
            if join.change is not None and join.change["change_id"] == made["change_id"]:
                return join.change
            if _state(join) != shown["change_id"]:
                raise Refused(
                    f"The attribution changed meanwhile: it is now {_said(join)}. Nothing was recorded; look again "
                    "with `/lookup_user_invite`, and correct that if need be."
                )
            # Asked anew: another of the member's joins may have been corrected since.
            favours, concerned = self._favours(joins, join, made)
            if approved_by is None and favours:
                raise Refused("This is in your own favour, so it takes a second person: run the command again.")
            if approved_by in {made["actor_id"], *concerned}:
                raise Unfit("Nobody approves what is in his own favour.")
            made = made if approved_by is None else {**made, "approved_by": approved_by}
            self._recent.note(made, await self._services.record_change(made))
            return made

    def _favours(self, joins: Sequence[Join], join: Join, made: Record) -> tuple[bool, set[str]]:
        """Whether the corrector gains by it or it is his own join; and whom else it concerns."""
        actor, policy = str(made["actor_id"]), self._services.credit_policy
        # Taking the credit from the one before him is a gain too.
        after = [replace(one, change=made) if one is join else one for one in joins]
        before_it, after_it = _staff(credited(joins, policy).join), _staff(credited(after, policy).join)
        gainer = after_it if after_it != before_it else None
        concerned = {found for found in (join.user_id, made["staff_id"], gainer) if found}
        return actor in concerned, concerned


def _chosen(joins: Sequence[Join], join_id: str | None) -> Join:
    if not joins:
        raise Refused("No join of that user is recorded in this server, so there is nothing to correct.")
    if join_id is None:
        return joins[-1]
    for join in joins:
        if join["join_id"] == join_id:
            return join
    raise Refused("`joined` must be one of that user's joins: choose it from the list that Discord offers.")


def _state(join: Join) -> Any:
    return join.change["change_id"] if join.change else None


def _said(join: Join) -> str:
    if not join.settled:
        return join.confidence
    return replies.attribution(join.invite_code, join.staff_id, join.staff_username)


def _staff(join: Join | None) -> str | None:
    return join.staff_id if join else None
