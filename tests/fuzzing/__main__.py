"""`python -m tests.fuzzing MINUTES [TARGET …]`: coverage-guided fuzzing of the readers by atheris.

Atheris must be installed: https://github.com/google/atheris. The time is shared by all targets, a process each.
Whatever is not an error of ours ends it with a status that is not 0, and leaves the bytes in `crash-…`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST = 4096  # bytes of one input
ONE = "--one"


def one(name: str, seconds: str) -> None:
    """Fuzzes one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["joins", "producer", "ops", "consumers"]):
        from tests.fuzzing.targets import NAMED, TARGETS
    target = TARGETS[name]

    def once(data: bytes) -> None:
        with contextlib.suppress(*NAMED):
            target.read(data)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-rss_limit_mb=1024", "-verbosity=0"]
        atheris.Setup([sys.argv[0], corpus, *options, "-print_final_stats=1"], once)
        atheris.Fuzz()


def every(minutes: float, names: list[str]) -> int:
    """Fuzzes these targets one after the other; the status of the first that fails, else 0."""
    for name in names:
        seconds = max(1, round(60 * minutes / len(names)))
        command = [sys.executable, "-m", "tests.fuzzing", ONE, name, str(seconds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        tried = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
        print(f"{name:<10} {' '.join(tried) or '?':>9} inputs in {seconds} s", flush=True)
        if done.returncode:
            print(done.stdout)
            return done.returncode
    return 0


if __name__ == "__main__":
    if sys.argv[1] == ONE:
        one(*sys.argv[2:])
    else:
        from tests.fuzzing.targets import TARGETS

        sys.exit(every(float(sys.argv[1]), sys.argv[2:] or list(TARGETS)))
