"""Kept-open HTTP connections to one server.

Rule: a connection carries one request at a time. It is kept only if its answer was framed beyond doubt and read to the
last byte, and used again only if nothing has come since: what is left of one answer is never the beginning of the next.
One deadline bounds connecting, sending and reading together: a server that sends a byte a second does not outlive it.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from lattice_bridge.endpoint import Endpoint

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


class BadAnswer(Exception):
    """What came is not one HTTP answer with a certain end."""


class AnswerTooLarge(Exception):
    """The answer is larger than allowed, or says that it will be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        status: of its status line.
        headers: looked up by any spelling.
        body: to its end.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes


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
        self._until = _Until(channel, clock, 2 * limit)
        self.idle_since = 0.0
        self.reusable = True

    def exchange(self, path: str, headers: Mapping[str, str], body: bytes, deadline: float) -> Answer:
        """Sends a POST, and reads the answer to its end. The headers' names are the caller's own words, in lower case.

        Raises:
            ValueError: a path or header's value that could become another; nothing was sent.
            TimeoutError: not done by the deadline. From here on, whether the request was carried out is unknown.
            OSError, http.client.HTTPException, BadAnswer: the connection broke, or the answer did.
            AnswerTooLarge: its body is over the limit.
        """
        self.reusable = False
        head = _head(path, headers, len(body))
        self._until.begin(deadline)
        try:
            # In one packet: in two, the second would wait, or at least cost twice. Of a large body, its beginning.
            self._until.send(head + body[:_TOGETHER])
            if len(body) > _TOGETHER:
                self._until.send(memoryview(body)[_TOGETHER:])
            return self._answer()
        except ValueError as error:  # http.client's, for a chunk of less than no bytes
            raise BadAnswer(str(error)) from error

    def _answer(self) -> Answer:
        with http.client.HTTPResponse(cast("socket.socket", self._until), method="POST") as response:
            response.begin()
            _check_framing(response)
            body = self._read(response)
        # http.client takes 204 and 304 to have no body, whatever follows: nobody can tell, so they are the last.
        self.reusable = not (response.will_close or response.status in (204, 304) or self._until.has_more())
        return Answer(response.status, response.headers, body)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if (response.length or 0) > self._limit:
            raise AnswerTooLarge
        # `read(n)` of a body that ends early is silent about it, `read()` is not. A chunked one tells either way.
        body = response.read(self._limit + 1) if response.chunked else response.read()
        if len(body) > self._limit:
            raise AnswerTooLarge
        return body

    def is_quiet(self) -> bool:
        """Nothing has come since the last answer: not the server's hang-up, not a word that nobody asked for.

        By reading rather than polling: a TLS record may be a session ticket, which is nothing.
        """
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
    """http.client's own is three times as slow, and lets a folded line through: one header to some, to others two."""
    if " " in path or not all(text.isascii() and text.isprintable() for text in (path, *headers.values())):
        raise ValueError("a path or header with a line end, a control character, or another alphabet")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}content-length: {length}\r\n\r\n".encode("ascii")


def _check_framing(response: http.client.HTTPResponse) -> None:
    """http.client takes the first of two lengths, `1_0` for ten, and an answer without any to end with the connection,
    where a broken one ends just so. It also returns 102 and 103 as if no other answer followed."""
    lengths, codings = (
        [value.strip(" \t").lower() for value in response.headers.get_all(name, [])]
        for name in ("content-length", "transfer-encoding")
    )
    if response.status < 200:
        raise BadAnswer("an interim answer")
    if response.headers.defects:  # its parser drops every line after one that it cannot read
        raise BadAnswer("a header that cannot be read")
    if response.status in (204, 304):
        return
    if codings:
        if lengths or codings != ["chunked"]:
            raise BadAnswer("two readings of the answer's length")
    elif len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise BadAnswer("an answer without a length")


class _Until(io.RawIOBase):
    """A socket with one deadline for all that is sent and read, and a bound on what is read. `makefile` is what
    HTTPResponse asks a socket for."""

    def __init__(self, channel: socket.socket, clock: Callable[[], float], most: int) -> None:
        self._socket = channel
        self._clock = clock
        self._most = most
        self._deadline: float | None = None
        self._received = 0
        self._stream = _Stream(self)

    def begin(self, deadline: float) -> None:
        self._deadline = deadline
        self._received = 0

    def send(self, data: bytes | memoryview) -> None:
        """All of it. `sendall` of a TLS socket would start its time limit anew for each record."""
        unsent = memoryview(data)
        while unsent:
            self._socket.settimeout(self._left())
            unsent = unsent[self._socket.send(unsent) :]

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the name and signature are not ours
        return self._stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is None:
            return None
        if self._received > self._most:  # a head, trailers or interim answers without end
            raise AnswerTooLarge
        self._socket.settimeout(self._left())
        count = self._socket.recv_into(buffer)
        self._received += count
        return count

    def has_more(self) -> bool:
        """More was received than the answer: the server and we do not agree where it ended."""
        self._deadline = None
        return bool(self._stream.peek(1))

    def _left(self) -> float:
        left = (self._deadline or 0.0) - self._clock()
        if left <= 0:
            raise TimeoutError
        return left


class _Stream(io.BufferedReader):
    """Outlives the answers that are read from it, so that what one leaves behind can be seen."""

    def close(self) -> None:
        """HTTPResponse closes what it has read to the end."""


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
    """Connections that wait for work, the latest first. Safe to share by threads.

    Args:
        now: the wall clock's seconds: a frozen execution environment ages by them, and maybe by no other clock.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: deque[Connection] = deque()
        self._lock = threading.Lock()
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


def _close_all(kept: deque[Connection]) -> None:
    while kept:
        kept.pop().close()
