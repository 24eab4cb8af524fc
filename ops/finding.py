"""What one check of `invitelog doctor` found."""

from __future__ import annotations

from dataclasses import dataclass

from joins.errors import StartupError

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """`state` of `what`, in detail; `remedy` says what to do where the state is not ok."""

    state: str
    what: str
    detail: str
    remedy: str | None = None


def failed(what: str, error: StartupError) -> Finding:
    """The error as a finding: its sentence says what happened, and after the last colon what to do."""
    detail, _, remedy = str(error).rpartition(": ")
    return Finding(FAIL, what, detail, remedy[:1].upper() + remedy[1:])
