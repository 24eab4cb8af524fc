"""`invitelog dead-letters`: the entries that were no valid record; what they hold, and how they are recorded after all.

What they hold was written by nobody knows whom: nothing of it reaches the terminal but printable characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from redis.exceptions import RedisError

from joins import dead_letters as letters
from joins import settings as settings_module
from joins.dead_letters import Letter
from joins.errors import InvalidRecord, InviteLogError, NewerVersion, ServerUnreachable
from joins.redis_url import Client, connect, shown
from ops import embedded

SHOWN_REASON = 200  # characters of a reason in the list
_ID = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and requeue entries that were no valid record.

    They are kept as they came. Requeueing hands the record to the producer again, which gives it a place of its own.
    """


@dead_letters.command("list")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a program.")
def list_letters(as_json: bool) -> None:
    """Show each dead letter in a line: its id, when, log, event id, sink, reason."""
    with _server() as client:
        found = letters.letters(client)
        if as_json:
            click.echo(_json([_plain(letter, whole=False) for letter in found]))
            return
        lines = map(_line, found)
        click.echo(next(lines, "There are no dead letters."))
        for line in lines:
            click.echo(line)


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a program.")
def show(letter_id: str, as_json: bool) -> None:
    """Show a dead letter as a whole."""
    with _server() as client:
        letter = _find(client, letter_id)
    if as_json:
        click.echo(_json(_plain(letter, whole=True)))
        return
    for name, value in _heading(letter):
        click.echo(f"{name + ':':<10}{printable(value)}")
    for field, content in letter.fields:
        click.echo(f"{printable(_text(field))}:")
        for line in _pretty(content):
            click.echo(f"    {printable(line)}")


@dead_letters.command("requeue")
@click.argument("letter_ids", metavar="ID...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every one that was not requeued yet.")
@click.option(
    "--file", "path", type=click.Path(path_type=Path), help="The corrected record, as JSON, in place of the letter's."
)
def requeue(letter_ids: tuple[str, ...], every: bool, path: Path | None) -> None:
    """Hand the records of dead letters to the producer again, once each, as far as they are valid now."""
    if bool(letter_ids) == every or (path is not None and len(letter_ids) != 1):
        raise InviteLogError("say which: `requeue ID...` or `requeue --all`; with --file one ID.")
    corrected = _read(path) if path else None
    refused = 0
    with _server() as client:
        named = [_find(client, letter_id) for letter_id in letter_ids]
        for letter in named or letters.letters(client):
            if every and letter.requeued:
                continue
            refused += not _requeue(client, letter, corrected)
    if refused:
        raise InviteLogError(f"{refused} were not requeued, see above; they stay where they are.")


def printable(text: str) -> str:
    r"""Text of others for a terminal: what is no printable character is shown as an escape such as \u202e."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _requeue(client: Client, letter: Letter, corrected: bytes | None) -> bool:
    """Whether it is on its way, now or since before."""
    before = letter.requeued
    try:
        before = before or letters.requeue(client, letter, letter.handed(corrected), datetime.now(UTC))
    except (InvalidRecord, NewerVersion) as error:
        click.echo(f"{letter.id}: no valid record: {printable(str(error))}")
        return False
    if before:
        click.echo(f"{letter.id}: was requeued already, on {before}; nothing is done.")
    else:
        click.echo(f"{letter.id}: handed to the producer; one that is recorded already is not recorded again.")
    return True


def _find(client: Client, letter_id: str) -> Letter:
    letter = letters.one(client, letter_id) if _ID.fullmatch(letter_id) else None
    if letter is None:
        raise InviteLogError(f"there is no dead letter {letter_id!r}: `invitelog dead-letters list` shows their ids.")
    return letter


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InviteLogError(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def _server() -> Iterator[Client]:
    settings = settings_module.load()
    url = settings.redis_url or embedded.url(settings.invite_logs_dir)
    client = connect(settings, url, connections=1)
    try:
        yield client
    except RedisError as error:
        raise ServerUnreachable(
            f"the Redis server at {shown(url)} does not do it ({error}): is `invitelog up` running?"
        ) from error
    finally:
        client.close()


def _line(letter: Letter) -> str:
    reason = letter.reason if len(letter.reason) <= SHOWN_REASON else letter.reason[: SHOWN_REASON - 1] + "…"
    words = [letter.id, f"{letter.when}Z", letter.log or "inbox", letter.event_id or "-", letter.sink or "producer"]
    requeued = f" [requeued {letter.requeued}]" if letter.requeued else ""
    return printable("  ".join([*words, reason])) + requeued


def _heading(letter: Letter) -> list[tuple[str, str]]:
    return [
        ("id", letter.id),
        ("when", f"{letter.when}Z"),
        ("log", letter.log or "inbox"),
        ("event id", letter.event_id or "-"),
        ("sink", letter.sink or "producer"),
        ("reason", letter.reason),
        ("requeued", letter.requeued or "no"),
    ]


def _plain(letter: Letter, whole: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {name.replace(" ", "_"): value for name, value in _heading(letter)}
    shown["requeued"] = letter.requeued
    if whole:
        shown["fields"] = [[_text(name), _text(value)] for name, value in letter.fields]
    return shown


def _json(value: Any) -> str:
    return json.dumps(value).replace("\x7f", "\\u007f")  # the one control character that JSON's ASCII leaves as it is


def _pretty(content: bytes) -> list[str]:
    """JSON in lines, anything else as it is."""
    try:
        return json.dumps(json.loads(content), indent=2, ensure_ascii=False).split("\n")
    except (ValueError, RecursionError):
        return [_text(content)]


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")
