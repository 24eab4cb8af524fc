"""What one check of `invitelog doctor` found."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """`state` of `what`, in detail; `remedy` says what to do where the state is not ok."""

    state: str
    what: str
    detail: str
    remedy: str | None = None
