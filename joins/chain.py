"""The hash chain over a log, and the commitments by which names enter it.

`hash` = SHA-256(previous hash || canonical bytes of the record). Canonical bytes are JSON after RFC 8785 (sorted
keys, no spaces, UTF-8) of every key that is not null, except `hash`, `salts` and the names. A name enters only
through a commitment, HMAC-SHA-256 keyed with a random salt, so that names and salts can be erased later and the
chain still holds.
"""

from __future__ import annotations

import hmac
import json
import secrets
from hashlib import sha256
from typing import Any

from joins.errors import ChainBroken, InvalidRecord

Record = dict[str, Any]

# Which keys each commitment covers: the member's names, the staff member's, and free text that may hold a name.
COMMITTED: dict[str, tuple[str, ...]] = {
    "member": ("username", "display_name", "discriminator"),
    "staff": ("staff_username",),
    "reason": ("reason",),
}
NAME_KEYS = frozenset(key for keys in COMMITTED.values() for key in keys)
OUTSIDE = NAME_KEYS | {"salts", "hash"}
SALT_BYTES = 16


def genesis(log: str) -> str:
    """The hash before the first record of a log, in hex. It differs by log, so that no record fits both."""
    return sha256(f"persistent-invite-log/1/{log}".encode()).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON bytes after RFC 8785, for the strings, whole numbers, booleans, lists and objects a record may hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def link(previous: str, record: Record) -> str:
    """The hash, in hex, of `record` after a record whose hash is `previous`."""
    covered = {key: value for key, value in record.items() if value is not None and key not in OUTSIDE}
    return sha256(bytes.fromhex(previous) + canonical(covered)).hexdigest()


def chained(previous: str, records: list[Record]) -> list[Record]:
    """Copies of `records`, in order, each with its `hash`; `previous` is the hash before the first."""
    linked = []
    for record in records:
        previous = link(previous, record)
        linked.append({**record, "hash": previous})
    return linked


def check_link(previous: str, record: Record, where: str) -> str:
    """The record's own hash, once it is seen to follow from `previous`. Raises ChainBroken naming `where`."""
    if record.get("hash") != link(previous, record):
        raise ChainBroken(f"{where}: the record's hash does not follow from the record before it")
    return str(record["hash"])


def seal(record: Record) -> Record:
    """A copy with a fresh salt and a commitment for each group of names that the record holds."""
    groups = [group for group, keys in COMMITTED.items() if any(record.get(key) is not None for key in keys)]
    salts = {group: secrets.token_hex(SALT_BYTES) for group in groups}
    commitments = {group: _commit(record, group, salt) for group, salt in salts.items()}
    return {**record, "commitments": commitments, "salts": salts}


def check_commitments(record: Record) -> None:
    """Raises InvalidRecord when a name does not match its commitment, or has none.

    A commitment without salt and names is an erased one; that is the reader's to judge, not an error here.
    """
    salts, commitments = record.get("salts") or {}, record.get("commitments") or {}
    for group, keys in COMMITTED.items():
        named = any(record.get(key) is not None for key in keys)
        if group not in salts:
            if named:
                raise InvalidRecord(f"the names of '{group}' stand in the record without a salt")
            continue
        if commitments.get(group) != _commit(record, group, salts[group]):
            raise InvalidRecord(f"the names of '{group}' do not match their commitment")


def _commit(record: Record, group: str, salt: str) -> str:
    names = canonical([record.get(key) for key in COMMITTED[group]])
    return hmac.digest(bytes.fromhex(salt), names, "sha256").hex()
