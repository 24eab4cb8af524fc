"""An archive to the verifier: every byte of it is what this program writes, or it names what is not."""

from __future__ import annotations

from collections.abc import Iterator

from joins.archive import Archive, member, month_of
from joins.errors import LogDamaged
from joins.form import Form
from joins.tail import Head
from ops.verifying.finding import Flaw


def lines(one: Archive, form: Form, before: Head) -> Iterator[tuple[str, bytes]]:
    """Every line with its place, counted as in the unpacked file. Raises Flaw; what a line holds is not looked at.

    `before` is the head that the archive has to follow from.
    """
    shown, index = str(one.path), one.index
    plain = member(b"")[:10]
    try:
        if one.header_of(0) != plain or one.unpacked(0, index.blocks[0].offset) != form.begin:
            raise Flaw(shown, "it does not begin as an archive of this program does")
        number = form.begin.count(b"\n")
        for position, block in enumerate(index.blocks):
            where = f"{shown}, line {number + 1}"
            if one.header_of(block.offset) != plain:
                raise Flaw(where, "the block that begins here is not as this program writes it")
            found = one.lines_of(block)
            if one.payload(block) != (form.between if position else b"") + form.between.join(found):
                raise Flaw(where, "the lines from here on are not separated as this program does it")
            for line in found:
                number += 1
                yield f"{shown}, line {number}", line
            if len(found) != block.records:
                raise Flaw(where, f"its index counts {block.records} records from here on, but there are {len(found)}")
        if one.header_of(index.end) != plain or one.unpacked(index.end, one.index_at) != form.end:
            raise Flaw(shown, "it does not end as an archive of this program does")
        if index.before != before:
            raise Flaw(shown, f"its index says that it follows record {index.before[0]}, which is not so")
        if one.path.name != f"{form.stem}.{index.month}.{form.sink}.gz" or month_of(index.head[0]) != index.month:
            raise Flaw(shown, f"it is the archive of {index.month}, by its index, and has another name or content")
        if not one.is_as_packed():
            raise Flaw(shown, "its records unpack as they should, but it is not byte for byte what was written")
    except LogDamaged as error:
        raise Flaw(shown, str(error)) from error
