"""Hypothesis strategies: text that breaks careless formats, and records full of it."""

from __future__ import annotations

from typing import Any

from factories import EXAMPLE, GUILD
from hypothesis import strategies as st

from joins.chain import Record
from joins.records import CHANGE_KINDS, CHANGES, JOINS, SOURCES, join_id, normal, timestamp

# Control characters, quotes, separators, formulas (full-width too), bidi overrides, lone surrogates, NUL, emoji.
NASTY = (
    "".join(map(chr, range(0x20))) + "\x7f\x80\x85\x9f\"'\\,;=+-@|%＝＋－＠"
    "\u2028\u2029\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff"
    "\ud800\udbff\udc00\udfff😀é漢u0n"
)
EXAMPLES = (
    "=1+1", "＝cmd|' /C calc'!A0", "'", "''=", "\\", "\\n", "\\u2028", "\\\\u0000", "\n=", "\t+1", '"', '","', "a\r\nb",
    "\0", "\u202egnp.exe", "\ud83d", "\ude00", "👩‍👩‍👧‍👦" * 4 + "😀" * 4, " ", "null", "1E5", "-0", "\u2028",
)  # fmt: skip
texts = st.one_of(
    st.sampled_from(EXAMPLES),
    st.text(st.sampled_from(NASTY), max_size=32),
    st.text(st.characters(codec=None), max_size=32),
)
names = st.none() | texts
ids = st.integers(0, 2**64 - 1).map(str)
moments = st.datetimes().map(lambda value: value.isoformat(timespec="microseconds"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
others = st.dictionaries(texts.map(lambda text: "x" + text), values, max_size=3)  # keys of a later version


@st.composite
def joins(draw: st.DrawFn) -> Record:
    """A join as a careless caller gives it: not in normal form, not sealed."""
    exact = draw(st.booleans())
    guild, user, moment = draw(ids), draw(ids), draw(moments)
    record: dict[str, Any] = {
        **draw(others),
        **{key: draw(names) for key in ("username", "display_name", "discriminator", "guild_name")},
        "timestamp": moment,
        "user_id": user,
        "guild_id": guild,
        "recorded_at": timestamp(draw(st.datetimes().map(lambda value: value.replace(year=2024)))),
        "join_id": join_id(guild, user, moment),
        "source": draw(st.sampled_from(SOURCES)),
        "method": draw(texts.filter(bool)),
        "confidence": "exact" if exact else draw(st.sampled_from(["ambiguous", "unknown"])),
        "candidates": draw(st.lists(values, max_size=3)),
        "inviter_id": draw(st.none() | ids),
        "flags": draw(st.lists(texts, max_size=3)),
        "evidence": draw(st.dictionaries(texts, values, max_size=3)),
    }
    if exact:
        record |= {"invite_code": draw(names), "staff_id": draw(st.none() | ids), "staff_username": draw(names)}
        record |= {key: draw(st.none() | st.integers(0, 2**53 - 1)) for key in ("uses_before", "uses_after")}
    return record


@st.composite
def changes(draw: st.DrawFn) -> Record:
    """A change as a careless caller gives it."""
    kind = draw(st.sampled_from(sorted(CHANGE_KINDS)))
    record: dict[str, Any] = {
        **draw(others),
        "recorded_at": draw(moments),
        "change": kind,
        "change_id": draw(texts.filter(bool)),
        "join_id": join_id(GUILD, str(EXAMPLE["user_id"]), str(EXAMPLE["timestamp"])),
        "guild_id": draw(ids),
        "user_id": draw(st.none() | ids),
        "actor_id": draw(st.none() | ids | st.just("member_search")),
        "reason": draw(names),
    }
    fields = {
        "invite_code": texts.filter(bool),
        "staff_id": ids,
        "staff_username": names,
        "confidence": st.just("exact"),
        "ib_link": names,
        "ib_code": names,
    }
    return record | {key: draw(fields[key]) for key in CHANGE_KINDS[kind]}


def records(log: str) -> st.SearchStrategy[Record]:
    """Careless records of a log."""
    return joins() if log == JOINS else changes()


def normals(log: str) -> st.SearchStrategy[Record]:
    """Records of a log in normal form."""
    return records(log).map(lambda record: normal(log, record))


LOGS = (JOINS, CHANGES)
