"""What an `erased` change orders is obeyed by every sink, in whatever order things come, and the chain still holds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from factories import EXAMPLE, GUILD, change, join
from sink_kinds import LOCAL, Place
from test_filling import House

from consumers.obeying import write
from joins.chain import Record, chained, genesis, seal
from joins.copies.finding import checked, open_copy
from joins.erasure import Erasure, Erasures, fault
from joins.keys import SINKS
from joins.records import CHANGES, JOINS, LOGS, normal
from joins.settings import Settings
from joins.tail import empty_head

USER, OTHER = "700000000000000001", "700000000000000002"
NAMES = ("Zsuzsanna-Quux", "Zz Display Quux", "Quux#0001", "quux wrote this")


def event(number: int) -> str:
    return f"{1_761_921_045_123 + number}-0"


def logs() -> dict[str, list[Record]]:
    """Joins of the person, of others, and through the person as staff; changes by and about the person."""
    mine: dict[str, Any] = {"username": NAMES[0], "display_name": NAMES[1]}
    joins = [
        join(0, user_id=USER, **mine),
        join(1, user_id=OTHER),
        join(2, user_id=OTHER, staff_id=USER, staff_username=NAMES[2]),
        join(3, user_id=USER, guild_id="999", **mine),
        join(4, user_id=USER, **mine),
    ]
    changes = [
        change(0, "staff_set", staff_id=USER, staff_username=NAMES[2], ib_link=None, ib_code=None, user_id=None),
        change(1, actor_id=USER, reason=NAMES[3]),
        change(2, user_id=OTHER, reason="about somebody else"),
        change(
            3, "attribution_corrected", join_id="0" * 32, invite_code="abc", staff_id=USER, staff_username=NAMES[2],
            confidence="exact", reason=None,
        ),
        change(4, "erased", user_id=USER, reason=None, actor_id=OTHER),
        change(5, user_id=USER, reason="said after it"),
    ]  # fmt: skip
    numbered = {
        JOINS: [{**seal(item), "event_id": event(number)} for number, item in enumerate(joins)],
        CHANGES: [{**seal(item), "event_id": event(10 + number)} for number, item in enumerate(changes)],
    }
    # The person comes back: the last join lies after the order to erase.
    numbered[JOINS][-1]["event_id"] = event(20)
    return {log: chained(genesis(log), items) for log, items in numbered.items()}


LOGGED = logs()
ORDER = Erasure(GUILD, USER, event(14))
RULE = Erasures([ORDER])


def raw(folder: Path) -> bytes:
    """Every byte that the sinks keep, objects unpacked."""
    data = b""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data += gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return data


def records(folder: Path, sink: str, log: str) -> list[Record]:
    copy = open_copy(sink, log, folder, Settings(invite_logs_dir=folder).cloud_url)
    assert copy is not None
    return list(checked(copy, log, empty_head(log)))


def assert_obeyed(folder: Path, sink: str) -> None:
    for log in LOGS:
        found = records(folder, sink, log)
        assert [item["hash"] for item in found] == [item["hash"] for item in LOGGED[log]]
        assert [fault(item, RULE, RULE) for item in found] == [None] * len(found)
    joins, changes = records(folder, sink, JOINS), records(folder, sink, CHANGES)
    assert joins[0]["username"] is joins[0]["display_name"] is joins[0]["discriminator"] is None
    assert (joins[0]["user_id"], joins[0]["staff_username"]) == (USER, EXAMPLE["staff_username"])
    assert joins[2]["staff_username"] is None
    assert joins[2]["staff_id"] == USER
    assert joins[3] == LOGGED[JOINS][3], "another server's records are another order's"
    assert joins[4] == LOGGED[JOINS][4], "who comes back has a name again"
    assert changes[0]["staff_username"] is changes[1]["reason"] is changes[3]["staff_username"] is None
    assert changes[2] == LOGGED[CHANGES][2]
    assert changes[5] == LOGGED[CHANGES][5]


@pytest.mark.parametrize("sink", SINKS)
def test_names_go_and_everything_else_stays(sink: str, tmp_path: Path) -> None:
    made = LOCAL[sink](tmp_path).open()
    made.write(JOINS, LOGGED[JOINS][:3])
    write(made, CHANGES, LOGGED[CHANGES])
    made.write(JOINS, LOGGED[JOINS][3:])
    assert_obeyed(tmp_path, sink)
    assert made.head(JOINS)[1] == LOGGED[JOINS][-1]["hash"]
    made.close()
    made, before = LOCAL[sink](tmp_path).open(), [records(tmp_path, sink, log) for log in LOGS]
    assert made.erase([ORDER]) == []
    made.close()
    assert [records(tmp_path, sink, log) for log in LOGS] == before, "done again, it changes nothing"
    assert NAMES[2].encode() not in raw(tmp_path)
    assert NAMES[3].encode() not in raw(tmp_path)


@pytest.mark.parametrize("sink", SINKS)
def test_nothing_of_the_names_is_left_in_any_byte(sink: str, tmp_path: Path) -> None:
    made = LOCAL[sink](tmp_path).open()
    made.write(JOINS, LOGGED[JOINS][:3])
    write(made, CHANGES, LOGGED[CHANGES][:5])
    made.close()
    assert [name for name in NAMES if name.encode() in raw(tmp_path)] == []


@pytest.mark.parametrize("sink", ["json", "csv"])
def test_a_file_that_was_scrubbed_is_appended_to_and_read_as_ever(sink: str, tmp_path: Path) -> None:
    made = LOCAL[sink](tmp_path).open()
    made.write(JOINS, LOGGED[JOINS][:3])
    made.erase([ORDER])
    made.write(JOINS, LOGGED[JOINS][3:])
    made.close()
    again = LOCAL[sink](tmp_path).open()
    assert again.head(JOINS)[1] == LOGGED[JOINS][-1]["hash"]
    again.close()
    if sink == "json":
        assert len(json.loads((tmp_path / "invite_joins.json").read_text())) == 5


def test_an_upload_repeated_after_an_erasure_is_still_recognised(tmp_path: Path) -> None:
    one, again = LOCAL["cloud"](tmp_path).open(), LOCAL["cloud"](tmp_path).open()
    one.write(JOINS, LOGGED[JOINS][:3])
    one.erase([ORDER])
    again.write(JOINS, LOGGED[JOINS][:3])
    assert again.head(JOINS) == one.head(JOINS)
    assert NAMES[0].encode() not in raw(tmp_path)


class Erasing:
    """The rule through real deliveries."""

    def __init__(self, house: House) -> None:
        self.house, self.feed = house, house.feed
        self.places: dict[str, Place] = house.places

    def erase(self, number: int) -> None:
        order = {"user_id": self.feed.published[JOINS][number].record["user_id"], "reason": None}
        kind = {**order, "change": "erased"}
        self.feed.publish(1, CHANGES, **kind)

    def names(self, sink: str, number: int) -> list[Any]:
        record = self.places[sink].read(JOINS)[number]
        return [record["username"], record["display_name"]]


@pytest.fixture
def erasing(redis_client: Any, tmp_path: Path) -> Erasing:
    return Erasing(House(redis_client, tmp_path))


@pytest.mark.parametrize("sink", SINKS)
def test_a_join_that_comes_late_is_written_without_the_names(erasing: Erasing, sink: str) -> None:
    """The joins lag behind the changes: the order to erase is delivered before the records that it is about."""
    erasing.feed.publish(40)
    erasing.feed.publish(60, CHANGES)
    erasing.erase(7)
    erasing.house.run(sink)
    assert erasing.names(sink, 7) == [None, None]
    assert erasing.names(sink, 8) == [EXAMPLE["username"], EXAMPLE["display_name"]]


@pytest.mark.parametrize("sink", ["json", "csv", "sqlite"])
def test_yesterdays_file_put_back_does_not_bring_the_names_back(erasing: Erasing, sink: str) -> None:
    erasing.feed.publish(40)
    erasing.house.run(sink)
    erasing.house.deliveries[sink].close()
    folder = erasing.house.folder
    yesterday = {path: path.read_bytes() for path in folder.glob("invite*") if path.is_file()}
    erasing.feed.publish(60, CHANGES)
    erasing.erase(7)
    erasing.house.run(sink)
    assert erasing.names(sink, 7) == [None, None]
    erasing.house.deliveries[sink].close()
    for path, data in yesterday.items():
        if "joins" in path.name or sink == "sqlite":
            path.write_bytes(data)
    erasing.house.run(sink)
    assert erasing.names(sink, 7) == [None, None]


@pytest.mark.parametrize("source", SINKS)
def test_filling_a_sink_again_does_not_bring_the_names_back(erasing: Erasing, source: str) -> None:
    """Even from a copy that has not obeyed yet."""
    sink = "json" if source != "json" else "csv"
    erasing.feed.publish(100)
    erasing.house.run()
    erasing.feed.publish(60, CHANGES)
    erasing.erase(7)
    erasing.house.run()
    for other in SINKS:
        if other != source:
            erasing.house.lose(other)
    erasing.house.trim()
    erasing.house.run(sink)
    assert erasing.names(sink, 7) == [None, None]


def test_normal_form_survives_an_erasure() -> None:
    assert all(normal(log, item) == item for log in LOGS for item in LOGGED[log])
