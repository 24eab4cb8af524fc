"""What is said of troubles, and when; and which troubles there are."""

from __future__ import annotations

from joins.process_report import Report
from producer import troubles
from producer.alerts import AGAIN, ROOM, WHERE, Known, Seen, Trouble, decide, restarted
from producer.outbox_alarm import Backlog

BAD = Trouble("it broke", "it works")
SLOW = Trouble("it broke", "it works", patience=60)


def said(memory: dict[str, Known], trouble: Trouble | None, at: float) -> tuple[dict[str, Known], list[str]]:
    return decide(memory, {"x": trouble}, at)


def test_a_trouble_is_said_once_and_its_end_once() -> None:
    memory, lines = said({}, BAD, 0)
    assert lines == ["⚠️ it broke"]
    memory, lines = said(memory, BAD, 10)
    assert lines == []
    memory, lines = said(memory, None, 20)
    assert lines == ["✅ it works"]
    memory, lines = said(memory, None, 30)
    assert lines == []


def test_what_passes_within_its_patience_is_never_said() -> None:
    memory, lines = said({}, SLOW, 0)
    assert lines == []
    memory, lines = said(memory, None, 50)
    assert (memory, lines) == ({}, [])
    memory, _ = said(memory, SLOW, 60)
    assert said(memory, SLOW, 119)[1] == []
    assert said(memory, SLOW, 120)[1] == ["⚠️ it broke"]


def test_a_trouble_that_comes_and_goes_is_no_flood() -> None:
    memory: dict[str, Known] = {}
    lines = []
    for tick in range(360):  # an hour, with a change every ten seconds
        memory, more = said(memory, BAD if tick % 2 else None, tick * 10.0)
        lines += more
    assert len(lines) <= 2 * (3600 / AGAIN)
    memory, _ = said(memory, None, 10_000)
    assert said(memory, None, 10_010)[0] == {}


def test_what_cannot_be_looked_at_stays_as_it_was() -> None:
    memory, _ = said({}, BAD, 0)
    assert decide(memory, {}, 10) == (memory, [])


def test_what_finds_no_room_is_said_next_time() -> None:
    many = {f"{number:03}": Trouble(f"{number:03} broke", "works") for number in range(400)}
    memory: dict[str, Known] = {}
    found: list[str] = []
    for at in range(10):
        memory, lines = decide(memory, many, at, ["a notice"])
        assert len("\n".join(lines)) <= ROOM
        assert lines[0] == "a notice"
        found += lines[1:]
    assert len(found) == len(set(found)) == 400


def test_a_restart_repeats_nothing_and_begins_patience_anew() -> None:
    memory, _ = decide({}, {"said": BAD, "unsaid": SLOW}, 0)
    memory = restarted(memory)
    assert decide(memory, {"said": BAD, "unsaid": SLOW}, 1000)[1] == []
    assert decide(memory, {"said": None}, 1000)[1] == ["✅ it works"]


def in_servers(names: str, granted: int, search: str = "available") -> Seen:
    """What is seen of servers with one-letter names and ids."""
    found: Seen = {}
    for one in names:
        found |= troubles.of_permissions(one, one, granted) | troubles.of_search(one, one, search, None)
    return found


def test_a_permission_that_many_servers_took_away_is_one_line() -> None:
    memory, lines = decide({}, in_servers("ABCDEF", 0x90, "refused"), 0)
    assert lines == [
        "⚠️ **Manage Server** is missing in 6 servers (**A**, **B**, **C** and 3 more): the bot cannot see how often "
        "invites were used. Grant it to me in Server Settings, Roles. Joins are recorded as unknown until then.",
        "⚠️ Discord refuses the member search in 6 servers (**A**, **B**, **C** and 3 more). Joins that the invite "
        "counts cannot tell apart stay ambiguous.",
    ]
    # Each is remembered on its own: what is over in some is said of those, once, and what begins elsewhere likewise.
    memory, lines = decide(memory, in_servers("AB", 0xB0) | in_servers("CDEF", 0x90, "refused"), 10)
    assert lines == [
        "✅ **Manage Server** is granted again in 2 servers (**A**, **B**).",
        "✅ The member search works again in 2 servers (**A**, **B**).",
    ]
    memory, lines = decide(memory, in_servers("AB", 0xB0) | in_servers("CDEFG", 0x90, "refused"), 20)
    assert [line.partition(":")[0].partition(". ")[0] for line in lines] == [
        "⚠️ **Manage Server** is missing in **G**",
        "⚠️ Discord refuses the member search in **G**",
    ]
    memory, lines = decide(memory, in_servers("ABCDEFG", 0x90, "refused"), 30)
    assert lines == []  # A and B had it a moment ago
    _, lines = decide(memory, in_servers("ABCDEFG", 0x90, "refused"), AGAIN)
    assert [line.partition(":")[0].partition(". ")[0] for line in lines] == [
        "⚠️ **Manage Server** is missing in 2 servers (**A**, **B**)",
        "⚠️ Discord refuses the member search in 2 servers (**A**, **B**)",
    ]


def test_three_hundred_servers_are_a_line_a_trouble_that_has_room_whatever_their_names() -> None:
    found: Seen = {}
    for number in range(300):
        one = str(number)
        found |= troubles.of_permissions(one, "*" * 100, 0) | troubles.of_search(one, "*" * 100, "refused", "_" * 400)
    memory: dict[str, Known] = {}
    said: list[str] = []
    for at in range(4):
        memory, lines = decide(memory, found, at)
        assert len("\n".join(lines)) <= ROOM
        said += lines
    assert len(said) == 4
    assert all("in 300 servers (" in line and "and 297 more)" in line for line in said)
    assert len(memory) == len(found) == 1200


def test_member_search_refused_for_another_reason_is_a_line_of_its_own() -> None:
    found: Seen = {}
    for one, reason in (("A", "403"), ("B", "404 {where}"), ("C", "403")):
        found |= troubles.of_search(one, one, "refused", reason)
    _, lines = decide({}, found, 0)
    assert [line.partition(". ")[0] for line in lines] == [
        "⚠️ Discord refuses the member search in 2 servers (**A**, **C**) (403)",
        "⚠️ Discord refuses the member search in **B** (404 {where})",
    ]


def test_what_an_earlier_version_said_of_each_server_is_not_said_again_and_ends_in_one_line() -> None:
    over = "**{}**: I have the permission **Manage Server** again."
    memory = {f"permission/{one}/Manage Server": Known(5.0, over.format(one), said=True, last=5.0) for one in "ABC"}
    _, lines = decide(restarted(memory), in_servers("ABC", 0xB0), 10)
    assert lines == [f"✅ {over.format(one)}" for one in "ABC"]
    memory, lines = decide(restarted(memory), in_servers("ABC", 0x90), 10)
    assert lines == []
    assert decide(memory, in_servers("ABC", 0xB0), 20)[1] == [
        "✅ **Manage Server** is granted again in 3 servers (**A**, **B**, **C**)."
    ]


def test_each_missing_permission_is_named_with_its_cost() -> None:
    found = troubles.of_permissions("1", "**Pip**", 0x10)
    server, channels = found["permission/1/Manage Server"], found["permission/1/Manage Channels"]
    assert channels is None
    assert server is not None
    assert server.begun.startswith(f"**Manage Server** is missing in {WHERE}: the bot cannot see how often")
    assert server.where == r"**\*\*Pip\*\***"
    assert set(troubles.of_permissions("1", "Pip", 0x8).values()) == {None}


def test_member_search_is_a_trouble_only_when_refused() -> None:
    assert troubles.of_search("1", "Pip", "refused", "403") != {"search/1": None}
    assert troubles.of_search("1", "Pip", "available", None) == {"search/1": None}
    for state in ("off", "indexing", "untried"):
        assert troubles.of_search("1", "Pip", state, None) == {}


def test_a_consumer_is_gone_or_failing_or_well() -> None:
    reports = {
        "json": Report("json", "working"),
        "csv": Report("csv", "failing", "no space @everyone."),
        "sqlite": Report("sqlite", "starting"),
    }
    found = troubles.of_sinks(reports)
    assert found["gone/json"] is found["failing/json"] is found["gone/csv"] is None
    failing, gone = found["failing/csv"], found["gone/cloud"]
    assert failing
    assert "@everyone" not in failing.begun
    assert failing.patience == 60
    assert gone
    assert "`cloud` is gone" in gone.begun
    # What starts is neither, and what is gone cannot be said to work.
    assert "failing/sqlite" not in found
    assert "failing/cloud" not in found


def test_what_a_consumer_cannot_do_besides_is_said_after_an_hour() -> None:
    reports = {
        "json": Report("json", "working"),
        "cloud": Report("cloud", "working", details={"undone": "no room @here"}),
    }
    found = troubles.of_sinks(reports)
    assert found["undone/json"] is None
    undone = found["undone/cloud"]
    assert undone
    assert (undone.patience, "@here" in undone.begun) == (3600, False)
    assert "has every record" in undone.begun
    assert "undone/csv" not in found


def test_dead_letters_are_counted() -> None:
    found = troubles.of_dead_letters(2)["dead-letters"]
    assert found
    assert found.begun.startswith("2 entries of the stream")
    assert troubles.of_dead_letters(0) == {"dead-letters": None}


def test_each_level_of_the_outbox_is_said_once_and_a_full_server_beside_it() -> None:
    memory: dict[str, Known] = {}
    said = []
    for records, full in (
        (49, False),
        (50, True),
        (89, True),
        (90, True),
        (120, True),
        (95, True),
        (60, False),
        (0, False),
    ):
        seen = troubles.of_outbox(Backlog(records, 100, redis_full=full))
        memory, lines = decide(memory, seen, 0)
        said.append(lines)
    assert said[0] == []
    assert said[1][0].startswith("⚠️ The outbox has reached 50 % of its limit: 50 records wait")
    assert said[1][1].startswith("⚠️ The Redis server is full")
    assert said[2] == []
    assert [line.partition(":")[0] for line in said[3]] == ["⚠️ The outbox has reached 90 % of its limit"]
    assert [line.partition(":")[0] for line in said[4]] == ["⚠️ The outbox is over its limit"]
    assert "nothing is dropped" in said[4][0]
    assert said[5] == ["✅ The outbox is below 100 % of its limit again."]
    assert said[6] == [
        "✅ The outbox is below 90 % of its limit again.", "✅ The Redis server has room again; the outbox drains.",
    ]  # fmt: skip
    assert said[7] == ["✅ The outbox is below 50 % of its limit again."]
