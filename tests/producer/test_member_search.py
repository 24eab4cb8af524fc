"""Member search against the sandbox Discord: what it gives, and each way in which it may not."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from community import Community

from joins.errors import SearchUnavailable
from joins.records import timestamp
from producer import found, member_search
from producer.found import ForeignShape
from producer.member_search import MemberSearch

ROUTE = r"POST /guilds/\d+/members-search"
ENTRY: dict[str, Any] = {
    "member": {"user": {"id": "7"}, "joined_at": "2025-10-31T14:30:45.123456+00:00"},
    "source_invite_code": "maria",
    "join_source_type": 5,
    "inviter_id": "8",
}


@pytest.fixture
def search(community: Community) -> MemberSearch:
    return MemberSearch(community.client)


def asked(community: Community) -> int:
    return sum(request.path.endswith("/members-search") for request in community.sandbox.requests)


async def test_it_tells_by_which_invite_and_whom_each_member_came(community: Community, search: MemberSearch) -> None:
    sandbox, guild = community.sandbox, community.guild_id
    one = await sandbox.join(guild, "one", code="maria")
    two = await sandbox.join(guild, "two", vanity=True)
    three = await sandbox.join(guild, "three", source="discovery")
    answer = await search.by_ids(str(guild), [str(join.user_id) for join in (one, two, three)] + ["404"])
    got = {user: (one.source, one.invite_code, one.inviter_id, one.settles) for user, one in answer.items()}
    assert got == {
        str(one.user_id): ("invite", "maria", str(community.maria), True),
        str(two.user_id): ("vanity", "pipvault", None, True),
        str(three.user_id): ("discovery", None, None, True),
    }
    assert answer[str(one.user_id)].joined_at == timestamp(one.joined_at)
    assert search.state(str(guild)).state == "available"


async def test_many_ids_are_asked_for_ten_at_a_time(community: Community, search: MemberSearch) -> None:
    joins = [await community.sandbox.join(community.guild_id, f"m{n}", code="maria") for n in range(25)]
    answer = await search.by_ids(str(community.guild_id), [str(join.user_id) for join in joins])
    assert len(answer) == 25
    assert asked(community) == 3


async def test_a_span_of_time_is_read_page_by_page_oldest_first(
    community: Community, search: MemberSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_search, "PAGE", 3)
    joins = [await community.sandbox.join(community.guild_id, f"m{n}", code="maria") for n in range(12)]
    first, last = joins[2], joins[9]
    spans = [(first.joined_at, last.joined_at), (last.joined_at + timedelta(days=1), last.joined_at)]
    read = [[one.user_id async for one in search.joined_between(str(community.guild_id), *span)] for span in spans]
    assert read == [[str(join.user_id) for join in joins[2:10]], []]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_guild_that_refuses_is_said_once_and_left_alone(
    community: Community, search: MemberSearch, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    community.sandbox.faults.set(member_search="refused", member_search_status=status)
    for _ in range(3):
        with pytest.raises(SearchUnavailable) as raised:
            await search.by_ids(str(community.guild_id), ["1"])
        assert raised.value.retry_after > 3000
    state = search.state(str(community.guild_id))
    assert state.state == "refused"
    assert str(status) in (state.reason or "")
    assert asked(community) == 1
    assert [record.levelno for record in caplog.records if "is refused" in record.message] == [logging.WARNING]


async def test_a_refusal_is_tried_again_after_an_hour(
    community: Community, search: MemberSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_search, "PROBE_AFTER", 0.0)
    community.sandbox.faults.member_search = "refused"
    with pytest.raises(SearchUnavailable):
        await search.by_ids(str(community.guild_id), ["1"])
    community.sandbox.faults.member_search = "on"
    assert await search.by_ids(str(community.guild_id), ["1"]) == {}
    assert search.state(str(community.guild_id)).state == "available"


async def test_a_refusal_is_tried_again_when_the_permissions_change(community: Community, search: MemberSearch) -> None:
    guild = community.guild_id
    before = community.client.get_guild(guild)
    assert before is not None
    community.sandbox.set_bot_permissions(guild, ["VIEW_CHANNEL"])
    await community.until(lambda: not before.me.guild_permissions.manage_guild)
    with pytest.raises(SearchUnavailable, match="403"):
        await search.by_ids(str(guild), ["1"])
    community.sandbox.set_bot_permissions(guild, ["VIEW_CHANNEL", "MANAGE_GUILD"])
    await community.until(lambda: before.me.guild_permissions.manage_guild)
    assert await search.by_ids(str(guild), ["1"]) == {}


@pytest.mark.parametrize("answer", [[], "text", {"members": None}, {"members": [{"member": {}}]}, {"members": [None]}])
async def test_an_answer_of_another_shape_is_a_refusal(
    community: Community, search: MemberSearch, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def request(*_: Any, **__: Any) -> Any:
        return answer

    monkeypatch.setattr(community.client.http, "request", request)
    with pytest.raises(SearchUnavailable, match="shape"):
        await search.by_ids(str(community.guild_id), ["1"])
    assert search.state(str(community.guild_id)).state == "refused"


async def test_a_guild_that_is_being_indexed_is_waited_for_as_long_as_wanted(
    community: Community, search: MemberSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    community.sandbox.faults.set(member_search="indexing", indexing_retry_after=0.05)
    with pytest.raises(SearchUnavailable) as raised:
        await search.by_ids(str(community.guild_id), ["1"])
    assert raised.value.retry_after == 0.05
    assert search.state(str(community.guild_id)).state == "indexing"
    with pytest.raises(SearchUnavailable):
        await search.by_ids(str(community.guild_id), ["1"], patience=0.2)
    assert asked(community) > 3
    community.sandbox.faults.indexing_retry_after = 0
    with pytest.raises(SearchUnavailable) as raised:
        await search.by_ids(str(community.guild_id), ["1"])
    assert raised.value.retry_after == 5.0


async def test_an_outage_is_no_refusal(community: Community, search: MemberSearch) -> None:
    community.sandbox.faults.cut(ROUTE)
    with pytest.raises(SearchUnavailable) as raised:
        await search.by_ids(str(community.guild_id), ["1"])
    assert raised.value.retry_after == member_search.RETRY_AFTER
    community.sandbox.faults.reset()
    assert await search.by_ids(str(community.guild_id), ["1"]) == {}


async def test_a_rate_limit_is_waited_out(community: Community, search: MemberSearch) -> None:
    community.sandbox.faults.limit(ROUTE, 0.1, count=2)
    assert await search.by_ids(str(community.guild_id), ["1"]) == {}
    assert asked(community) == 3


async def test_switched_off_it_asks_nothing(community: Community) -> None:
    search = MemberSearch(community.client, enabled=False)
    with pytest.raises(SearchUnavailable, match="MEMBER_SEARCH"):
        await search.by_ids(str(community.guild_id), ["1"])
    assert search.state(str(community.guild_id)).state == "off"
    assert asked(community) == 0


def test_a_source_without_a_code_settles_only_where_none_is_needed() -> None:
    def settles(number: int, code: str | None) -> tuple[str, bool]:
        (one,) = found.page({"members": [ENTRY | {"join_source_type": number, "source_invite_code": code}]})
        return one.source, one.settles

    assert [settles(number, None) for number in range(10)] == [
        ("unknown", False), ("integration", True), ("integration", True), ("discovery", True), ("hub", True),
        ("invite", False), ("vanity", False), ("manual_verification", True), ("linked_lobby", True),
        ("unknown", False),
    ]  # fmt: skip
    assert settles(0, "maria") == settles(9, "maria") == ("invite", True)
    assert settles(7, "maria") == ("manual_verification", True)


def test_a_person_whom_an_application_added_is_no_bot() -> None:
    def told(number: int, **user: Any) -> tuple[str, bool, dict[str, Any]]:
        member = ENTRY["member"] | {"user": {"id": "7", **user}}
        entry = ENTRY | {"member": member, "join_source_type": number, "source_invite_code": None}
        (one,) = found.page({"members": [entry]})
        return one.source, one.settles, one.evidence

    added = {"added_by_application": True}
    assert told(1) == told(1, bot=False) == ("integration", True, added)
    assert told(1, bot=True) == ("bot", True, {})
    assert told(2) == told(2, bot=True) == ("integration", True, {})


@pytest.mark.parametrize(
    "changed",
    [{"join_source_type": "5"}, {"source_invite_code": 5}, {"inviter_id": "maria"}, {"member": {"user": {"id": "7"}}}],
)
def test_an_entry_that_cannot_be_read_is_foreign(changed: dict[str, Any]) -> None:
    with pytest.raises(ForeignShape):
        found.page({"members": [ENTRY | changed]})
