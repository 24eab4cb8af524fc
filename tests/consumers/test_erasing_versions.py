"""A bucket that keeps versions, or locks its objects: the old bytes are named, with the date when they end."""

from __future__ import annotations

import urllib.request
import uuid

from test_erasing import LOGGED, NAMES, ORDER

from consumers.cloud_backup import CloudBackup
from joins.records import JOINS

# Without these moto takes the request for one to another service, or its body for a form.
HEADERS = {
    "Content-Type": "application/xml",
    "Authorization": "AWS4-HMAC-SHA256 Credential=testing/20261126/us-east-1/s3/aws4_request, SignedHeaders=host",
}
OBJECT = "joins/000000000000.jsonl.gz"
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
VERSIONS = f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>"
RETENTION = (
    f"<Retention {XMLNS}><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>"
)


def put(address: str, body: str = "", **headers: str) -> None:
    request = urllib.request.Request(address, data=body.encode(), method="PUT", headers=HEADERS | headers)
    with urllib.request.urlopen(request, timeout=10):
        pass


def erased(bucket: str) -> list[str]:
    """What remains after the names were erased from the backup in it."""
    sink = CloudBackup(f"s3://{bucket}/log")
    told = sink.erase([ORDER])
    assert CloudBackup(f"s3://{bucket}/log").erase([ORDER]) == [], "done again, nothing is left to do"
    assert not any(name in sentence for name in NAMES for sentence in told)
    return told


def written(bucket: str) -> None:
    CloudBackup(f"s3://{bucket}/log").write(JOINS, LOGGED[JOINS][:3])


def test_a_bucket_without_versions_keeps_nothing(s3_url: str) -> None:
    sink = CloudBackup(s3_url)
    sink.write(JOINS, LOGGED[JOINS][:3])
    assert sink.erase([ORDER]) == []


def test_a_bucket_that_keeps_versions_is_named(s3_address: str) -> None:
    bucket = f"versions-{uuid.uuid4().hex[:8]}"
    put(f"{s3_address}/{bucket}")
    put(f"{s3_address}/{bucket}?versioning", VERSIONS)
    written(bucket)
    [told] = erased(bucket)
    assert told.startswith(f"s3://{bucket}/log/{OBJECT} keeps its old bytes as version ")
    assert "locked" not in told


def test_a_locked_object_is_named_with_the_date_when_its_lock_ends(s3_address: str) -> None:
    bucket = f"locked-{uuid.uuid4().hex[:8]}"
    put(f"{s3_address}/{bucket}", **{"x-amz-bucket-object-lock-enabled": "true"})
    written(bucket)
    put(f"{s3_address}/{bucket}/log/{OBJECT}?retention", RETENTION)
    [told] = erased(bucket)
    assert told.startswith(f"s3://{bucket}/log/{OBJECT} keeps its old bytes as version ")
    assert told.endswith(", locked until 2099-01-01T00:00:00Z")
