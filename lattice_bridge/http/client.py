"""Kept-open HTTP connections to one server.

Rule: a connection carries one request at a time. It is kept only if its answer was framed beyond doubt and read to the
last byte, and used again only if nothing has come since: what is left of one answer is not the beginning of the next.
One deadline bounds connecting, sending and reading together: a server that sends a byte a second does not outlive it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from lattice_bridge.http.http1 import Answer, Reading, read_answer
from lattice_bridge.invoke.endpoint import Endpoint
from lattice_bridge.runtime.process import after_fork

CONNECT_TIMEOUT: Final = 2.0
"""Seconds for each address tried."""

MAX_IDLE: Final = 4.0
"""Seconds after which an idle connection is not used again.

How long Lambda keeps one is not documented; common servers hang up after five seconds or more. A frozen execution
environment does not hear of it, its next request would be lost, and could not be sent again. So this stays below all of
them, at the price of a handshake for a request that comes alone.
"""

MAX_KEPT: Final = 64
_KEEPALIVE: Final = 60
_TOGETHER: Final = 16 * 1024  # a TLS record
_PIECE: Final = 64 * 1024
_MOMENT: Final = 0.005
"""Seconds that the deadline may be outlived by."""


class Connection:
    """One open connection. Not for two requests at once.

    Attributes:
        idle_since: the wall clock's seconds at the end of the last answer.
        reusable: the last answer left nothing behind.

    Args:
        channel: connected, and through its TLS handshake.
        limit: bytes that an answer's body may have.
        clock: monotonic seconds.
    """

    def __init__(self, channel: socket.socket, limit: int, clock: Callable[[], float]) -> None:
        self._socket = channel
        self._limit = limit
        self._readable = select.poll()
        self._readable.register(channel, select.POLLIN)
        self._until = _Until(channel, clock)
        self._reading = Reading(self._until.receive, 2 * limit)
        self.idle_since = 0.0
        self.reusable = True

    def exchange(self, path: str, headers: Mapping[str, str], body: bytes, deadline: float) -> Answer:
        """Sends a POST, and reads the answer to its end. The headers' names are the caller's own words, in lower case.

        Raises:
            ValueError: a path or header's value that could become another; nothing was sent.
            TimeoutError: not done by the deadline. From here on, whether the request was carried out is unknown.
            OSError, BadAnswer: the connection broke, or the answer did.
            AnswerTooLarge: its body is over the limit.
        """
        self.reusable = False
        head = _head(path, headers, len(body))
        self._until.deadline = deadline
        # In one packet: in two, the second would wait, or at least cost twice. Of a large body, its beginning.
        self._until.send(head + body[:_TOGETHER])
        if len(body) > _TOGETHER:
            self._until.send(memoryview(body)[_TOGETHER:])
        answer = read_answer(self._reading, self._limit)
        self.reusable = not answer.is_last
        return answer

    def is_quiet(self) -> bool:
        """Nothing has come since the last answer: not the server's hang-up, not a word that nobody asked for.

        What can be read is read: a TLS record may be a session ticket, which is nothing.
        """
        if self._socket.fileno() < 0:  # its number may be another's by now
            return False
        if not self._readable.poll(0) and not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return True
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Ends the connection, whatever is on its way."""
        self._socket.close()


def _head(path: str, headers: Mapping[str, str], length: int) -> bytes:
    """http.client's lets a folded line through: one header to some, to others two."""
    if " " in path or not all(text.isascii() and text.isprintable() for text in (path, *headers.values())):
        raise ValueError("a path or header with a line end, a control character, or another alphabet")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}content-length: {length}\r\n\r\n".encode("ascii")


class _Until:
    """A socket with one deadline for all that is sent and received.

    Attributes:
        deadline: seconds of the clock.
    """

    def __init__(self, channel: socket.socket, clock: Callable[[], float]) -> None:
        self._socket = channel
        self._clock = clock
        self.deadline = 0.0

    def send(self, data: bytes | memoryview) -> None:
        """All of it. `sendall` of a TLS socket would start its time limit anew for each record."""
        unsent = memoryview(data)
        while unsent:
            self._set_timeout()
            unsent = unsent[self._socket.send(unsent) :]

    def receive(self) -> bytes:
        """What has come, at least a byte; none at the end."""
        self._set_timeout()
        return self._socket.recv(_PIECE)

    def _set_timeout(self) -> None:
        """What is left until the deadline. Each setting is a system call, so one that is off by a moment stays."""
        left = self.deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        current = self._socket.gettimeout()
        if current is None or not left <= current <= left + _MOMENT:
            self._socket.settimeout(left)


def connect(
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    limit: int,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> Connection:
    """A new connection, by the deadline but for the resolver, which Python cannot interrupt.

    Args:
        endpoint: where to.
        context: for TLS; needed if the endpoint is secure.
        limit: bytes that an answer's body may have.
        deadline: seconds of `clock`.
        clock: monotonic seconds.

    Raises:
        OSError: it could not be made; nothing was sent.
    """
    channel = _connected(endpoint, deadline, clock)
    try:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # NAT gateways forget a silent wait
        if hasattr(socket, "TCP_KEEPIDLE"):
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)
        if endpoint.secure:
            assert context is not None
            channel.settimeout(max(deadline - clock(), 0.001))  # one limit for the whole handshake
            channel = context.wrap_socket(channel, server_hostname=endpoint.host)
    except BaseException:
        channel.close()
        raise
    return Connection(channel, limit, clock)


def _connected(endpoint: Endpoint, deadline: float, clock: Callable[[], float]) -> socket.socket:
    """Tries the addresses in turn, and leaves time for those that follow, and for the request: an IPv6 route may lead
    nowhere."""
    addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    failure = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        channel = socket.socket(family, kind, protocol)
        try:
            share = (deadline - clock()) / (len(addresses) - number + 1)
            channel.settimeout(min(CONNECT_TIMEOUT, max(share, 0.001)))
            channel.connect(address)
        except OSError as error:
            channel.close()
            failure = error
        else:
            return channel
    raise failure


class Idle:
    """Connections that wait for work, the latest first. Safe to share by threads, and by processes that were forked.

    A child process starts without a connection: the parent goes on using those that were open at the fork, and two
    processes on one connection would read each other's answers.

    Args:
        now: the wall clock's seconds: a frozen execution environment ages by them, and maybe by no other clock.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: deque[Connection] = deque()
        self._lock = threading.Lock()
        after_fork(self._leave_parents)
        weakref.finalize(self, _close_all, self._kept)  # an invoker that was replaced leaves no sockets behind

    def take(self) -> Connection | None:
        """A connection that can be used, or None. Those that cannot are closed."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            # A clock that was set back says nothing of how long it was.
            if 0 <= self._now() - connection.idle_since <= MAX_IDLE and connection.is_quiet():
                return connection
            connection.close()

    def put(self, connection: Connection) -> None:
        """Keeps a connection, if its last answer left nothing behind; otherwise closes it."""
        if connection.reusable:
            connection.idle_since = self._now()
            with self._lock:
                if len(self._kept) < MAX_KEPT:
                    self._kept.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Closes all that are not in use."""
        with self._lock:
            _close_all(self._kept)

    def _leave_parents(self) -> None:
        """In a child process, closes its copies of the parent's connections, which stay open there."""
        self._lock = threading.Lock()
        _close_all(self._kept)


def _close_all(kept: deque[Connection]) -> None:
    while kept:
        kept.pop().close()
