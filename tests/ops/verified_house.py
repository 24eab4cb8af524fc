"""Four copies of the same two logs in one folder, to be altered and verified."""

from __future__ import annotations

import random
from pathlib import Path

from factories import batch, change, code_assigned, event, join, staff_set

from consumers.obeying import without_erased, write
from joins.chain import Record, chained, genesis, seal
from joins.cloud.anchors import Anchor
from joins.erasure import KIND, Erasures, erasure_of
from joins.keys import SINKS
from joins.records import CHANGES, JOINS
from joins.settings import Settings
from ops.verifying.finding import Verdict
from ops.verifying.verification import Verification
from tests.consumers.sink_kinds import LOCAL

JOIN_COUNT = 14


def changes() -> list[Record]:
    """Of each kind that the database folds, and an erasure of the third member."""
    person = str(join(3)["user_id"])
    kinds = [
        staff_set(0, "77", "TravisP"),
        code_assigned(1, "abc", "77"),
        change(
            2, "attribution_corrected", join_id=join(1)["join_id"], invite_code="abc", staff_id="77",
            staff_username="TravisP", confidence="exact",
        ),
        change(3, KIND, user_id=person, reason=None),
        change(4),
        change(5, "staff_retired", staff_id="77", user_id=None),
    ]  # fmt: skip
    numbered = [{**seal(one), "event_id": event(5 + number)} for number, one in enumerate(kinds)]
    return chained(genesis(CHANGES), numbered)


class House:
    """`folder` holds the logs, the database, and the cloud's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(invite_logs_dir=folder, cloud_backup_url=(folder / "cloud").as_uri())
        self.records = {JOINS: batch(JOINS, 0, JOIN_COUNT), CHANGES: changes()}
        self.erasures = Erasures(one for change in self.records[CHANGES] if (one := erasure_of(change)))
        self.fill(SINKS, self.records)

    def fill(self, sinks: tuple[str, ...], records: dict[str, list[Record]]) -> None:
        """Writes all records into these sinks."""
        for sink in sinks:
            made = LOCAL[sink](self.folder).open()
            for log, every in records.items():
                for start in range(0, len(every), 5):
                    write(made, log, without_erased(every[start : start + 5], self.erasures))
            made.close()

    def verify(self, *anchors: Anchor) -> Verdict:
        return Verification(self.settings, anchors).run()

    def files(self) -> list[Path]:
        """Every file of a log, and every object."""
        return sorted(
            path for path in self.folder.rglob("*") if path.suffix in (".json", ".csv", ".gz") and path.is_file()
        )


def flipped(data: bytes, chance: random.Random) -> tuple[bytes, int]:
    """The same bytes but for one, and where that is."""
    offset = chance.randrange(len(data))
    other = (data[offset] + chance.randrange(1, 256)) % 256
    return data[:offset] + bytes([other]) + data[offset + 1 :], offset
