from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto_process import ENVIRONMENT, make_bucket, moto_server
from sink_kinds import LOCAL, Place, s3_place

BUCKET = "invite-backup"


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of an S3 with an empty bucket, made known to obstore by the environment, as an operator would."""
    before = dict(os.environ)
    with moto_server() as address:
        make_bucket(address, BUCKET)
        os.environ.update(ENVIRONMENT, AWS_ENDPOINT=address)
        try:
            yield address
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def s3_url(s3_address: str) -> str:
    """A prefix of its own in the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=[*LOCAL, "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """The home of each sink in turn."""
    if request.param == "s3":
        return s3_place(request.getfixturevalue("s3_url"))
    return LOCAL[request.param](tmp_path)
