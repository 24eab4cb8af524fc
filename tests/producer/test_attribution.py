"""The rules of attribution, one by one; histories made by hypothesis are in test_attribution_histories.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from producer.attribution import Attribution, attribute, bot, is_settled
from producer.evidence import DEBT, Evidence, Waiting
from producer.snapshot import Invite, Snapshot, Vanity

T0 = datetime(2025, 10, 31, 14, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def join(name: str, seconds: float = 10) -> Waiting:
    return Waiting(name, at(seconds), at(seconds))


def look(seconds: float, *invites: Invite, vanity: Vanity | None = None, **more: bool) -> Snapshot:
    return Snapshot(at(seconds), {invite.code: invite for invite in invites}, vanity, **more)


def invite(code: str, uses: int = 0, **more: object) -> Invite:
    return Invite(code, uses, inviter_id="7", inviter_name="maria", created_at=at(-9999), **more)  # type: ignore[arg-type]


def judged(evidence: Evidence, after: Snapshot | None, *joins: Waiting) -> list[Attribution]:
    return attribute(evidence, after, list(joins))[0]


def codes(attributions: list[Attribution]) -> list[str]:
    return [str(c["invite_code"]) for c in attributions[0].candidates]


def test_one_code_that_rose_by_one_is_exact_with_its_counts() -> None:
    evidence = Evidence(look(0, invite("a", 5), invite("b", 3)))
    (found,) = judged(evidence, look(11, invite("a", 6), invite("b", 3)), join("j"))
    assert (found.confidence, found.method, found.source) == ("exact", "invite_difference", "invite")
    assert (found.invite_code, found.uses_before, found.uses_after) == ("a", 5, 6)
    assert (found.inviter_id, found.inviter_name) == ("7", "maria")


def test_a_burst_by_one_code_is_exact_and_counts_up_in_join_order() -> None:
    evidence = Evidence(look(0, invite("a", 5)))
    later, sooner = join("later", 10), join("sooner", 9)
    found = judged(evidence, look(11, invite("a", 7)), later, sooner)
    assert [(f.join_id, f.uses_before, f.uses_after) for f in found] == [("later", 6, 7), ("sooner", 5, 6)]


def test_two_codes_make_every_join_ambiguous_with_both_candidates() -> None:
    evidence = Evidence(look(0, invite("a", 5), invite("b", 3)))
    found = judged(evidence, look(11, invite("a", 6), invite("b", 4)), join("j"), join("k"))
    assert [f.confidence for f in found] == ["ambiguous", "ambiguous"]
    assert found[0].invite_code is None
    assert found[0].candidates == (
        {"invite_code": "a", "inviter_id": "7", "uses_before": 5, "uses_after": 6},
        {"invite_code": "b", "inviter_id": "7", "uses_before": 3, "uses_after": 4},
    )


def test_a_difference_smaller_or_larger_than_the_batch_is_ambiguous() -> None:
    evidence = Evidence(look(0, invite("a", 5)))
    assert judged(evidence, look(11, invite("a", 6)), join("j"), join("k"))[0].confidence == "ambiguous"
    assert judged(evidence, look(11, invite("a", 7)), join("j"))[0].confidence == "ambiguous"


def test_nothing_moved_is_unknown() -> None:
    (found,) = judged(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), join("j"))
    assert (found.confidence, found.method, found.invite_code) == ("unknown", "no_difference", None)


def test_a_late_use_does_not_go_to_the_next_joiner() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), [join("late", 10)])
    (found,) = judged(evidence, look(21, invite("a", 6)), join("next", 20))
    assert (found.confidence, codes([found])) == ("ambiguous", ["a"])


def test_a_debtor_whose_use_shows_in_a_quiet_look_owes_nothing_more() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), [join("late", 10)])
    _, evidence = attribute(evidence, look(15, invite("a", 6)), [])
    (found,) = judged(evidence, look(21, invite("a", 7)), join("next", 20))
    assert (found.confidence, found.uses_before) == ("exact", 6)


def test_debtor_and_joiner_by_one_code_are_both_explained() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), [join("late", 10)])
    found, evidence = attribute(evidence, look(21, invite("a", 7)), [join("next", 20)])
    assert (found[0].confidence, found[0].uses_before) == ("exact", 6)
    assert evidence.debtors == ()


def test_a_debt_lapses_with_a_snapshot_begun_after_its_time() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), [join("discovery", 10)])
    assert evidence.debtors
    _, evidence = attribute(evidence, look(11 + DEBT.total_seconds(), invite("a", 5)), [])
    assert evidence.debtors == ()
    assert judged(evidence, look(99, invite("a", 6)), join("next", 98))[0].confidence == "exact"


def test_an_invite_never_seen_before_began_at_zero() -> None:
    evidence = Evidence(look(0, invite("a", 5)))
    new = replace(invite("new", 1), created_at=at(5))
    (found,) = judged(evidence, look(11, invite("a", 5), new), join("j"))
    assert (found.invite_code, found.uses_before, found.uses_after) == ("new", 0, 1)


def test_an_old_invite_that_reappears_is_no_proof() -> None:
    (found,) = judged(Evidence(look(0)), look(11, invite("back", 1)), join("j"))
    assert found.confidence == "ambiguous"


def test_a_limited_invite_that_vanished_with_its_last_use_is_exact_whether_or_not_its_deletion_was_announced() -> None:
    never = Evidence(look(0, invite("one", 0, max_uses=1), invite("a", 5)))
    for evidence in (never, never.deleted("one", at(9.9)), never.deleted("one", at(10.1))):
        (found,) = judged(evidence, look(11, invite("a", 5)), join("j"))
        assert (found.method, found.confidence) == ("limited_invite_used_up", "exact")
        assert (found.invite_code, found.uses_before, found.uses_after) == ("one", 0, 1)


def test_a_limited_invite_that_vanished_untold_long_before_the_join_is_only_a_candidate() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1)))
    (found,) = judged(evidence, look(31), join("hub", 30))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"])


def test_a_limited_invite_that_vanished_untold_between_two_joins_far_apart_is_only_a_candidate() -> None:
    evidence = Evidence(look(9, invite("two", 0, max_uses=2)))
    found = judged(evidence, look(41), join("hub", 10), join("again", 40))
    assert {one.confidence for one in found} == {"ambiguous"}


def test_a_limited_invite_that_vanished_untold_long_after_a_join_settles_no_debt() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 5))), look(11, invite("a", 5)), [join("late", 10)])
    evidence = evidence.created(invite("one", max_uses=1), at(12))
    _, evidence = attribute(evidence, look(20, invite("a", 5), invite("one", max_uses=1)), [])
    _, evidence = attribute(evidence, look(45, invite("a", 5)), [])
    (found,) = judged(evidence, look(56, invite("a", 6)), join("hub", 55))
    assert found.confidence == "ambiguous"


def test_a_new_limited_invite_is_known_from_its_event_however_old_the_last_look_is() -> None:
    evidence = Evidence(look(0)).created(invite("one", max_uses=1), at(595))
    (found,) = judged(evidence, look(601), join("j", 600))
    assert (found.confidence, found.invite_code) == ("exact", "one")


def test_deletions_that_went_unheard_for_a_while_prove_no_use_though_they_are_heard_again() -> None:
    evidence = Evidence(look(5, invite("one", 0, max_uses=1))).unwatched(at(7))
    (found,) = judged(evidence, look(11), join("hub"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"])


def test_deletions_that_went_unheard_while_the_list_was_on_its_way_prove_no_use_later() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1))).unwatched(at(5.1))
    _, evidence = attribute(evidence, look(5, invite("one", 0, max_uses=1)), [])
    (found,) = judged(evidence, look(11), join("hub"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"])
    _, evidence = attribute(evidence, look(12, invite("two", 0, max_uses=1)), [])
    assert evidence.baseline is not None
    assert evidence.baseline.watched


def test_a_deletion_by_hand_that_comes_before_the_invites_creation_is_not_forgotten() -> None:
    told = Evidence(look(0)).deleted("one", at(8)).deleted("one", at(8.1), by_hand=True)
    evidence = told.created(invite("one", max_uses=1), at(9))
    (found,) = judged(evidence, look(11), join("hub"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"])
    _, looked = attribute(told, look(8.2), [])
    (found,) = judged(looked.created(invite("one", max_uses=1), at(9)), look(11), join("hub"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"]), "a look in between forgets nothing"


def test_deletions_of_unknown_invites_are_remembered_for_a_minute_and_not_without_bound() -> None:
    evidence = Evidence(look(0))
    for number in range(300):
        evidence = evidence.deleted(f"u{number}", at(1))
    assert list(evidence.gone) == [f"u{number}" for number in range(200, 300)]
    assert list(evidence.deleted("later", at(62)).gone) == ["later"]
    assert attribute(evidence, look(62), [])[1].gone == {}


def test_without_deletion_events_a_vanished_invite_is_only_a_candidate() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1), watched=False))
    (found,) = judged(evidence, look(11, watched=False), join("j"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["one"])


def test_an_invite_deleted_by_hand_leaves_the_join_ambiguous() -> None:
    limited = Evidence(look(0, invite("one", 0, max_uses=1))).deleted("one", at(9)).deleted("one", at(10), by_hand=True)
    unlimited = Evidence(look(0, invite("one", 4))).deleted("one", at(9))
    for evidence in (limited, unlimited):
        (found,) = judged(evidence, look(11), join("j"))
        assert (found.confidence, codes([found])) == ("ambiguous", ["one"])
        assert found.candidates[0]["uses_after"] is None


def test_an_invite_deleted_well_before_the_join_is_nobodys() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1), invite("a", 5))).deleted("one", at(1))
    (found,) = judged(evidence, look(31, invite("a", 6)), join("j", 30))
    assert (found.confidence, found.invite_code) == ("exact", "a")


def test_a_vanished_candidate_beside_a_code_that_rose_is_not_decided() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1), invite("a", 5)))
    (found,) = judged(evidence, look(11, invite("a", 6)), join("j"))
    assert (found.confidence, codes([found])) == ("ambiguous", ["a", "one"])


def test_an_invite_that_had_expired_is_never_a_candidate() -> None:
    evidence = Evidence(look(0, invite("old", 0, max_uses=1, expires_at=at(5)), invite("a", 5)))
    (found,) = judged(evidence, look(11, invite("a", 6)), join("j"))
    assert (found.confidence, found.invite_code) == ("exact", "a")
    (found,) = judged(evidence, look(11, invite("a", 5)), join("j"))
    assert (found.confidence, found.candidates) == ("unknown", ())


def test_an_invite_that_expired_between_join_and_look_is_a_candidate_only() -> None:
    evidence = Evidence(look(0, invite("old", 0, max_uses=1, expires_at=at(10.5))))
    assert judged(evidence, look(11), join("j"))[0].confidence == "ambiguous"


def test_an_invite_of_a_deleted_channel_is_never_named() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=1, channel_id="c"), invite("a", 5)))
    (found,) = judged(evidence.channel_deleted("c", at(2)), look(31, invite("a", 6)), join("j", 30))
    assert found.invite_code == "a"
    (found,) = judged(evidence.channel_deleted("c", at(9)), look(11, invite("a", 5)), join("j"))
    assert found.confidence == "ambiguous"


def test_an_invite_made_and_used_up_between_two_looks_is_found_through_its_event() -> None:
    evidence = Evidence(look(0)).created(invite("quick", 0, max_uses=1), at(5))
    (found,) = judged(evidence, look(11), join("j"))
    assert (found.confidence, found.invite_code) == ("exact", "quick")


def test_an_invite_made_while_the_list_was_on_its_way_has_not_vanished() -> None:
    evidence = Evidence(look(0, invite("a", 5))).created(invite("fresh", 0, max_uses=1), at(11.5))
    found, evidence = attribute(evidence, look(11, invite("a", 6)), [join("j")])
    assert found[0].invite_code == "a"
    found, _ = attribute(evidence, look(21, invite("a", 6)), [join("k", 20)])
    assert found[0].invite_code == "fresh"


def test_a_deletion_that_the_list_does_not_show_yet_decides_nothing() -> None:
    evidence = Evidence(look(0, invite("one", 0, max_uses=2))).deleted("one", at(10))
    after = look(11, invite("one", 1, max_uses=2))
    assert not is_settled(evidence, after, [join("j")])
    assert judged(evidence, after, join("j"))[0].confidence == "ambiguous"


def test_a_vanity_join_is_exact_by_the_vanitys_own_count() -> None:
    evidence = Evidence(look(0, invite("a", 5), vanity=Vanity("pip", 40)))
    (found,) = judged(evidence, look(11, invite("a", 5), vanity=Vanity("pip", 41)), join("j"))
    assert (found.source, found.method, found.invite_code) == ("vanity", "vanity_difference", "pip")
    assert (found.uses_before, found.uses_after, found.inviter_id) == (40, 41, None)


def test_a_renamed_vanity_code_is_never_certain() -> None:
    evidence = Evidence(look(0, vanity=Vanity("pip", 40)))
    (found,) = judged(evidence, look(11, vanity=Vanity("vault", 1)), join("j"))
    assert (found.confidence, sorted(codes([found]))) == ("ambiguous", ["pip", "vault"])


def test_missing_permission_is_never_an_empty_list() -> None:
    before, forbidden = look(0, invite("a", 5)), look(11, permitted=False)
    found, evidence = attribute(Evidence(before), forbidden, [join("j")])
    assert (found[0].method, found[0].confidence) == ("no_permission", "unknown")
    found, evidence = attribute(evidence, look(21, invite("a", 6)), [join("k", 20)])
    assert found[0].method == "no_permission"  # granted again, but there is nothing to compare with yet
    _, evidence = attribute(evidence, look(99, invite("a", 6)), [])
    assert judged(evidence, look(110, invite("a", 7)), join("l", 109))[0].confidence == "exact"


def test_a_failed_fetch_keeps_the_snapshot_and_its_joins_as_debtors() -> None:
    found, evidence = attribute(Evidence(look(0, invite("a", 5))), None, [join("j")])
    assert (found[0].method, found[0].confidence) == ("fetch_failed", "unknown")
    hours_later = judged(evidence, look(7200, invite("a", 6)), join("k", 7199))
    assert hours_later[0].confidence == "ambiguous"


def test_a_join_before_the_first_snapshot_is_unknown_and_owes_a_use() -> None:
    found, evidence = attribute(Evidence(), look(11, invite("a", 5)), [join("early")])
    assert found[0].method == "no_snapshot"
    assert judged(evidence, look(21, invite("a", 6)), join("next", 20))[0].confidence == "ambiguous"


def test_nothing_is_exact_across_lost_events() -> None:
    evidence = Evidence(look(0, invite("a", 5))).missed(at(12))
    found, evidence = attribute(evidence, look(11, invite("a", 6)), [join("j")])
    assert found[0].confidence == "ambiguous"
    assert evidence.gap, "uses of unannounced joins may still show"
    _, evidence = attribute(evidence, look(18, invite("a", 6)), [])
    assert evidence.gap is None


def test_a_count_that_goes_down_and_up_again_is_no_use() -> None:
    _, evidence = attribute(Evidence(look(0, invite("a", 6))), look(5, invite("a", 5)), [])
    assert judged(evidence, look(11, invite("a", 6)), join("j"))[0].method == "no_difference"


def test_a_member_announced_again_long_after_joining_takes_nobodys_use() -> None:
    again = Waiting("old", at(-100_000), at(10))
    found = judged(Evidence(look(0, invite("a", 5))), look(11, invite("a", 6)), again, join("j"))
    assert [f.method for f in found] == ["joined_before_snapshot", "invite_difference"]
    assert found[1].confidence == "exact"


def test_a_bot_is_exact_without_a_code() -> None:
    found = bot(join("j"))
    assert (found.source, found.method, found.confidence, found.invite_code) == ("bot", "oauth2", "exact", None)


def test_a_temporary_invite_is_flagged() -> None:
    evidence = Evidence(look(0, invite("t", 0, temporary=True)))
    assert judged(evidence, look(11, invite("t", 1, temporary=True)), join("j"))[0].temporary


def test_a_new_invite_that_the_list_lacks_yet_is_not_taken_for_used_up() -> None:
    evidence = Evidence(look(0, invite("a", 5))).created(invite("once", max_uses=1), at(9.5))
    (found,), evidence = attribute(evidence, look(10, invite("a", 5)), [join("j", 9.9)])
    assert found.confidence == "unknown"
    (found,) = judged(evidence, look(12, invite("a", 6), invite("once", max_uses=1)), join("k", 11))
    assert found.invite_code is None, "j may have used it all the same"


def test_a_new_invite_that_the_list_lacks_and_whose_deletion_came_was_used_up() -> None:
    evidence = Evidence(look(0)).created(invite("once", max_uses=1), at(9.5)).deleted("once", at(10))
    (found,) = judged(evidence, look(10), join("j", 9.9))
    assert (found.confidence, found.invite_code) == ("exact", "once")


def test_an_invite_that_was_deleted_long_after_one_join_and_long_before_another_is_nobodys() -> None:
    evidence = Evidence(look(0, invite("twice", max_uses=2))).deleted("twice", at(21))
    found = judged(evidence, look(33), join("j", 10), join("k", 32))
    assert {one.confidence for one in found} == {"ambiguous"}
