"""`doctor`'s look at the disk and at the cloud copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from joins.errors import StartupError
from joins.settings import Settings
from ops import preflight
from ops.finding import FAIL, OK, WARN, Finding, failed

FREE_BYTES = 500_000_000  # less than this is worth a warning
CLOUD_TIMEOUT = "10s"


def check_disk(settings: Settings) -> Iterator[Finding]:
    """The log folder: writable, ours, with room, and on a disk that stays."""
    folder = settings.invite_logs_dir
    try:
        preflight.check_folder(folder)
        preflight.check_logs(folder)
    except StartupError as error:
        yield failed("log folder", error)
        return
    free = shutil.disk_usage(folder).free
    detail = f"{folder.absolute()}, {free / 1_000_000_000:.1f} GB free"
    if free < FREE_BYTES:
        yield Finding(WARN, "log folder", detail, "Make room: a full disk stops the logs.")
    else:
        yield Finding(OK, "log folder", detail)
    if "DYNO" in os.environ:
        remote = settings.cloud_url.partition("://")[0] != "file"
        yield Finding(
            WARN if remote else FAIL,
            "disk",
            "a dyno's disk is lost at every restart" + ("; the cloud copy restores it" if remote else ""),
            "Keep CLOUD_BACKUP_URL in good order." if remote else "Set CLOUD_BACKUP_URL to s3://, gs:// or az://.",
        )


def check_cloud(settings: Settings) -> Iterator[Finding]:
    """The fourth copy: can it be listed, and is it a backup at all."""
    url = settings.cloud_url
    if settings.cloud_backup_url is None:
        yield Finding(
            WARN,
            "cloud",
            "CLOUD_BACKUP_URL is unset: the fourth copy is a folder beside the logs, which is no backup",
            "Set CLOUD_BACKUP_URL to s3://bucket/prefix, gs://… or az://….",
        )
        return
    place = f"{urlsplit(url).scheme}://{urlsplit(url).netloc.rpartition('@')[2]}{urlsplit(url).path}"
    fault = _listing_fault(url)
    if fault is not None:
        remedy = "Check the address, the credentials (for S3: AWS_ACCESS_KEY_ID and the like) and the network."
        yield Finding(FAIL, "cloud", f"{place} cannot be listed: {fault}", remedy)
    elif url.startswith("file://") and _same_disk(Path(unquote(urlsplit(url).path)), settings.invite_logs_dir):
        remedy = "Set CLOUD_BACKUP_URL to s3://, gs:// or az://, or to a folder on another disk."
        yield Finding(WARN, "cloud", f"{place} is on the same disk as the logs, which is no backup", remedy)
    else:
        yield Finding(OK, "cloud", f"{place} can be listed")


def _listing_fault(url: str) -> str | None:
    # obstore is a large library that only this check needs.
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        if url.startswith("file://"):
            os.listdir(unquote(urlsplit(url).path))
        else:
            store = from_url(
                url,
                client_options={"timeout": CLOUD_TIMEOUT, "connect_timeout": CLOUD_TIMEOUT, "allow_http": True},
                retry_config={"max_retries": 0},
            )
            next(iter(obstore.list(store, chunk_size=1)), None)
    except OSError as error:
        return error.strerror or str(error)
    except (BaseError, ValueError) as error:
        return _without_secrets(" ".join(str(error).split())[:300], url)
    return None


def _without_secrets(text: str, url: str) -> str:
    parts = urlsplit(url)
    for secret in (parts.query, parts.netloc.rpartition("@")[0]):
        text = text.replace(secret, "…") if secret else text
    return text


def _same_disk(folder: Path, logs_dir: Path) -> bool:
    return folder.stat().st_dev == logs_dir.stat().st_dev
