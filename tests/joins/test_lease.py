from __future__ import annotations

import time

import pytest

from joins import keys, lease
from joins.errors import LeaseLost
from joins.lease import Lease
from joins.redis_url import Client


def fence(held: Lease) -> int:
    assert held.value is not None
    return int(held.value.partition("|")[0])


def expire(client: Client, name: str) -> None:
    client.delete(keys.lease(name))


def test_fencing_numbers_grow_whoever_takes_the_lease(redis_client: Client) -> None:
    numbers = []
    for place in ("a", "a", "b", "a"):
        held = Lease(redis_client, "json", place)
        assert held.acquire()
        numbers.append(fence(held))
        if place == "b" or len(numbers) == 2:
            held.release()
    assert numbers == sorted(set(numbers))


def test_another_place_waits_and_the_same_place_takes_over_at_once(redis_client: Client) -> None:
    first, elsewhere, successor = (Lease(redis_client, "json", place) for place in ("a", "b", "a"))
    assert first.acquire()
    assert not elsewhere.acquire()
    assert elsewhere.value is None
    assert successor.acquire()
    assert fence(successor) > fence(first)


def test_holders_without_a_place_never_take_over(redis_client: Client) -> None:
    assert Lease(redis_client, "json").acquire()
    assert not Lease(redis_client, "json").acquire()


def test_leases_of_different_names_are_apart(redis_client: Client) -> None:
    assert Lease(redis_client, "json", "a").acquire()
    assert Lease(redis_client, "csv", "b").acquire()


def test_a_released_lease_is_free_for_another_place(redis_client: Client) -> None:
    first, second = Lease(redis_client, "json", "a"), Lease(redis_client, "json", "b")
    assert first.acquire()
    first.release()
    assert second.acquire()
    first.release()
    second.renew()


def test_who_was_taken_over_notices_and_may_not_write_from_then_on(redis_client: Client) -> None:
    first, second = Lease(redis_client, "json", "a"), Lease(redis_client, "json", "a")
    assert first.acquire()
    first.check()
    assert second.acquire()
    with pytest.raises(LeaseLost):
        first.renew()
    with pytest.raises(LeaseLost):
        first.check()
    second.renew()
    second.check()


def test_renewing_prolongs_the_lease(redis_client: Client) -> None:
    held = Lease(redis_client, "json", "a")
    assert held.acquire()
    redis_client.pexpire(keys.lease("json"), 500)
    held.renew()
    assert redis_client.pttl(keys.lease("json")) > 500


def test_a_lease_that_ran_out_cannot_be_renewed_but_taken_again(redis_client: Client) -> None:
    held = Lease(redis_client, "json", "a")
    assert held.acquire()
    before = fence(held)
    expire(redis_client, "json")
    with pytest.raises(LeaseLost):
        held.renew()
    with pytest.raises(LeaseLost):
        held.check()
    assert held.acquire()
    assert fence(held) > before
    held.check()


def test_a_process_that_slept_too_long_notices_by_its_own_clock(
    redis_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "TTL", 0.001)
    held = Lease(redis_client, "json", "a")
    assert held.acquire()
    time.sleep(0.002)
    with pytest.raises(LeaseLost, match="ran out"):
        held.check()


def test_a_lease_not_taken_permits_nothing(redis_client: Client) -> None:
    with pytest.raises(LeaseLost):
        Lease(redis_client, "json", "a").check()
    with pytest.raises(LeaseLost):
        Lease(redis_client, "json", "a").renew()
