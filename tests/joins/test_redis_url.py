from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from redis.sentinel import Sentinel, SentinelConnectionPool

from joins import redis_url
from joins.errors import ServerTooOld, ServerUnreachable
from joins.redis_url import Client, check_server, connect, shown, wait_for_server
from joins.settings import Settings, load


def options(url: str, verify: bool = True) -> dict[str, object]:
    client = connect(Settings(redis_url=url, redis_tls_verify=verify))
    return dict(client.connection_pool.connection_kwargs)


@contextmanager
def fake_server(info: str) -> Iterator[str]:
    """A server that answers every INFO with `info`, and everything else with OK. Gives its URL."""

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            while header := file.readline():
                words = []
                for _ in range(int(header[1:])):
                    length = int(file.readline()[1:])
                    words.append(file.read(length + 2)[:-2])
                body = info.encode()
                file.write(b"$%d\r\n%s\r\n" % (len(body), body) if words[0].upper() == b"INFO" else b"+OK\r\n")
                file.flush()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def version_of(info: str) -> str:
    with fake_server(info) as url:
        client = connect(Settings(redis_url=url))
        try:
            return check_server(client, url)
        finally:
            client.close()


def test_a_real_server_is_new_enough(redis_client: Client, server_url: str) -> None:
    assert check_server(redis_client, server_url).partition(" ")[0] in ("Valkey", "Redis")


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ("redis_version:7.0.0\r\n", "Redis 7.0.0"),
        ("redis_version:10.2.1\r\n", "Redis 10.2.1"),
        ("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n", "Valkey 8.0.1"),
    ],
)
def test_a_server_with_lag_is_taken(info: str, name: str) -> None:
    assert version_of(info) == name


@pytest.mark.parametrize("info", ["redis_version:6.2.14\r\n", "redis_version:7.2.4\r\nvalkey_version:7.2.5\r\n"])
def test_a_server_too_old_for_streams_says_which_is_needed(info: str) -> None:
    with pytest.raises(ServerTooOld, match=r"needs Redis 7\.0 or Valkey 8\.0") as caught:
        version_of(info)
    assert caught.value.exit_code == 15


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://:hunter2@127.0.0.1:{probe.getsockname()[1]}/0"


def test_a_server_that_does_not_answer_is_a_sentence_without_the_password(closed_url: str) -> None:
    with pytest.raises(ServerUnreachable, match="correct REDIS_URL") as caught:
        check_server(connect(Settings(redis_url=closed_url)), closed_url)
    assert caught.value.exit_code == 14
    assert "hunter2" not in str(caught.value)


def test_a_starting_process_waits_for_the_server_only_so_long(closed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_url, "FIRST_CONTACT", 0.05)
    with pytest.raises(ServerUnreachable):
        wait_for_server(connect(Settings(redis_url=closed_url)), closed_url, threading.Event())


def test_a_process_that_is_told_to_stop_waits_no_longer(closed_url: str) -> None:
    stopping = threading.Event()
    stopping.set()
    wait_for_server(connect(Settings(redis_url=closed_url)), closed_url, stopping)


def test_a_missing_url_says_what_to_do() -> None:
    with pytest.raises(ServerUnreachable, match="invitelog up"):
        connect(Settings())


def test_a_certificate_is_checked_unless_told_otherwise() -> None:
    assert "ssl_cert_reqs" not in options("rediss://host:6380")
    loose = options("rediss://host:6380", verify=False)
    assert (loose["ssl_cert_reqs"], loose["ssl_check_hostname"]) == (ssl.CERT_NONE, False)
    assert "ssl_cert_reqs" not in options("redis://host:6379", verify=False)


def test_what_the_url_says_of_certificates_stands() -> None:
    assert options("rediss://host:6380?ssl_cert_reqs=none")["ssl_cert_reqs"] == "none"
    assert options("rediss://host:6380?ssl_cert_reqs=required", verify=False)["ssl_cert_reqs"] == "required"


def test_on_heroku_the_self_signed_certificate_is_taken() -> None:
    settings = load({"DYNO": "web.1", "REDIS_URL": "rediss://:p@host:6380"}, dotenv=None)
    assert connect(settings).connection_pool.connection_kwargs["ssl_cert_reqs"] == ssl.CERT_NONE


def test_blocking_reads_stay_under_the_socket_timeout() -> None:
    assert redis_url.BLOCK_SECONDS < redis_url.SOCKET_TIMEOUT
    assert options("redis://host")["socket_timeout"] == redis_url.SOCKET_TIMEOUT


def sentinel_of(url: str, verify: bool = True) -> tuple[Sentinel, dict[str, object], str]:
    pool = connect(Settings(redis_url=url, redis_tls_verify=verify)).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    return pool.sentinel_manager, dict(pool.connection_kwargs), pool.service_name


def test_a_sentinel_url_names_all_sentinels_the_service_the_login_and_the_database() -> None:
    manager, kwargs, service = sentinel_of("redis+sentinel://us%40er:p%2Fw@one:26380,two/main/3")
    addresses = [(s.connection_pool.connection_kwargs["host"], s.connection_pool.connection_kwargs["port"])
                 for s in manager.sentinels]  # fmt: skip
    assert addresses == [("one", 26380), ("two", 26379)]
    assert (kwargs["username"], kwargs["password"], kwargs["db"], service) == ("us@er", "p/w", 3, "main")


def test_a_bare_sentinel_url_means_the_usual_service() -> None:
    _, kwargs, service = sentinel_of("redis+sentinel://host")
    assert (kwargs["db"], service) == (0, "mymaster")
    assert "password" not in kwargs


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=none"])
def test_a_sentinel_with_tls_takes_a_self_signed_certificate_when_told(query: str) -> None:
    _, kwargs, _ = sentinel_of(f"rediss+sentinel://host/main{query}", verify=bool(query))
    assert kwargs["ssl_cert_reqs"] == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:hunter2@host:6379/0", "redis://…@host:6379/0"),
        ("rediss://user:hun@ter2@host:6379", "rediss://…@host:6379"),
        ("redis://host?password=hunter2", "redis://host"),
        ("redis://user:x@host/0?password=hunter2", "redis://…@host/0"),
        ("unix:///tmp/redis.sock?password=hunter2", "unix:///tmp/redis.sock"),
        ("redis+sentinel://:hunter2@a:1,b:2/main", "redis+sentinel://…@a:1,b:2/main"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_a_client_opens_no_more_connections_than_it_may(redis_client: Client, server_url: str) -> None:
    client = connect(Settings(redis_url=server_url), connections=2)
    assert isinstance(client.connection_pool, redis.BlockingConnectionPool)
    assert client.connection_pool.max_connections == 2
    client.close()
