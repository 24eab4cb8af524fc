"""How the answer to a lookup reads: who, by which invite, through whom, who is credited, and from where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import discord

from commands import replies
from commands.credit import Credit, Policy
from commands.history import History, Join
from commands.registry import Register, Staff
from joins.records import ADOPTED, AMBIGUOUS, EXACT

FROM_LOG = "Persistent JSON log (immutable record)"
FROM_DATABASE = "Database (the JSON log does not hold this join)"
FROM_OTHER_BOT = "Taken over from the log of an earlier bot, whose word it is"
LONGEST_REASON = 300  # characters shown of one
_EARLIER_SHOWN = 5
_NO_INVITE = {
    "discovery": "none: found the server in Server Discovery",
    "hub": "none: came through a Student Hub",
    "bot": "none: a bot, added by an administrator",
    "integration": "none: added by an application or an integration",
    "manual_verification": "none: admitted by manual verification",
    "linked_lobby": "none: came from a linked lobby",
    "vanity": "none of a member's: the server's vanity URL",
}


def embed(history: History, register: Register, credit: Credit[Join], policy: Policy) -> discord.Embed:
    """The answer about a member's latest join. The history must hold at least one."""
    join = history.joins[-1]
    made = replies.embed("Invite lookup")
    replies.add(made, "User", _user(join))
    replies.add(made, "Invite", _invite(join))
    replies.add(made, "Referring Staff", _staff(join, register))
    if join.confidence == AMBIGUOUS:
        replies.add(made, "Candidates", _candidates(join, register))
    replies.add(made, "Credited To", _credited(credit, history.joins, register, policy))
    if join.change is not None:
        replies.add(made, _change_title(join), _change(join, join.change))
    if join.earlier:
        replies.add(made, f"Before That ({len(join.earlier):,})", [_earlier(change) for change in join.earlier])
    earlier = history.joins[-2::-1]
    if earlier:
        parts = [_brief(one) for one in earlier[:_EARLIER_SHOWN]]
        if len(earlier) > _EARLIER_SHOWN:
            parts.append(f"… and {len(earlier) - _EARLIER_SHOWN:,} before these")
        replies.add(made, f"Earlier Joins ({len(earlier):,})", parts)
    source = [FROM_LOG if join.from_log else FROM_DATABASE]
    if join["method"] == ADOPTED:
        source.append(_adopted(join))
    if join.doubt:
        source.append(f"⚠️ Do not rely on it: {join.doubt}. Have an administrator verify the logs.")
    replies.add(made, "Data Source", source)
    return made


def _user(join: Join) -> list[str]:
    tag = join["discriminator"]
    username = f"{join['username']}#{tag}" if join["username"] and tag not in (None, "0", "0000") else join["username"]
    if username is None and join["display_name"] is None:
        return ["**Name:** erased", f"**ID:** {replies.code(join.user_id)}"]
    return [
        f"**Name:** {replies.name(username)}",
        f"**Display Name:** {replies.name(join['display_name'] or join['username'])}",
        f"**ID:** {replies.code(join.user_id)} (<@{join.user_id}>)",
    ]


def _invite(join: Join) -> list[str]:
    if join.invite_code:
        used = replies.code(join.invite_code) + (" (vanity URL)" if join.source == "vanity" else "")
    elif join.confidence == AMBIGUOUS:
        used = "**not certain**: one of the candidates below"
    elif join.confidence != EXACT:
        used = f"**not known** ({_why_unknown(join)})"
    else:
        used = _NO_INVITE.get(join.source, "none was used")
    timestamp = str(join["timestamp"])
    parts = [f"**Code:** {used}"]
    parts.append(f"**Joined On:** {replies.joined_on(timestamp)} UTC ({replies.at(timestamp, 'R')})")
    # The counts belong to the invite that was recorded; they say nothing about another one found later.
    counted = join.invite_code is not None and join.invite_code == join["invite_code"]
    for label, key in (("Uses Before", "uses_before"), ("Uses After", "uses_after")):
        value = join[key] if counted else None
        parts.append(f"**{label}:** {replies.NONE if value is None else f'{value:,}'}")
    return parts


def _why_unknown(join: Join) -> str:
    if join["method"] == "no_permission":
        return "the bot lacked Manage Server, so it could not see the invites"
    if join["method"] == "no_snapshot":
        return "the bot had no list of the invites from before the join"
    if join["method"] == ADOPTED:
        return "the log of the earlier bot names none"
    return "no invite's count rose for this join"


def _adopted(join: Join) -> str:
    evidence: Mapping[str, Any] = join["evidence"] or {}
    place = replies.name(str(evidence.get("adopted_from") or "a file"))
    line = evidence.get("line")
    return f"{FROM_OTHER_BOT} ({place}{f', line {line:,}' if isinstance(line, int) else ''})"


def _staff(join: Join, register: Register) -> list[str]:
    adder = _added_by(join)
    if join["source"] == "bot" and adder:
        return [f"**Added By:** <@{adder}> ({replies.code(adder)})"]
    if join.staff_id is None:
        if join.staff_unread:
            return ["not known: to whom the invite was assigned when this member joined cannot be told"]
        if not join.settled:
            return ["not known, since the invite is not"]
        return ["nobody: the invite belongs to no member" if join.invite_code else "nobody: no invite was used"]
    staff = register.staff.get(join.staff_id)
    listed = (staff.name if staff else None) or join.staff_username
    parts = [
        f"**Name:** {replies.name(listed) if listed else f'<@{join.staff_id}>'}",
        f"**ID:** {replies.code(join.staff_id)} (<@{join.staff_id}>)",
    ]
    if staff is not None and staff.retired:
        parts[0] += " (retired)"
    return parts + ib(staff)


def ib(staff: Staff | None) -> list[str]:
    """A staff member's IB link and IB code, as lines."""
    if staff is None:
        missing = "not registered — `/staff set`"
        return [f"**IB Link:** {missing}", f"**IB Code:** {missing}"]
    return [
        f"**IB Link:** {replies.link(staff.ib_link) if staff.ib_link else 'not set — `/staff set`'}",
        f"**IB Code:** {replies.code(staff.ib_code) if staff.ib_code else 'not set — `/staff set`'}",
    ]


def _added_by(join: Join) -> str | None:
    evidence: Mapping[str, Any] = join["evidence"] or {}
    adder = join["inviter_id"] or evidence.get("added_by")
    return str(adder) if adder and str(adder).isdigit() else None


def _candidates(join: Join, register: Register) -> list[str]:
    parts = [
        "Several invites may have been used at that moment. Discord's member search settles it while the member is in "
        "the server, if the bot has Manage Server; else a member of staff asks, and records it with `/correct_invite`."
    ]
    for candidate in join["candidates"] or ():
        code = candidate.get("invite_code")
        owner = register.codes.get(code) or candidate.get("inviter_id")
        staff = register.staff.get(owner) if owner else None
        who = replies.name(staff.name) if staff and staff.name else f"<@{owner}>" if owner else "nobody known"
        parts.append(f"{replies.code(code)} · {who}")
    return parts


def _credited(credit: Credit[Join], joins: Sequence[Join], register: Register, policy: Policy) -> list[str]:
    shown, parts = joins[-1], []
    if credit.join is None:
        parts.append(
            "nobody yet" if credit.provisional else "nobody: no referrer is recorded, or only the member themselves"
        )
    else:
        staff_id = str(credit.join.staff_id)
        staff = register.staff.get(staff_id)
        listed = (staff.name if staff else None) or credit.join.staff_username
        which = "this join" if credit.join is shown else f"the join of {replies.at(str(credit.join['timestamp']), 'D')}"
        who = replies.name(listed) if listed else f"<@{staff_id}>"
        parts.append(f"**{who}** ({replies.code(staff_id)}), for {which}: {_why(credit, joins, policy)}")
        if staff_id != shown.staff_id:
            # It is this one's IB that a VIP belongs to, and the field above shows another's.
            parts += ib(staff)
    if credit.provisional:
        dates = ", ".join(replies.at(str(join["timestamp"]), "D") for join in credit.unsettled[:5])
        parts.append(f"⚠️ Provisional: it is not settled who referred the member on {dates}.")
    parts.append(f"Policy: {policy.sentence}, once a person, and never for oneself.")
    return parts


def _why(credit: Credit[Join], joins: Sequence[Join], policy: Policy) -> str:
    """The policy's reason, such as "first referrer, rejoined twice since"."""
    place = next(place for place, join in enumerate(joins) if join is credit.join)
    since, before = len(joins) - place - 1, place
    parts = [policy.value.replace("_", " ")]
    if before and policy is Policy.LATEST_REFERRER:
        parts.append(f"joined {_times(before)} before")
    if since:
        parts.append(f"rejoined {_times(since)} since")
    return ", ".join(parts)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _change_title(join: Join) -> str:
    if not join.altered and join.change is not None and join.change["change"] == "attribution_confirmed":
        return "Confirmation"
    return "Correction" if join["confidence"] == EXACT else "Settled Later"


def _change(join: Join, change: Mapping[str, Any]) -> list[str]:
    by, when = _by(change), replies.at(str(change["recorded_at"]))
    if not join.altered and change["change"] == "attribution_confirmed":
        return [f"Confirmed by {by} on {when}."]
    parts = [
        f"**Recorded:** {replies.attribution(join['invite_code'], join['staff_id'], join['staff_username'])}"
        if join["confidence"] == EXACT
        else f"**Recorded:** {join['confidence']}",
        f"**Now:** {replies.attribution(join.invite_code, join.staff_id, join.staff_username)}",
        f"By {by} on {when}.",
    ]
    if change.get("unverified"):
        parts.append("⚠️ Neither Discord nor the logs knew this code when it was recorded.")
    if change.get("reason"):
        parts.append(f"Reason: {replies.text(change['reason'], LONGEST_REASON)}")
    return parts


def _by(change: Mapping[str, Any]) -> str:
    actor = str(change.get("actor_id") or "")
    by = "Discord's member search" if actor == "member_search" else f"<@{actor}>" if actor else "somebody not named"
    return f"{by}, approved by <@{change['approved_by']}>," if change.get("approved_by") else by


def _earlier(change: Mapping[str, Any]) -> str:
    what = replies.attribution(change.get("invite_code"), change.get("staff_id"), change.get("staff_username"))
    if change.get("confidence") != EXACT:
        what = str(change.get("confidence"))
    reason = f": {replies.name(change['reason'])}" if change.get("reason") else ""
    return f"{replies.at(str(change['recorded_at']))} · {what} · by {_by(change)}{reason}"


def _brief(join: Join) -> str:
    known = join.invite_code or join.confidence == EXACT
    what = replies.attribution(join.invite_code, join.staff_id, join.staff_username) if known else join.confidence
    return f"{replies.at(str(join['timestamp']))} · {what}"
