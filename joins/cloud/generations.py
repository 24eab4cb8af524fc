"""Which life of the backup in a bucket counts: a rebuilt one begins beside the old one, and then takes over at once.

    generations/000001.json    made last, only ever created: from then on the backup lies below g000001/
    g000001/joins/…            its objects; those of the life before stay where they are

A bucket that was never rebuilt has no such object, and its backup lies at the top.
"""

from __future__ import annotations

from joins.chain import canonical
from joins.cloud.bucket import Bucket

_FOLDER = "generations"


def current(bucket: Bucket) -> str:
    """What the names of the present backup's objects begin with: "" or such as "g000001/". Raises SinkUnavailable."""
    return _prefix(_latest(bucket))


def following(bucket: Bucket) -> tuple[str, str]:
    """The next life: what its objects' names begin with, and the name of the object that declares it."""
    number = _latest(bucket) + 1
    while bucket.names(_prefix(number).rstrip("/")):  # what an attempt that was given up has left is not built upon
        number += 1
    return _prefix(number), f"{_FOLDER}/{number:06d}.json"


def declare(bucket: Bucket, name: str, why: dict[str, str]) -> bool:
    """Makes the life that was built the one that counts; False when somebody else declared one under that number."""
    return bucket.create(name, canonical(why))


def _latest(bucket: Bucket) -> int:
    names = bucket.names(_FOLDER)
    return int(names[-1].rpartition("/")[2].removesuffix(".json")) if names else 0


def _prefix(number: int) -> str:
    return f"g{number:06d}/" if number else ""
