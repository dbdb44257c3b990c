"""Connections and their pool, over real sockets whose other end the test holds."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lattice_bridge.http.client import RESUMABLE, Connection, ConnectionPool, Endpoint, TlsSession, connect
from tests.support.tls import self_signed

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the server's end of it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        endpoint = Endpoint(False, "127.0.0.1", listener.getsockname()[1])
        with closing(connect(endpoint, None, 1000, time.monotonic() + 5)) as connection:
            server, _ = listener.accept()
            with server:
                yield connection, server


def reset(server: socket.socket) -> None:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()


def test_unused_connection_is_quiet(pair: tuple[Connection, socket.socket]) -> None:
    assert pair[0].is_quiet()
    assert pair[0].is_quiet()


@pytest.mark.parametrize(
    "happens",
    [socket.socket.close, reset, lambda server: server.sendall(b"x"), lambda server: server.shutdown(socket.SHUT_WR)],
    ids=["closed", "reset", "a word", "half closed"],
)
def test_connection_with_unexpected_bytes_or_close_is_not_reused(
    pair: tuple[Connection, socket.socket], happens: Callable[[socket.socket], object]
) -> None:
    """Traps D14, D15."""
    connection, server = pair
    happens(server)
    time.sleep(0.05)
    idle = ConnectionPool()
    idle.put(connection)
    assert idle.take() is None


def test_close_during_the_request_is_an_error(pair: tuple[Connection, socket.socket]) -> None:
    """Trap D14: the caller must not treat the request as unsent."""
    connection, server = pair
    assert connection.is_quiet()
    reset(server)
    with pytest.raises(OSError, match=r"reset|peer|pipe|closed"):
        connection.exchange("POST", "/", {"host": "h"}, b"{}", time.monotonic() + 5)
    assert not connection.reusable


def test_request_is_one_packet(pair: tuple[Connection, socket.socket]) -> None:
    """The second of two packets would wait for a delayed acknowledgement, or cost twice."""
    connection, server = pair
    server.sendall(OK)
    connection.exchange("POST", "/x", {"host": "h", "x": "y"}, b"{}", time.monotonic() + 5)
    assert server.recv(1000) == b"POST /x HTTP/1.1\r\nhost: h\r\nx: y\r\ncontent-length: 2\r\n\r\n{}"
    assert connection.reusable


def test_large_body_waits_for_its_reader_and_has_a_deadline(pair: tuple[Connection, socket.socket]) -> None:
    """The socket does not block. Without a reader, its buffer is full long before the body's end."""
    connection, server = pair
    read = bytearray()

    def serve() -> None:
        while not read.endswith(b"end"):
            read.extend(server.recv(2**16))
        server.sendall(OK)

    reader = threading.Thread(target=serve)
    reader.start()
    body = b"x" * 2**23 + b"end"
    answer = connection.exchange("POST", "/", {"host": "h"}, body, time.monotonic() + 20)
    reader.join()
    assert (answer.status, read.endswith(body)) == (200, True)
    with pytest.raises(TimeoutError):
        connection.exchange("POST", "/", {"host": "h"}, body, time.monotonic() + 0.02)
    assert not connection.reusable


def test_request_after_its_deadline_is_not_sent(pair: tuple[Connection, socket.socket]) -> None:
    connection, server = pair
    with pytest.raises(TimeoutError):
        connection.exchange("POST", "/", {"host": "h"}, b"{}", time.monotonic() - 1)
    server.settimeout(0.05)
    with pytest.raises(TimeoutError):
        server.recv(1)
    assert not connection.reusable


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("/a b", "h"), ("/a\r\nx: y", "h"), ("/a\n", "h"), ("/\x00", "h"), ("/é", "h")),
        *(("/", "h\r\nx: y"), ("/", "h\n x: y"), ("/", "h\r"), ("/", "h\x00"), ("/", "h\x85"), ("/", "\u2028")),
    ],
)
def test_ambiguous_path_or_header_is_refused_unsent(
    pair: tuple[Connection, socket.socket], path: str, value: str
) -> None:
    connection, server = pair
    with pytest.raises(ValueError, match="line end"):
        connection.exchange("POST", path, {"host": value}, b"{}", time.monotonic() + 5)
    server.settimeout(0.05)
    with pytest.raises(TimeoutError):
        server.recv(1)


def test_pool_keeps_a_limited_number() -> None:
    """Trap D9."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(ConnectionPool(limit=4)) as idle:
        endpoint = Endpoint(False, "127.0.0.1", listener.getsockname()[1])
        made = [connect(endpoint, None, 1000, time.monotonic() + 5) for _ in range(7)]
        for connection in made:
            idle.put(connection)
        assert sum(connection.is_quiet() for connection in made) == 4


def test_latest_connection_is_used_first() -> None:
    """The unused ones grow old and are closed."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(ConnectionPool()) as idle:
        endpoint = Endpoint(False, "127.0.0.1", listener.getsockname()[1])
        first, second = (connect(endpoint, None, 1000, time.monotonic() + 5) for _ in range(2))
        idle.put(first)
        idle.put(second)
        assert idle.take() is second
        second.close()


def test_dropped_pool_closes_its_connections() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        connection = connect(Endpoint(False, "127.0.0.1", listener.getsockname()[1]), None, 1000, time.monotonic() + 5)
        idle = ConnectionPool()
        idle.put(connection)
        assert connection.is_quiet()
        del idle
        assert not connection.is_quiet()


def test_forked_child_uses_no_connection_of_its_parent() -> None:
    """Trap D15: two processes on one connection would read each other's answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(ConnectionPool()) as idle:
        endpoint = Endpoint(False, "127.0.0.1", listener.getsockname()[1])
        idle.put(connect(endpoint, None, 1000, time.monotonic() + 5))
        child = os.fork()
        if child == 0:
            os._exit(0 if idle.take() is None else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        kept = idle.take()  # the parent's own is still open, and quiet
        assert kept is not None
        kept.close()


def test_lock_held_at_the_fork_is_free_in_the_child() -> None:
    idle = ConnectionPool()
    with idle._lock:  # as another thread would hold it
        child = os.fork()
        if child == 0:
            os._exit(0 if idle.take() is None else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


# ---- TLS sessions ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("server"), "localhost")


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def serving(certificate: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """The context of a server: each has keys of its own for sessions, and can resume no other's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.load_cert_chain(certificate)
    return context


@contextmanager
def answering(*contexts: ssl.SSLContext) -> Iterator[tuple[int, list[bool]]]:
    """A server with a context for each connection, each for one answer: its port, and whether each was resumed."""
    resumed: list[bool] = []

    def serve() -> None:
        for context in contexts:
            channel, _ = listener.accept()
            try:
                secured = context.wrap_socket(channel, server_side=True)
            except OSError:  # the client does not trust it
                channel.close()
                continue
            with secured:
                resumed.append(bool(secured.session_reused))
                secured.recv(1000)
                secured.sendall(OK)
                secured.recv(1)  # until the client has closed the connection

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(20)
        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1], resumed
        server.join()


def ask(port: int, context: ssl.SSLContext, session: TlsSession | None, host: str = "127.0.0.1") -> None:
    deadline = time.monotonic() + 10
    with closing(connect(Endpoint(True, host, port), context, 1000, deadline, session=session)) as connection:
        assert connection.exchange("POST", "/", {"host": "h"}, b"{}", deadline).body == b"{}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_next_connection_resumes_the_session(
    certificate: Path, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    session = TlsSession()
    with answering(*[serving(certificate, version)] * 3) as (port, resumed):
        for _ in range(3):
            ask(port, trusting, session)
    assert resumed == [False, True, True]


def test_without_a_kept_session_each_handshake_is_whole(certificate: Path, trusting: ssl.SSLContext) -> None:
    with answering(*[serving(certificate)] * 2) as (port, resumed):
        for _ in range(2):
            ask(port, trusting, None)
    assert resumed == [False, False]


def test_refused_session_is_replaced_by_a_whole_handshake(certificate: Path, trusting: ssl.SSLContext) -> None:
    """A server behind the same address, or one with new keys."""
    session, other = TlsSession(), serving(certificate)
    with answering(serving(certificate), other, other) as (port, resumed):
        for _ in range(3):
            ask(port, trusting, session)
    assert resumed == [False, False, True]


def test_refused_session_lets_no_other_certificate_pass(
    certificate: Path, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    """An attacker who answers at the address has not the session's keys, and needs a certificate."""
    session = TlsSession()
    with answering(serving(certificate), serving(self_signed(tmp_path))) as (port, resumed):
        ask(port, trusting, session)
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(port, trusting, session)
    assert resumed == [False]


def test_session_is_offered_to_no_other_host(certificate: Path, trusting: ssl.SSLContext) -> None:
    """Trap D8: the name is not compared with the certificate again if a session is resumed."""
    session, server = TlsSession(), serving(certificate)
    with answering(server, server, server) as (port, resumed):
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            ask(port, trusting, session, host)
    assert resumed == [False, False, False]  # the second replaced the session of the first


def test_session_is_offered_to_no_other_port(certificate: Path, trusting: ssl.SSLContext) -> None:
    """Trap D8."""
    session, server = TlsSession(), serving(certificate)
    with answering(server) as (first, resumed), answering(server) as (second, also):
        ask(first, trusting, session)
        ask(second, trusting, session)
    assert (resumed, also) == ([False], [False])


def test_session_is_not_offered_with_other_authorities(certificate: Path, trusting: ssl.SSLContext) -> None:
    """Trap D8: the certificate that one context trusts is not one that another trusts."""
    session, server = TlsSession(), serving(certificate)
    with answering(server, server) as (port, resumed):
        ask(port, trusting, session)
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(port, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), session)
    assert resumed == [False]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0, RESUMABLE - 1, RESUMABLE), [False, True, True]),
        ((0, RESUMABLE - 1, RESUMABLE + 1), [False, True, False]),  # a resumed session does not become younger
        ((0, -1, -1), [False, False, True]),  # the clock was set back: the age is unknown
    ],
)
def test_certificate_is_verified_again_in_time(
    certificate: Path, trusting: ssl.SSLContext, seconds: tuple[float, ...], expected: list[bool]
) -> None:
    now, server = [0.0], serving(certificate)
    session = TlsSession(lambda: now[0])
    with answering(*[server] * 3) as (port, resumed):
        for now[0] in seconds:
            ask(port, trusting, session)
    assert resumed == expected


def test_server_without_tickets_is_asked_for_no_session(certificate: Path, trusting: ssl.SSLContext) -> None:
    session, server = TlsSession(), serving(certificate)
    server.num_tickets = 0
    with answering(server, server) as (port, resumed):
        for _ in range(2):
            ask(port, trusting, session)
    assert (resumed, session._latest) == ([False, False], None)
