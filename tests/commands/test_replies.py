"""Names are harmless, limits are kept, and what people type is understood."""

from __future__ import annotations

import ast
from pathlib import Path

import discord
import pytest
from command_logs import MEMBER
from hypothesis import given
from hypothesis import strategies as st

import commands
from commands import asking, replies
from commands.refusals import Refused


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("john_doe", r"john\_doe"),
        ("**bold**", r"\*\*bold\*\*"),
        ("a\nb\tc", "a b c"),
        ("\u202edrow\u202c", "drow"),
        ("\u200b", "—"),
        (None, "—"),
        ("<@123456789012345678>", "\\<@\u200b123456789012345678>"),
        ("<t:1:R>", r"\<t:1:R>"),
        ("@everyone", "@\u200beveryone"),
        ("https://evil.example", r"https:\//evil.example"),
        ("[x](https://evil.example)", r"\[x](https:\//evil.example)"),
        ("# big", r"\# big"),
    ],
)
def test_a_name_is_shown_as_it_is_and_does_nothing(raw: str | None, shown: str) -> None:
    assert replies.name(raw) == shown


def test_a_code_cannot_leave_its_quotes() -> None:
    assert replies.code("a`b") == "`aˋb`"


def test_the_time_of_a_join_reads_as_specified() -> None:
    assert replies.joined_on("2025-10-31T14:30:45.123456") == "October 31, 2025 at 02:30 PM"
    assert replies.joined_on("2025-01-02T00:05:00.000000") == "January 02, 2025 at 12:05 AM"


@given(st.lists(st.text(max_size=300), max_size=60), st.lists(st.text(max_size=2000), max_size=30))
def test_no_embed_exceeds_the_limits(parts: list[str], fields: list[str]) -> None:
    made = replies.embed("t" * 300, "\n".join(parts))
    for text in fields:
        replies.add(made, "title", [text, *parts])
    assert len(made) <= 6000
    assert len(made.title or "") <= 256
    assert len(made.description or "") <= 4096
    assert all(0 < len(field.value or "") <= 1024 for field in made.fields)


def test_what_is_cut_is_counted() -> None:
    text, left = replies.lines(["x" * 100] * 50, 1024)
    assert text.endswith(f"… and {left} more")
    assert left == 41


@pytest.mark.parametrize("typed", [MEMBER, f" {MEMBER} ", f"<@{MEMBER}>", f"<@!{MEMBER}>"])
def test_a_user_is_an_id_or_a_mention(typed: str) -> None:
    assert asking.user_id(typed) == MEMBER


@pytest.mark.parametrize(
    "typed", ["bob", "123", "12345678901234567x", "１２３４５６７８９０１２３４５６７８", "1" * 30]
)
def test_an_id_that_is_no_id_is_a_sentence(typed: str) -> None:
    with pytest.raises(Refused, match="no user id"):
        asking.user_id(typed)


@pytest.mark.parametrize("typed", ["abc", "https://discord.gg/abc", "discord.com/invite/abc", " discord.gg/abc "])
def test_an_invite_is_a_code_or_a_link(typed: str) -> None:
    assert asking.invite_code(typed) == "abc"
    with pytest.raises(Refused):
        asking.invite_code(f"{typed} and more")


def test_a_period_ends_with_its_last_day() -> None:
    assert asking.period("2025-10-01", "2025-10-31") == ("2025-10-01T00:00:00.000000", "2025-11-01T00:00:00.000000")
    assert asking.period(None, " ") == (None, None)


@pytest.mark.parametrize("day", ["2025-02-30", "20251031", "31.10.2025", "yesterday", "0001-01-01", "9999-12-31"])
def test_a_day_that_is_no_day_is_a_sentence(day: str) -> None:
    with pytest.raises(Refused, match="year-month-day"):
        asking.period(None, day)


def test_a_period_the_wrong_way_round_is_a_sentence() -> None:
    with pytest.raises(Refused, match="ends before it begins"):
        asking.period("2025-11-01", "2025-10-31")


def test_a_very_long_name_is_cut() -> None:
    assert len(replies.plain("x" * 1000)) == 80


def test_links_are_web_addresses() -> None:
    assert replies.link("https://a.example/x_y") == "https://a.example/x_y"
    assert replies.link("javascript:x") == "javascript:x"
    assert replies.link(None) == "—"


def test_the_questions_know_no_discord() -> None:
    folder = Path(commands.__file__).parent
    silent = [path for path in folder.glob("*.py") if "knows no discord" in path.read_text().casefold()]
    assert {"history.py", "listing.py", "selection.py", "registry.py", "tally.py"} <= {path.name for path in silent}
    for path in silent:
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
        ]
        assert not any("discord" in name or name == "replies" for name in names), path.name


def test_embeds_measure_as_discord_measures() -> None:
    assert len(discord.Embed(title="ab", description="c")) == 3
