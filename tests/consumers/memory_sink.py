"""A sink in memory that fails where it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from joins.chain import Record, check_link
from joins.errors import SinkUnavailable
from joins.event_id import is_above
from joins.tail import Head, empty_head


@dataclass
class Disk:
    """What outlives a sink: its records, and the faults that wait for it, by step: each raises once."""

    logs: dict[str, list[Record]] = field(default_factory=lambda: {"joins": [], "changes": []})
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    opened: int = 0

    def step(self, name: str) -> None:
        if self.faults.get(name):
            raise self.faults[name].pop(0)


class MemorySink:
    """Checks what every sink relies on: ids that grow and a chain that holds."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.step("open")
        disk.opened += 1
        self.closed = False

    def head(self, log: str) -> Head:
        self._disk.step("head")
        records = self._disk.logs[log]
        return (records[-1]["event_id"], records[-1]["hash"]) if records else empty_head(log)

    def write(self, log: str, batch: Sequence[Record]) -> None:
        assert not self.closed
        self._disk.step("write")
        for number, record in enumerate(batch):
            if self._disk.faults.get("half") and number == len(batch) // 2:
                raise self._disk.faults["half"].pop(0)
            records = self._disk.logs[log]
            last = (records[-1]["event_id"], records[-1]["hash"]) if records else empty_head(log)
            assert is_above(record["event_id"], last[0])
            check_link(last[1], record, "the memory sink")
            records.append(record)
        self._disk.step("written")

    def close(self) -> None:
        self.closed = True


def full() -> SinkUnavailable:
    return SinkUnavailable("the disk is full")
