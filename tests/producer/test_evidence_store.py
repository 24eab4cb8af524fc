"""Evidence that is kept in Redis: what comes back, what is dropped, and which joins claim a use again."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
from factories import GUILD, join

from joins import keys
from joins.chain import Record
from joins.json_format import to_line
from joins.records import EXACT, JOINS, timestamp
from joins.redis_url import Client, connect
from joins.settings import Settings
from producer import evidence_json, evidence_store
from producer.attribution import attribute
from producer.evidence import Evidence, Waiting
from producer.evidence_store import EvidenceStore
from producer.snapshot import Gone, Invite, Snapshot, Vanity

T0 = datetime(2025, 10, 31, 14, 30, 0, 123456, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
JUDGED = "1761921000000-0"
LATER = "1761921060000-0"


def invite(code: str, uses: int = 0, **more: object) -> Invite:
    return Invite(code, uses, inviter_id="7", inviter_name="maria", channel_id="9", created_at=T0, **more)  # type: ignore[arg-type]


FULL = Evidence(
    Snapshot(
        T0, {"a": invite("a", 5), "b": invite("b", 1, max_uses=2, expires_at=NOW, temporary=True)}, Vanity("v", 3)
    ),
    gone={"b": Gone(T0, by_hand=True)},
    made={"a": T0},
    debtors=(Waiting("d" * 32, T0, T0 + timedelta(milliseconds=200)),),
    gap=T0,
)


def keep(client: Client, evidence: Evidence = FULL, guild: str = GUILD) -> None:
    client.hset(keys.EVIDENCE, guild, evidence_json.dump(evidence, JUDGED))


def publish(client: Client, place: str, record: Record) -> None:
    client.xadd(keys.stream(JOINS), {"v": 1, "id": record["join_id"], "r": to_line(record)}, id=place)


def load(client: Client, recent: list[tuple[str, Record]] | None = None, listened: datetime = NOW) -> Evidence | None:
    return evidence_store.load(client, recent or [], {GUILD: listened}, NOW).get(GUILD)


def test_evidence_comes_back_as_it_was() -> None:
    for evidence in (Evidence(), FULL, Evidence(Snapshot(T0, permitted=False, watched=False))):
        assert evidence_json.load(evidence_json.dump(evidence, JUDGED)) == (evidence, JUDGED)


def test_a_thousand_invites_are_kept_in_little_space_and_time() -> None:
    invites = {f"Hq4b{number:04}": invite(f"Hq4b{number:04}", number) for number in range(1000)}
    began = time.perf_counter()
    text = evidence_json.dump(Evidence(Snapshot(T0, invites)), JUDGED)
    assert time.perf_counter() - began < 0.1
    assert len(text) < 90_000


def test_after_a_restart_it_is_a_gap_and_its_debtors_still_owe(redis_client: Client) -> None:
    keep(redis_client)
    evidence = load(redis_client)
    assert evidence is not None
    assert (evidence.baseline, evidence.debtors, evidence.gap) == (FULL.baseline, FULL.debtors, NOW)


@pytest.mark.parametrize("place", ["stream", "outbox"])
def test_a_join_that_was_recorded_after_the_evidence_was_kept_claims_its_use_first(
    redis_client: Client, place: str
) -> None:
    """kill -9 between the record and the evidence: `john` used `a`; later somebody comes without an invite."""
    keep(redis_client, Evidence(Snapshot(T0, {"a": invite("a", 5)})))
    john = join(timestamp=timestamp(T0 + timedelta(minutes=1)), invite_code="a")
    if place == "stream":
        publish(redis_client, LATER, john)
    evidence = load(redis_client, [(LATER, john)] if place == "outbox" else [])
    assert evidence is not None
    assert [debtor.join_id for debtor in evidence.debtors] == [john["join_id"]]
    dora = Waiting("d" * 32, T0 + timedelta(minutes=30), T0 + timedelta(minutes=30))
    (found,), _ = attribute(evidence.reconciled(NOW), Snapshot(NOW, {"a": invite("a", 6)}), [dora])
    assert found.confidence != EXACT


def test_joins_that_were_judged_with_it_already_or_used_no_invite_claim_nothing(redis_client: Client) -> None:
    keep(redis_client, Evidence(Snapshot(T0, {"a": invite("a", 5)})))
    publish(redis_client, JUDGED, join(1))
    publish(redis_client, "1761921060000-0", join(2, source="bot"))
    publish(redis_client, "1761921060001-0", join(3, flags=["backfilled"]))
    publish(redis_client, "1761921060002-0", join(4, guild_id="9"))
    publish(redis_client, "1761921060003-0", join(5, flags=["adopted", "ambiguous_local_time"]))
    evidence = load(redis_client)
    assert evidence is not None
    assert evidence.debtors == ()


def test_every_page_of_the_stream_is_read(redis_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_store, "PAGE", 3)
    keep(redis_client, Evidence(Snapshot(T0, {"a": invite("a", 5)})))
    for number in range(7):
        publish(redis_client, f"{1761921060000 + number}-0", join(number))
    evidence = load(redis_client)
    assert evidence is not None
    assert len(evidence.debtors) == 7


@pytest.mark.parametrize(
    "kept",
    [
        b"\xff", "no json", "[]", "{}", '{"v":2}', '{"v":1,"judged":"x","baseline":null}',
        evidence_json.dump(FULL, "no id"), evidence_json.dump(FULL, JUDGED).replace("maria", '"'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_dropped_with_a_line_in_the_log(
    redis_client: Client, kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.hset(keys.EVIDENCE, GUILD, kept)
    assert load(redis_client) is None
    assert "is dropped" in caplog.text
    assert not redis_client.exists(keys.EVIDENCE)


def test_evidence_that_is_stale_is_dropped_with_a_line_in_the_log(
    redis_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    keep(redis_client)
    redis_client.hset(keys.TRIMMED, JOINS, LATER)
    assert load(redis_client) is None
    assert "more joins were recorded since than the stream holds" in caplog.text
    redis_client.delete(keys.TRIMMED)
    keep(redis_client)
    later = NOW + timedelta(days=2)
    assert evidence_store.load(redis_client, [], {GUILD: later - timedelta(hours=1)}, later), "a quiet guild"
    assert not evidence_store.load(redis_client, [], {GUILD: NOW}, later)
    assert "nobody has listened for longer than a day" in caplog.text


async def test_the_latest_evidence_of_each_guild_is_written(redis_client: Client) -> None:
    store = EvidenceStore(redis_client)
    for number in range(5):
        store.keep(GUILD, Evidence(Snapshot(T0, {"a": invite("a", number)})), JUDGED)
        store.keep("9", FULL, LATER)
    assert await store.write()
    kept = {guild: evidence_json.load(text) for guild, text in redis_client.hgetall(keys.EVIDENCE).items()}
    assert kept[b"9"] == (FULL, LATER)
    baseline = kept[GUILD.encode()][0].baseline
    assert baseline is not None
    assert baseline.invites["a"].uses == 4


async def test_evidence_waits_while_redis_is_away(
    redis_client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_store, "RETRY", 0.01)
    caplog.set_level(logging.WARNING)
    away = connect(Settings(redis_url="redis://127.0.0.1:1/0"))
    store = EvidenceStore(away)
    store.keep(GUILD, FULL, JUDGED)
    assert not await store.write()
    assert not await store.write()
    assert caplog.text.count("cannot be kept") == 1, "said once"
    store._client = redis_client
    running = asyncio.create_task(store.run())
    async with asyncio.timeout(5):
        while not redis_client.hexists(keys.EVIDENCE, GUILD):  # noqa: ASYNC110 - a test polls
            await asyncio.sleep(0.01)
    running.cancel()
    away.close()
    assert json.loads(redis_client.hget(keys.EVIDENCE, GUILD) or b"")["judged"] == JUDGED
