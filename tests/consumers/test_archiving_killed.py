from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("sink", ["json", "csv"])
def test_a_kill_after_any_system_call_of_archiving_loses_and_doubles_no_record(tmp_path: Path, sink: str) -> None:
    program = Path(__file__).parent / "mortal_archiving.py"
    done = subprocess.run(
        [sys.executable, str(program), sink, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["killed"] > 60
