"""Two programs for a test, and for a longer measurement by hand: one appends to an array, the other reads it.

python tests/joins/json_reading.py write FILE APPENDS [SIZES]   appends batches of these sizes, in turn
python tests/joins/json_reading.py read FILE                    loads it in a loop until its input ends, then the counts
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAUSE = 20e-6  # seconds a record: without it the file outgrows memory in a long measurement


def write(path: Path, count: int, sizes: list[int]) -> None:
    """Appends so many times. The lines are made beforehand, so that it appends without pause."""
    from factories import batch

    from joins.array_file import ArrayWriter
    from joins.json_format import to_line
    from joins.records import JOINS

    writer = ArrayWriter(path, JOINS)
    lines = [to_line(record) for record in batch(JOINS, 0, 1000)]
    records = 0
    for number in range(count):
        size = sizes[number % len(sizes)]
        start = records % (len(lines) - size + 1)
        writer.append(lines[start : start + size], (f"{records}-0", ""))
        records += size
        time.sleep(PAUSE * size)
    writer.close()
    print(json.dumps({"appends": count, "records": records}))


def read(path: Path) -> None:
    """Reads as a foreign program does, without any lock, until standard input is closed."""
    reads, faults = 0, []
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            with path.open() as file:
                json.load(file)
        except ValueError as error:
            faults.append(str(error))
        reads += 1
    print(json.dumps({"reads": reads, "bad": len(faults), "first": faults[:3]}))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), int(sys.argv[3]), [int(size) for size in sys.argv[4:]] or [1])
    else:
        read(Path(sys.argv[2]))
