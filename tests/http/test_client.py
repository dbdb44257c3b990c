"""Connections and their pool, over real sockets whose other end the test holds."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from lattice_bridge.http.client import Connection, ConnectionPool, Endpoint, connect

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
