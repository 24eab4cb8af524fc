"""Between this machine and its S3: answers that are lost, a store that is busy, or gone."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on. `lose`, `busy`: how many of the next writes lose their answer, or are told to slow down."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target)
        self.lose = self.busy = 0
        self.gone = False
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def takes(self, what: str) -> bool:
        """Whether the next request is one of those; counts it."""
        with self.lock:
            left = getattr(self, what)
            setattr(self, what, max(0, left - 1))
            return bool(left)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        writes = self.command in ("PUT", "POST")
        if self.server.gone:
            self.close_connection = True
            return
        if writes and self.server.takes("busy"):
            self._answer(503, [("Content-Type", "application/xml")], BUSY)
            return
        target = http.client.HTTPConnection(self.server.target.hostname or "", self.server.target.port, timeout=30)
        headers = dict(self.headers.items())
        if "x-amz-checksum-sha256" in {name.lower() for name in headers}:
            # S3 itself is content with the checksum; moto wants this header of the AWS SDKs beside it.
            headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
        target.request(self.command, self.path, body, headers)
        answer = target.getresponse()
        content = answer.read()
        target.close()
        if writes and self.server.takes("lose"):
            self.close_connection = True
            return
        dropped = ("transfer-encoding", "content-length", "connection")
        self._answer(answer.status, [pair for pair in answer.getheaders() if pair[0].lower() not in dropped], content)

    do_GET = _pass_on  # noqa: N815 - the names by which the server finds them
    do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" or not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """A proxy before that address while the context lasts."""
    server = Proxy(target)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
