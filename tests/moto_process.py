"""S3 on this machine: moto's server as its own process."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

START_SECONDS = 30.0
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """The address of an empty S3 while the context lasts."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, "moto_server ended at once"
                with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/moto-api/", timeout=5):
                    break
                assert time.monotonic() < deadline, "moto_server did not start"
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()


def make_bucket(address: str, name: str) -> None:
    """An empty bucket of that name."""
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{name}", method="PUT"), timeout=10):
        pass
