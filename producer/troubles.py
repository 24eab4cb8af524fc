"""What is wrong now, as sentences for the admin: permissions, member search, the copies. Pure.

Names and reasons are made harmless here.
"""

from __future__ import annotations

from collections.abc import Mapping

from commands import replies
from joins import permissions
from joins.keys import SINKS
from joins.process_report import Report
from joins.verified import ALTERED, LATE_SECONDS, UNSETTLED, Verified
from producer.alerts import WHERE, Trouble
from producer.outbox_alarm import LEVELS, REDIS_FULL, Backlog

Seen = dict[str, Trouble | None]

UNSETTLED_PATIENCE = 3 * 3600.0  # it is tried again every hour
SINK_PATIENCE = 60.0  # seconds that a copy may fail, or its consumer be away, before anybody is told
CHORE_PATIENCE = 3600.0  # seconds that archiving, merging or the daily backup may fail; each is tried every 10 min
REDIS_PATIENCE = 60.0  # seconds that Redis may be away without a word afterwards
_REASON = 300  # characters shown of one
_COPIES = {"json": "JSON log", "csv": "CSV log", "sqlite": "database", "cloud": "cloud copy"}


def of_permissions(guild_id: str, guild: str, granted: int) -> Seen:
    """Each permission that the bot lacks in a guild, by what it costs. `granted` is Discord's bit set."""
    lacking = permissions.missing(granted)
    return {
        f"permission/{guild_id}/{one.name}": Trouble(
            f"**{one.name}** is missing in {WHERE}: {one.loss}. Grant it to me in Server Settings, Roles."
            + (" Joins are recorded as unknown until then." if one.essential else ""),
            f"**{one.name}** is granted again in {WHERE}.",
            where=_named(guild),
        )
        if one in lacking
        else None
        for one in permissions.NEEDED
    }


def of_search(guild_id: str, guild: str, state: str, reason: str | None) -> Seen:
    """Member search, which settles what the invite counts cannot."""
    if state not in ("refused", "available"):
        return {}
    why = f" ({replies.text(reason, _REASON)})" if reason else ""
    refused = Trouble(
        f"Discord refuses the member search in {WHERE}{why}. Joins that the invite counts cannot tell apart stay "
        "ambiguous.",
        f"The member search works again in {WHERE}.",
        where=_named(guild),
    )
    return {f"search/{guild_id}": refused if state == "refused" else None}


def of_sinks(reports: Mapping[str, Report]) -> Seen:
    """Each of the four copies: its consumer is gone, or fails. Reports are those of the processes that live."""
    found: Seen = {}
    for sink in SINKS:
        copy, report = _COPIES[sink], reports.get(sink)
        if report is None:
            found[f"gone/{sink}"] = Trouble(
                f"The {copy} is not written: its consumer `{sink}` is gone. Nothing is lost; start it again.",
                f"The consumer `{sink}` is back; the {copy} catches up.",
                SINK_PATIENCE,
            )
            continue
        found[f"gone/{sink}"] = None
        if report.state == "failing":
            found[f"failing/{sink}"] = Trouble(
                f"The {copy} cannot be written: {replies.text(report.reason, _REASON)} Nothing is lost; it goes on by "
                "itself once that is cured.",
                f"The {copy} is written again.",
                SINK_PATIENCE,
            )
        elif report.state == "working":
            found[f"failing/{sink}"] = None
            found[f"undone/{sink}"] = _undone(copy, report.details.get("undone"))
    return found


def _undone(copy: str, why: str | None) -> Trouble | None:
    if why is None:
        return None
    return Trouble(
        f"The {copy} has every record, but what is done besides is not: {replies.text(why, _REASON)} It goes on by "
        "itself once that is cured.",
        f"What is done for the {copy} besides, such as archiving or the daily backup, works again.",
        CHORE_PATIENCE,
    )


def of_dead_letters(count: int) -> Seen:
    """Entries that are no valid record and were set aside."""
    wrong = Trouble(
        f"{replies.count(count, 'entry', 'entries')} of the stream could not be read as a record and were set aside"
        ": `invitelog dead-letters list` shows them, `show` why, `requeue` records them once they are right.",
        "No entry of the stream is set aside any more.",
    )
    return {"dead-letters": wrong if count else None}


def of_verified(outcome: Verified | None, now: float) -> Seen:
    """The daily verifying: it found something, could not tell, or is not run any more."""
    if outcome is None:
        return {}
    said = " ".join(replies.text(sentence, _REASON) for sentence in outcome.sentences[:2])
    altered = Trouble(
        f"Verifying the logs found that something was ALTERED: {said} `invitelog verify` shows all of it.",
        "Verifying finds all copies sound again.",
    )
    unsettled = Trouble(
        f"Verifying the logs could not be finished: {said}", "Verifying the logs works again.", UNSETTLED_PATIENCE
    )
    late = Trouble(
        "The logs were not verified for two days: is `invitelog watch` running?", "The logs are verified again."
    )
    return {
        "altered": altered if outcome.status == ALTERED else None,
        "unsettled": unsettled if outcome.status == UNSETTLED else None,
        "late": late if now - outcome.at > LATE_SECONDS else None,
    }


def anchored(outcome: Verified) -> str:
    """The message that keeps a day's heads where whoever alters the logs does not reach."""
    shown = " ".join(f"`{anchor}`" for anchor in outcome.anchors)
    return f"🔒 Anchors of {outcome.day}: {shown} (`invitelog verify --anchor …` holds the logs against one)"


def of_outbox(backlog: Backlog) -> Seen:
    """What waits for Redis, at each level it reaches, and a server that has no room."""
    found: Seen = {
        f"outbox/{level}": Trouble(
            f"{backlog.sentence[0].upper()}{backlog.sentence[1:]}.",
            f"The outbox is below {level} % of its limit again.",
        )
        if backlog.level == level
        else None
        for level in LEVELS
        if level >= backlog.level  # a lower one is not over while a higher one lasts
    }
    full = Trouble(f"{REDIS_FULL[0].upper()}{REDIS_FULL[1:]}.", "The Redis server has room again; the outbox drains.")
    return found | {"redis-full": full if backlog.redis_full else None}


def redis_was_away(seconds: float) -> str:
    """What is said once Redis answers again."""
    return f"✅ Redis answers again after {seconds / 60:.0f} min. Joins were kept on the producer's disk meanwhile."


def _named(guild: str) -> str:
    return f"**{replies.name(guild)}**"
