"""Settings of which the words and numbers are checked at the start."""

from __future__ import annotations

import pytest

from joins.errors import SettingsError
from joins.settings import load


def test_the_credit_policy_is_taken_in_either_case_and_has_a_default() -> None:
    assert load({}, None).credit_policy == "first_referrer"
    assert load({"CREDIT_POLICY": "Latest_Referrer"}, None).credit_policy == "latest_referrer"
    with pytest.raises(SettingsError, match="CREDIT_POLICY must be one of first_referrer, latest_referrer"):
        load({"CREDIT_POLICY": "last"}, None)


def test_the_alerts_channel_is_an_id() -> None:
    assert load({}, None).alerts_channel_id is None
    assert load({"ALERTS_CHANNEL_ID": "123456789012345678"}, None).alerts_channel_id == "123456789012345678"
    for wrong in ("#alerts", "12", "<#123456789012345678>"):
        with pytest.raises(SettingsError, match="ALERTS_CHANNEL_ID must be a channel's id"):
            load({"ALERTS_CHANNEL_ID": wrong}, None)


def test_a_log_level_is_given_in_capitals_whatever_was_typed() -> None:
    assert load({"LOG_LEVEL": "debug"}, None).log_level == "DEBUG"
