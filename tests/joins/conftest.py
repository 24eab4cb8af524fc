"""How long hypothesis searches: a moment by default; `HYPOTHESIS_PROFILE=long` for a thorough night."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SLOW_STARTS = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=SLOW_STARTS)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=SLOW_STARTS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
