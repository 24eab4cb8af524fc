"""Object storage: a bucket, or a folder of one, in S3, GCS, Azure, or on disk. Its errors are sentences."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from joins import durable
from joins.errors import NoBucket, SinkUnavailable

if TYPE_CHECKING:  # obstore has these names for type checkers alone
    from obstore.store import ClientConfig, RetryConfig

_CLIENT: ClientConfig = {"timeout": "30s", "connect_timeout": "5s", "allow_http": True}
_RETRY: RetryConfig = {"max_retries": 2}
HEAD_SECONDS = 10.0  # for one question about an object's lock
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HINTS = {  # what a store says: what to do
    "/latest/api/token": f"there are no credentials: set {_KEYS}",  # where an AWS machine is asked for its own
    "InvalidAccessKeyId": f"the credentials are refused: check {_KEYS}",
    "SignatureDoesNotMatch": f"the credentials are refused: check {_KEYS}",
    "ExpiredToken": "the credentials have expired: set new ones",
    "AccessDenied": "the credentials do not allow it: grant listing the bucket, and reading and putting objects",
    "AuthorizationHeaderMalformed": "the region is not the bucket's: set AWS_REGION",
}
_REASON = 300  # characters kept of what a store says


class Bucket:
    """Where the objects lie. Methods raise SinkUnavailable with the store's own reason, or NoBucket."""

    def __init__(self, url: str, make: bool = False) -> None:
        """Opens `s3://`, `gs://`, `az://` or `file:///folder`; `make`: a folder is made where there is none."""
        self.shown = without_login(url)
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        with self._errors():
            if self._folder is not None:
                self._store: ObjectStore = self._open_folder(self._folder, make)
            else:
                self._store = _opened(url)

    def _open_folder(self, folder: Path, make: bool) -> LocalStore:
        if not make and not folder.exists():
            raise NoBucket(f"the cloud backup {self.shown} cannot be used: there is no such folder")
        return LocalStore(folder, mkdir=True)

    def names(self, prefix: str = "") -> list[str]:
        """The names of all objects below the folder `prefix`, sorted."""
        with self._errors():
            listed = obstore.list(self._store, prefix=f"{prefix}/" if prefix else None)
            return sorted(entry["path"] for page in listed for entry in page)

    def read(self, name: str) -> bytes | None:
        """An object's bytes, or None when there is no such object."""
        with self._errors():
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except (NotFoundError, FileNotFoundError):
                return None

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._errors():
            try:
                obstore.head(self._store, name)
            except (NotFoundError, FileNotFoundError):
                return False
            return True

    def create(self, name: str, data: bytes) -> bool:
        """Puts an object where there is none, durable on return; False when there is one already."""
        with self._errors():
            try:
                obstore.put(self._store, name, data, mode="create")
            except AlreadyExistsError:
                return False
            self._sync(name)
            return True

    def replace(self, name: str, data: bytes) -> None:
        """Puts other bytes in the place of an object's, at once and durable on return."""
        with self._errors():
            obstore.put(self._store, name, data, mode="overwrite")
            self._sync(name)

    def upload(self, name: str, path: Path) -> None:
        """Puts a file, of whatever size, durable on return; in its place if there is such an object."""
        with self._errors():
            obstore.put(self._store, name, path)
            self._sync(name)

    def download(self, name: str, file: BinaryIO) -> None:
        """Writes an object's bytes to a file, a piece at a time. Raises NoBucket too when there is no such object."""
        with self._errors():
            for piece in obstore.get(self._store, name).stream():
                file.write(piece)

    def delete(self, name: str) -> bool:
        """Takes an object away; False where the store does not let it go (a lock, or no such permission)."""
        try:
            with self._errors():
                obstore.delete(self._store, name)
        except NoBucket:
            return True  # there is none
        except SinkUnavailable as error:
            if isinstance(error.__cause__, PermissionDeniedError | UnauthenticatedError) or "403" in str(error):
                return False
            raise
        return True

    def kept_versions(self, name: str) -> str | None:
        """Says, where the bucket keeps an object's earlier bytes when it is replaced, which and until when.

        Only S3 tells of a lock: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        with self._errors():
            version = obstore.head(self._store, name).get("version")
        if version in (None, "null"):
            return None
        until = self._locked_until(name)
        return f"version {version}" + (f", locked until {until}" if until else "")

    def _locked_until(self, name: str) -> str | None:
        """The date when an object's lock ends, in S3."""
        if not isinstance(self._store, S3Store):
            return None
        with self._errors():
            url = obstore.sign(self._store, "HEAD", name, expires_in=timedelta(minutes=1))
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=HEAD_SECONDS) as answer:
                until: str | None = answer.headers.get("x-amz-object-lock-retain-until-date")
                return until

    def _sync(self, name: str) -> None:
        """Makes an object in a folder durable, which the store itself leaves to the operating system."""
        if self._folder is not None:
            with (self._folder / name).open("rb") as file:
                os.fsync(file.fileno())
            durable.sync_folder((self._folder / name).parent)
            durable.sync_folder(self._folder)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            reason = " ".join(str(error).partition("Debug source")[0].split())[:_REASON]
            if isinstance(error, NotFoundError | FileNotFoundError) or "NoSuchBucket" in reason:
                raise NoBucket(
                    f"the cloud backup {self.shown} cannot be used: there is no such bucket or folder ({reason})"
                ) from error
            raise SinkUnavailable(f"the cloud backup {self.shown} cannot be used: {_told(reason)}") from error


def _opened(url: str) -> ObjectStore:
    if not url.startswith("s3:"):
        return from_url(url, client_options=_CLIENT, retry_config=_RETRY)
    # A bucket with Object Lock takes nothing without a checksum:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html#object-lock-put-object
    return from_url(url, client_options=_CLIENT, retry_config=_RETRY, checksum_algorithm="sha256")


def _told(reason: str) -> str:
    """What to do, before what the store said, where that is known."""
    hints = (hint for sign, hint in _HINTS.items() if sign in reason)
    hint = next(hints, None)
    return f"{hint} ({reason})" if hint else reason


def without_login(url: str) -> str:
    """An address without the user, password and parameters that may stand in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
