"""`invitelog heal`: what a server lacks is shown and given back, with a producer or without."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from factories import Feed

from joins import keys
from joins.records import CHANGES, JOINS
from joins.redis_url import Client
from ops.__main__ import main
from tests.consumers.sink_kinds import LOCAL


def heal(folder: Path, url: str, *arguments: str) -> tuple[int, str]:
    environment = {"INVITE_LOGS_DIR": str(folder), "REDIS_URL": url, "CLOUD_BACKUP_URL": None}
    done = CliRunner().invoke(main, ["heal", *arguments], env=environment)
    return done.exit_code, done.output


def logged(folder: Path, feed: Feed, *sinks: str) -> None:
    for sink in sinks:
        made = LOCAL[sink](folder).open()
        for log in (JOINS, CHANGES):
            made.write(log, feed.chain(log))
        made.close()


def entries(client: Client, log: str) -> list[tuple[bytes, bytes]]:
    return [(name, fields[b"id"]) for name, fields in client.xrange(keys.stream(log))]


def test_a_server_that_was_emptied_gets_its_records_back_under_their_ids_from_any_copy(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    for sink in keys.SINKS:
        folder = tmp_path / sink / "logs"
        folder.mkdir(parents=True)
        redis_client.flushall()
        feed = Feed(redis_client)
        feed.publish(120)
        feed.publish(12, CHANGES)
        before = {log: entries(redis_client, log) for log in (JOINS, CHANGES)}
        logged(folder, feed, sink)
        redis_client.flushall()
        status, said = heal(folder, server_url, "--dry-run")
        assert status == 0, said
        assert "the stream lacks records" in said
        assert redis_client.dbsize() == 0, "--dry-run changes nothing"
        status, said = heal(folder, server_url)
        assert status == 0, said
        assert "132 records were added again" in said
        assert {log: entries(redis_client, log) for log in (JOINS, CHANGES)} == before
        status, said = heal(folder, server_url)
        assert (status, said.splitlines()[-1]) == (0, "Nothing is missing.")


def test_copies_that_contradict_each_other_are_named_and_nothing_is_added(
    redis_client: Client, server_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    other, feed = Feed(redis_client), Feed(redis_client)
    feed.publish(20)
    feed.publish(2, CHANGES)
    logged(folder, feed, "json")
    other.published = {JOINS: feed.published[JOINS][:19], CHANGES: feed.published[CHANGES]}
    other.published[JOINS] = [*other.published[JOINS][:-1], *_altered(other.published[JOINS][-1:])]
    logged(folder, other, "sqlite")
    redis_client.flushall()
    status, said = heal(folder, server_url)
    assert status == 1
    assert "contradict each other" in said
    assert not redis_client.exists(keys.stream(JOINS))


def _altered(items):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return [replace(item, record={**item.record, "uses_after": 99}) for item in items]


def test_a_server_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    status, said = heal(folder, f"unix://{tmp_path}/nowhere.sock")
    assert status == 14
    assert said.strip().startswith("invitelog: the Redis server at")
