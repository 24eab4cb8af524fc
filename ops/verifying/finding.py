"""What verifying finds, as sentences: what was altered, what cannot be told, what is merely worth knowing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from joins.chain import Record

# Kinds of what was altered; the last where no sound copy tells which of them it is.
EDITED, REMOVED, INSERTED, MOVED = "edited", "removed", "inserted", "moved"
DAMAGED, REWRITTEN, CHANGED = "damaged", "rewritten", "changed"
UNSETTLED = "unsettled"  # it cannot be told now
NOTE = "note"
SOUND_STATUS, ALTERED_STATUS, UNSETTLED_STATUS = 0, 1, 2  # exit statuses


class Flaw(Exception):
    """The first thing in a copy that is not as this program wrote it."""

    def __init__(self, where: str, what: str, record: Record | None = None, torn: bool = False) -> None:
        super().__init__(f"{where}: {what}")
        self.where, self.what, self.record = where, what, record
        self.torn = torn  # a crash may have left it; the sink's next start repairs that


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `where` is a file and line, an object and line, or a row."""

    kind: str
    sink: str
    log: str
    where: str
    what: str
    event_id: str | None = None  # of the record, where that is known

    @property
    def sentence(self) -> str:
        """For a person. What an altered record holds may be meant for the terminal that shows it."""
        said = f"{self.where}: {self.what}" if self.where else self.what
        return "".join(one if one.isprintable() else "?" for one in said)


@dataclass
class Verdict:
    """The outcome."""

    findings: list[Finding] = field(default_factory=list)
    copies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # sink -> log -> records, head, hash
    anchors: int = 0  # that were held against the copies
    seconds: float = 0.0

    @property
    def status(self) -> int:
        """0 all is sound, 1 something was altered, 2 something could not be told."""
        kinds = {finding.kind for finding in self.findings}
        if kinds - {UNSETTLED, NOTE}:
            return ALTERED_STATUS
        return UNSETTLED_STATUS if UNSETTLED in kinds else SOUND_STATUS

    def of(self, *kinds: str) -> Sequence[Finding]:
        """The findings of some kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]

    def altered(self) -> Sequence[Finding]:
        """The findings that make the status 1."""
        return [finding for finding in self.findings if finding.kind not in (UNSETTLED, NOTE)]

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        found = [{**asdict(finding), "sentence": finding.sentence} for finding in self.findings]
        return {**asdict(self), "findings": found, "status": self.status}
