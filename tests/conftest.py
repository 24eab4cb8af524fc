"""What every test may use: a real server of the kind `invitelog up` embeds, on a unix socket in a temporary folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from joins.redis_url import Client, connect
from joins.settings import Settings
from ops import embedded

START_SECONDS = 10.0


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server with the embedded server's settings. It runs for the whole session."""
    logs_dir = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(embedded.command(logs_dir))
    try:
        deadline = time.monotonic() + START_SECONDS
        while not embedded.answers(logs_dir):
            assert process.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield embedded.url(logs_dir)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def redis_client(server_url: str) -> Iterator[Client]:
    """A client of the real server, emptied before the test."""
    client = connect(Settings(redis_url=server_url))
    client.flushall()
    yield client
    client.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that tests need is installed, so a skipped test is a failure there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names how many tests were skipped, and that CI does not allow it."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped:
        verdict = "which CI counts as failures" if os.environ.get("CI") else "CI, which installs all, skips none"
        terminalreporter.write_line(f"{skipped} skipped: {verdict}")
