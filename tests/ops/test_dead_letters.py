"""`invitelog dead-letters` on a real server, with a real producer and a real sink."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from factories import FIRST_MOMENT, Feed, join

from joins import dead_letters, keys
from joins.chain import canonical, seal
from joins.groups import Group
from joins.json_format import to_line
from joins.records import CHANGES, JOINS
from joins.redis_url import Client
from ops.__main__ import main
from ops.dead_letters import printable
from producer import healing, publishing
from tests.producer.test_healing import deliver, logged, record, recording, stream, until

NASTY = b"\x1b[31mred\x07 \xe2\x80\xae\xc2\x9b31m\x7f\r\n\xff\xed\xa0\x80"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, server_url: str, tmp_path: Path) -> None:
    monkeypatch.setattr(publishing, "TICK", 0.02)
    monkeypatch.setattr(publishing, "LONGEST_DELAY", 0.1)
    monkeypatch.setattr(healing, "REPORTS_SECONDS", 0.05)
    monkeypatch.setenv("REDIS_URL", server_url)
    monkeypatch.chdir(tmp_path)


def invitelog(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["dead-letters", *arguments])


def said(*arguments: str) -> str:
    done = invitelog(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def add(client: Client, fields: dict[Any, Any]) -> str:
    """An entry by hand, after what there is."""
    entry = client.xadd(keys.stream(JOINS), fields)
    assert isinstance(entry, bytes)
    return entry.decode()


def by_hand(number: int, **values: Any) -> dict[str, str | bytes]:
    """A record as somebody would add it who does not know of commitments."""
    item = join(number, **values)
    return {"v": "1", "id": item["join_id"], "r": to_line(item)}


def ids(client: Client) -> list[str]:
    return [letter.id for letter in dead_letters.letters(client)]


def only_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


async def test_what_no_record_is_is_listed_and_shown_and_nothing_of_it_reaches_the_terminal_raw(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    Feed(redis_client)
    events = [
        add(redis_client, {"junk": NASTY, b"\x1b]0;title\x07": "x"}),
        add(redis_client, {"log": "mine", "reason": "mine", "sink": "mine", "fields": "[]", "event_id": "9-9"}),
        add(redis_client, {"v": "1", "id": "x", "r": b'{"a": "\\u001b[31m\\u202e\\u009b", "b": [1, {}]}'}),
        add(redis_client, {"v": "1", "id": "x", "r": "x" * 1_000_000}),
        add(redis_client, {"v": "1", "id": "x", "r": "[" * 100_000}),
        add(redis_client, {str(number): "v" for number in range(20_000)}),
    ]
    deliver(redis_client, tmp_path)
    lines = (await asyncio.to_thread(said, "list")).splitlines()
    assert [line.split("  ")[3] for line in lines] == events
    assert all("  joins  " in line and "  json  " in line for line in lines)
    assert "the entry has 1000000 bytes; a record has at most 65536" in lines[3]
    assert all(len(line) < 400 for line in lines)
    assert only_printable("\n".join(lines))
    shown = [await asyncio.to_thread(said, "show", letter) for letter in ids(redis_client)]
    assert all(only_printable(text) for text in shown)
    assert r"\x1b[31mred\x07 \u202e\x9b31m\x7f\r\n\udcff\udced" in shown[0]
    assert r"\x1b]0;title\x07:" in shown[0]
    assert "reason:   the entry has not the fields v and r of a record" in shown[1]
    assert "reason:\n    mine" in shown[1]
    assert '      "b": [\n' in shown[2]
    assert len(shown[3]) > 1_000_000
    assert len(shown[5].splitlines()) > 40_000
    listed = json.loads(await asyncio.to_thread(said, "list", "--json"))
    assert [(item["id"], item["event_id"], item["requeued"]) for item in listed] == [
        (letter, event, None) for letter, event in zip(ids(redis_client), events, strict=True)
    ]
    raw = await asyncio.to_thread(said, "show", "--json", listed[0]["id"])
    assert only_printable(raw)
    fields = {name: value.encode(errors="surrogateescape") for name, value in json.loads(raw)["fields"]}
    assert fields["junk"] == NASTY


async def test_a_record_that_is_valid_but_for_its_seal_is_requeued_once_under_a_new_id(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        promised = await record(made, 0, 3)
        await until(lambda: not made.publishing.backlog().records)
        add(redis_client, by_hand(10))
        add(redis_client, {"junk": "x"})
        deliver(redis_client, tmp_path)
        good, junk = ids(redis_client)
        refused = await asyncio.to_thread(invitelog, "requeue", "--all")
        assert refused.exit_code == 1
        assert f"{good}: handed to the producer" in refused.output
        assert f"{junk}: no valid record: the entry holds no record; give the right one with --file" in refused.output
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 6)
        deliver(redis_client, tmp_path)
        again = await asyncio.to_thread(said, "requeue", good)
        assert f"{good}: was requeued already" in again
        await record(made, 20, 1)
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 7)
        deliver(redis_client, tmp_path)
    assert [item["join_id"] for item in logged(tmp_path)] == [
        *(name for _, name in promised), join(10)["join_id"], join(20)["join_id"],
    ]  # fmt: skip
    lines = (await asyncio.to_thread(said, "list")).splitlines()
    assert " [requeued " in lines[0]
    assert " [requeued " not in lines[1]
    assert dead_letters.open_count(redis_client) == 1
    assert ids(redis_client) == [good, junk], "nothing is deleted"


async def test_an_operator_gives_the_corrected_record_and_a_wrong_one_is_refused_with_the_reason(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "right.json"
    async with recording(server_url, tmp_path):
        # Published by a producer, with names that no longer match their commitment.
        wrong = {**seal(join(5)), "username": "changed"}
        add(redis_client, {"v": "1", "id": wrong["join_id"], "r": to_line(wrong)})
        deliver(redis_client, tmp_path)
        (letter,) = ids(redis_client)
        refused = await asyncio.to_thread(invitelog, "requeue", letter)
        assert (refused.exit_code, "do not match their commitment" in refused.output) == (1, True)
        for content, reason in (
            (to_line({**wrong, "user_id": "me"}), "user_id must be an id in digits"),
            (b"{", "the entry is no JSON"),
        ):
            file.write_bytes(content)
            refused = await asyncio.to_thread(invitelog, "requeue", letter, "--file", str(file))
            assert (refused.exit_code, reason in refused.output) == (1, True), refused.output
        assert dead_letters.open_count(redis_client) == 1
        file.write_bytes(json.dumps({**wrong, "event_id": "1-0", "hash": "00"}, indent=2).encode())
        await asyncio.to_thread(said, "requeue", letter, "--file", str(file))
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 2)
        deliver(redis_client, tmp_path)
    (item,) = logged(tmp_path)
    assert (item["join_id"], item["username"]) == (wrong["join_id"], "changed")


async def test_what_the_inbox_refused_is_listed_and_requeued_alike(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    right, file = join(3), tmp_path / "right.json"
    file.write_bytes(to_line(right))
    redis_client.rpush(keys.INBOX, b"no json", canonical({"log": JOINS, "record": {**right, "user_id": "me"}}))
    async with recording(server_url, tmp_path):
        await until(lambda: len(ids(redis_client)) == 2)
        first, second = ids(redis_client)
        lines = (await asyncio.to_thread(said, "list")).splitlines()
        assert all("  inbox  -  producer  " in line for line in lines)
        assert "user_id must be an id in digits" in lines[1]
        for letter, reason in ((first, "it is no record that was handed over"), (second, "user_id must be an id")):
            refused = await asyncio.to_thread(invitelog, "requeue", letter)
            assert (refused.exit_code, reason in refused.output) == (1, True)
        refused = await asyncio.to_thread(invitelog, "requeue", first, "--file", str(file))
        assert "does not say for which log" in refused.output
        await asyncio.to_thread(said, "requeue", second, "--file", str(file))
        await until(lambda: [name for _, name in stream(redis_client)] == [right["join_id"]])


async def test_a_record_of_our_own_that_was_condemned_stands_elsewhere_once_it_is_requeued(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    """Its first place is in the published identities and in the producer's outbox: neither may keep it out."""
    async with recording(server_url, tmp_path) as made:
        await record(made, 0, 1)
        await until(lambda: not made.publishing.backlog().records)
        bad = await made.record(JOINS, join(1))
        await until(lambda: not made.publishing.backlog().records)
        # What a stricter version of a sink would do.
        group = Group(redis_client, "json")
        group.align(JOINS, "0-0")
        group.align(CHANGES, "0-0")
        group.condemn(next(entry for entry in group.read(10) if entry.event_id == bad), "a stricter rule")
        assert not redis_client.hexists(keys.PUBLISHED, join(1)["join_id"])
        deliver(redis_client, tmp_path)
        assert len(logged(tmp_path)) == 1
        await asyncio.to_thread(said, "requeue", "--all")
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 3)
        deliver(redis_client, tmp_path)
        before = logged(tmp_path)
        assert [r["join_id"] for r in before] == [join(0)["join_id"], join(1)["join_id"]]
        # A server that forgot knows no verdict any more: what it is given back holds no condemned entry.
        redis_client.flushall()
        await record(made, 2, 1)
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 3)
        deliver(redis_client, tmp_path)
    assert logged(tmp_path)[:2] == before
    assert [r["join_id"] for r in logged(tmp_path)] == [join(n)["join_id"] for n in range(3)]


async def test_a_server_that_forgot_the_verdicts_gives_no_sink_a_condemned_entry(
    server_url: str, redis_client: Client, tmp_path: Path
) -> None:
    async with recording(server_url, tmp_path) as made:
        await record(made, 0, 2)
        await until(lambda: not made.publishing.backlog().records)
        add(redis_client, {"junk": "x"})
        await record(made, 2, 2)
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 5)
        deliver(redis_client, tmp_path)
        before = logged(tmp_path)
        redis_client.flushall()
        await record(made, 4, 1)
        await until(lambda: redis_client.xlen(keys.stream(JOINS)) == 5)
        deliver(redis_client, tmp_path)
        (tmp_path / "other").mkdir()
        deliver(redis_client, tmp_path / "other")
    assert logged(tmp_path)[:4] == before
    assert logged(tmp_path) == logged(tmp_path / "other")
    assert redis_client.xlen(keys.DEAD_LETTERS) == 0


def test_two_calls_at_once_hand_a_record_over_once(redis_client: Client, tmp_path: Path) -> None:
    Feed(redis_client)
    add(redis_client, by_hand(1))
    deliver(redis_client, tmp_path)
    (letter,) = dead_letters.letters(redis_client)
    handed = letter.handed()
    times = [dead_letters.requeue(redis_client, letter, handed, FIRST_MOMENT) for _ in range(2)]
    assert times == [None, "2025-10-31T14:30:45.123456"]
    assert redis_client.llen(keys.INBOX) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["requeue"], "say which"),
        (["requeue", "1-0", "--all"], "say which"),
        (["requeue", "1-0", "2-0", "--file", "x"], "with --file one ID"),
        (["requeue", "1-0", "--file", "missing.json"], "missing.json cannot be read"),
        (["requeue", "1-0"], "there is no dead letter '1-0'"),
        (["show", "\x1b[31m"], r"there is no dead letter '\x1b[31m'"),
    ],
)
def test_a_mistake_of_the_operator_is_one_sentence(redis_client: Client, arguments: list[str], sentence: str) -> None:
    done = invitelog(*arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert len(done.output.splitlines()) == 1


def test_without_any_it_says_so(redis_client: Client) -> None:
    assert said("list") == "There are no dead letters.\n"
    assert json.loads(said("list", "--json")) == []


@pytest.mark.parametrize("text", ["\u202eabc", "\x00\x1b\x7f\x9b", "\u2028\u2066", "\ud800", "a\nb"])
def test_what_is_not_printable_is_shown_as_an_escape(text: str) -> None:
    assert printable(text).isascii()
    assert printable(text).isprintable()
    assert printable("é漢 😀") == "é漢 😀"
