"""Writing records to a sink so that what an `erased` change orders holds there, whatever is written when.

The change is obeyed before it is written, so that no crash leaves it in a sink whose names still stand; and what comes
later but lies before it in the order, since the two logs do not wait for each other, is written without the names.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.sink import Sink
from joins.chain import Record
from joins.erasure import Erasure, Erasures, erasure_of
from joins.records import CHANGES
from joins.scrubbing import scrubbed


def without_erased(records: Sequence[Record], erasures: Erasures) -> list[Record]:
    """Records, which have their event ids, as they may be written."""
    return [scrubbed(record, erasures) or record for record in records]


def write(sink: Sink, log: str, batch: Sequence[Record]) -> dict[Erasure, list[str]]:
    """Writes a batch; gives what each erasure in it could not reach. Raises what the sink raises."""
    ordered = [erasure for record in batch if log == CHANGES and (erasure := erasure_of(record)) is not None]
    remnants = {erasure: sink.erase([erasure]) for erasure in ordered}
    sink.write(log, without_erased(batch, Erasures(ordered)) if ordered else batch)
    return remnants
