from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.bench.verifying import bench


def test_the_cost_of_verifying_is_measured_next_to_reading_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(bench, ["--joins", "50", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["joins"], set(told["cost"])) == (50, {"read all bytes", "start, verify nothing", "verify"})
    assert all(seconds > 0 for seconds, _ in told["cost"].values())
    if sys.platform == "linux":
        assert all(memory > 1 << 20 for _, memory in told["cost"].values())
    assert not list(tmp_path.iterdir())
