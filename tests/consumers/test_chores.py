"""What a consumer does besides: a fault in it is told, tried again later, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from monthly import LOG_FILES, fill, records_of

from consumers.chores import Chores
from joins.archives import FOLDER
from joins.errors import LeaseLost, LogDamaged
from joins.records import JOINS


class Rest:
    """A sink's house that is put in order, or not."""

    def __init__(self, *faults: Exception | None) -> None:
        self.calls, self._faults = 0, list(faults)

    def __call__(self, go_on: Callable[[], bool]) -> None:
        self.calls += 1
        fault = self._faults.pop(0) if self._faults else None
        if fault is not None:
            raise fault


class Daily:
    """A daily backup that looks at nothing."""

    fault: str | None = "no daily backup yet: no room"

    def look(self) -> None: ...


def go_on() -> bool:
    return True


def test_what_failed_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = Rest(LogDamaged("the archive was changed"))
    done = Chores(rest, None)
    assert done.undone() is None
    for _ in range(3):
        done.do(go_on)
    assert rest.calls == 1, "a month that cannot be archived is not written anew each second"
    told, since = done.undone() or ("", 0.0)
    assert told == "the archive was changed"
    assert done.undone() == (told, since), "since when it is undone stays"
    monkeypatch.setattr(done, "_next", 0.0)
    done.do(go_on)
    assert (rest.calls, done.undone()) == (2, None)
    done.do(go_on)
    assert rest.calls == 3, "what works is looked at each time; it knows itself when it is due"


def test_a_daily_backup_that_fails_is_told_beside_it() -> None:
    done = Chores(Rest(LogDamaged("damaged")), Daily())  # type: ignore[arg-type]  # a stand-in
    done.do(go_on)
    assert (done.undone() or ("", 0))[0] == "damaged; no daily backup yet: no room"


def test_a_lost_lease_is_no_chore() -> None:
    with pytest.raises(LeaseLost):
        Chores(Rest(LeaseLost("gone")), None).do(go_on)


@pytest.mark.parametrize("sink", LOG_FILES)
def test_a_place_where_nothing_can_be_archived_leaves_the_log_as_it_was(tmp_path: Path, sink: str) -> None:
    log_file, records = LOG_FILES[sink](tmp_path, archive_after=3), records_of()
    (tmp_path / FOLDER).write_text("somebody's file")
    fill(log_file, JOINS, records[:-1])
    done = Chores(log_file.rest, None)
    done.do(go_on)
    assert FOLDER in (done.undone() or ("", 0))[0]
    fill(log_file, JOINS, records[-1:])
    assert log_file.head(JOINS) == (records[-1]["event_id"], records[-1]["hash"])
    log_file.close()
