"""Raw payloads of Discord as plain data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from joins.records import join_id
from producer import payloads

NOW = datetime(2025, 10, 31, 14, 30, 46, tzinfo=UTC)


def member(**more: Any) -> dict[str, Any]:
    user = {"id": "7", "username": "john_doe", "discriminator": "0", "global_name": "John Doe"}
    return {"guild_id": "42", "user": user, "joined_at": "2025-10-31T14:30:45.123456+00:00", "flags": 0} | more


def taken(entries: list[dict[str, Any]], vanity: dict[str, Any] | None = None, may_manage: bool = True) -> Any:
    return payloads.snapshot(entries, vanity, taken_at=NOW, may_manage=may_manage, watched=True)


def test_an_arrival_holds_what_the_record_needs() -> None:
    assert payloads.arrival(member(), "PipVault", NOW) == {
        "guild_id": "42",
        "guild_name": "PipVault",
        "user_id": "7",
        "username": "john_doe",
        "display_name": "John Doe",
        "discriminator": "0",
        "bot": False,
        "flags": [],
        "timestamp": "2025-10-31T14:30:45.123456",
        "received_at": "2025-10-31T14:30:46.000000",
        "join_id": join_id("42", "7", "2025-10-31T14:30:45.123456"),
    }


def test_member_flags_are_named() -> None:
    assert payloads.arrival(member(flags=1 | 4, pending=True), None, NOW)["flags"] == [
        "did_rejoin", "bypasses_verification", "pending",
    ]  # fmt: skip


def test_a_member_without_a_join_time_joined_when_the_event_came() -> None:
    assert payloads.arrival(member(joined_at=None), None, NOW)["timestamp"] == "2025-10-31T14:30:46.000000"


def test_an_invite_without_channel_or_inviter_is_read() -> None:
    invite = payloads.invite({"code": "a", "uses": 3, "channel": None, "inviter": None})
    assert (invite.code, invite.uses, invite.channel_id, invite.inviter_id) == ("a", 3, None, None)


def test_an_invite_event_expires_after_its_age() -> None:
    invite = payloads.invite({"code": "a", "created_at": "2025-10-31T14:00:00+00:00", "max_age": 60, "channel_id": "1"})
    assert invite.expires_at == datetime(2025, 10, 31, 14, 1, tzinfo=UTC)


def test_an_old_accounts_name_keeps_its_discriminator() -> None:
    inviter = {"id": "9", "username": "TravisP", "discriminator": "0001"}
    assert payloads.invite({"code": "a", "inviter": inviter}).inviter_name == "TravisP#0001"


def test_a_list_whose_uses_are_withheld_is_not_permitted() -> None:
    assert not taken([{"code": "a"}]).permitted
    assert not taken([], may_manage=False).permitted
    assert taken([]).permitted


def test_a_vanity_without_a_code_is_none() -> None:
    assert taken([], {"code": None, "uses": 0}).vanity is None


def test_the_audit_log_names_the_codes_that_were_deleted_by_hand() -> None:
    changes = [{"key": "code", "old_value": "a"}, {"key": "uses", "old_value": 3}]
    assert payloads.deleted_codes({"action_type": 42, "changes": changes}) == ["a"]
    assert payloads.deleted_codes({"action_type": 40, "changes": changes}) == []
