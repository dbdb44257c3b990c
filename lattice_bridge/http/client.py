"""HTTP/1.1 client: connections with one deadline for everything, and a pool of idle connections to one server.

Rule: a connection carries one request at a time. It is kept only if its last answer was read to the last byte and its
end was unambiguous. It is used again only if nothing was received since, so the rest of one answer cannot become the
beginning of the next. One deadline bounds connecting, sending and reading together, also for a server that sends one
byte a second. Redirects, proxies, cookies and compression do not exist here.
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
from typing import Final, Literal, NamedTuple

from lattice_bridge.http.http1 import Answer, ReceiveBuffer, read_answer
from lattice_bridge.runtime.process import after_fork

CONNECT_TIMEOUT: Final = 2.0
"""Seconds for each address, at most."""

MAX_IDLE: Final = 4.0
"""Seconds after which an idle connection is not used again.

How long Lambda keeps one is not documented; common servers close them after five seconds or more. A frozen execution
environment does not notice. Its next request would be lost, and must not be sent again. So this is below all of them;
the price is a handshake for a request that comes alone.
"""

MAX_KEPT: Final = 256
"""Idle connections in a pool, at most: as many as an `[[event_source]]` may use at the same time."""

RESUMABLE: Final = 3600.0
"""Seconds after which a server's certificate is verified again. Until then, a TLS session may be resumed without it."""

_KEEPALIVE: Final = 60
_TLS_RECORD: Final = 16 * 1024
_PIECE: Final = 64 * 1024


class Endpoint(NamedTuple):
    """An HTTP server.

    Attributes:
        secure: use TLS.
        host: a name or an address, without brackets.
        port: of TCP.
        path: precedes the path of each request; no `/` at its end.
    """

    secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """The value of the `Host` header. It has no port if the port is the scheme's own.

        >>> Endpoint(True, "::1", 443).authority, Endpoint(False, "localhost", 443).authority
        ('[::1]', 'localhost:443')
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class Connection:
    """One open connection, for one request at a time.

    Attributes:
        idle_since: seconds of the wall clock at the end of the last answer.
        reusable: the last answer was read to its end, and nothing is left of it.

    Args:
        channel: a connected socket, after its TLS handshake.
        limit: bytes that an answer's body may have.
        clock: monotonic seconds.
        on_first_answer: called once, when a whole answer was read.
    """

    def __init__(
        self,
        channel: socket.socket,
        limit: int,
        clock: Callable[[], float],
        on_first_answer: Callable[[], None] | None = None,
    ) -> None:
        self._socket = channel
        self._limit = limit
        self._on_first_answer = on_first_answer
        self._timed = _DeadlineSocket(channel, clock)
        self._received = ReceiveBuffer(self._timed.receive, 2 * limit)
        self.idle_since = 0.0
        self.reusable = True

    def exchange(
        self, method: Literal["GET", "POST"], path: str, headers: Mapping[str, str], body: bytes, deadline: float
    ) -> Answer:
        """Sends a request, and reads its answer to the end.

        Args:
            method: a GET has no body.
            path: the request target, percent-encoded.
            headers: values by name. The names are constants of the caller, in lower case.
            body: of a POST.
            deadline: seconds of the clock.

        Raises:
            ValueError: the path or a header's value could be read as something else. Nothing was sent.
            TimeoutError: not done by the deadline. For this and the errors below, the request may have been executed.
            OSError: the connection broke.
            BadAnswer: the answer cannot be read.
            AnswerTooLarge: the answer's body is over the limit.
        """
        self.reusable = False
        head = _head(method, path, headers, len(body))
        self._timed.deadline = deadline
        self._timed.left()
        return self.exchange_head(head, body, deadline)

    def exchange_head(self, head: bytes, body: bytes, deadline: float) -> Answer:
        """The same for a head that the caller has written and checked, and a deadline that it has just checked."""
        self.reusable = False
        timed = self._timed
        timed.deadline = deadline
        # Head and body in one packet: the second of two would wait for an acknowledgement, or at least cost twice.
        timed.send(head + body[:_TLS_RECORD])
        if len(body) > _TLS_RECORD:
            timed.send(memoryview(body)[_TLS_RECORD:])
        answer = read_answer(self._received, self._limit)
        self.reusable = not answer.is_last
        if self._on_first_answer is not None:
            self._on_first_answer()
            self._on_first_answer = None
        return answer

    def is_quiet(self) -> bool:
        """Nothing was received since the last answer: neither the server's close nor unexpected bytes.

        Tries to read if something can be read: it may be a TLS session ticket, which is neither.
        """
        if self._socket.fileno() < 0:  # closed; another socket may have its number by now
            return False
        if not self._timed.can_receive():
            return True
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Closes the connection, also in the middle of an answer."""
        self._socket.close()


def _head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    """The request's head. http.client would send a folded header line: some read one header, others two."""
    texts = "".join([path, *headers.values()])
    if " " in path or not texts.isascii() or not texts.isprintable():
        raise ValueError("a path or header with a line end, a control character, or characters outside ASCII")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if method != "GET":
        lines += f"content-length: {length}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


class _DeadlineSocket:
    """A socket with one deadline for everything that is sent and received.

    The socket itself does not wait. If it had a timeout, Python would poll before each send as well, and set the
    timeout by another system call. In each of them, a thread gives the interpreter's lock away.

    Attributes:
        deadline: seconds of the clock.
    """

    def __init__(self, channel: socket.socket, clock: Callable[[], float]) -> None:
        channel.settimeout(0)
        self._socket = channel
        self._clock = clock
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(channel, select.POLLIN)
        self._writable.register(channel, select.POLLOUT)
        # TLS may have received more than was read; no poll finds that. Asking it costs less than reading in vain.
        self._pending = channel.pending if isinstance(channel, ssl.SSLSocket) else None
        self.deadline = 0.0

    def send(self, data: bytes | memoryview) -> None:
        """Sends all of the data."""
        while True:
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(self._writable)
            except ssl.SSLWantReadError:
                self._wait(self._readable)
            else:
                if sent == len(data):
                    return
                data = memoryview(data)[sent:]

    def receive(self) -> bytes:
        """Receives at least one byte, or none at the connection's end."""
        if self._pending is None or not self._pending():
            self._wait(self._readable)
        while True:
            try:
                return self._socket.recv(_PIECE)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(self._readable)
            except ssl.SSLWantWriteError:
                self._wait(self._writable)

    def can_receive(self) -> bool:
        """Whether something can be read now, or the connection has ended."""
        return bool(self._readable.poll(0)) or (self._pending is not None and self._pending() > 0)

    def _wait(self, until: select.poll) -> None:
        """Waits until the socket is ready or the deadline has come. The next call then raises the error."""
        until.poll(self.left() * 1000)

    def left(self) -> float:
        """The seconds until the deadline.

        Raises:
            TimeoutError: it has come.
        """
        left = self.deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left


class TlsSession:
    """The TLS session of the latest full handshake, which later connections resume. Safe to share by threads.

    A resumed handshake has no certificate: the server proves that it has the session's keys, which only the server with
    the verified certificate has. So a session is offered only to the endpoint and with the context that it came from.
    If the server refuses it, OpenSSL does a full handshake, with all checks. A child process may use it as well: each
    handshake makes keys of its own.

    Args:
        now: seconds of the wall clock, which also counts the time that an execution environment is frozen.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._latest: _Resumable | None = None  # replaced as a whole, so that threads need no lock

    def wrap(
        self, channel: socket.socket, endpoint: Endpoint, context: ssl.SSLContext
    ) -> tuple[ssl.SSLSocket, Callable[[], None] | None]:
        """Does the handshake on a connected socket, with the latest session if it is for this endpoint and context.

        Returns:
            The socket; and after a full handshake, what keeps the new session. TLS 1.3 sends the session after the
            handshake, so call this after an answer. A resumed one need not be replaced: a ticket is good for many uses.

        Raises:
            OSError: the handshake failed.
        """
        latest, now = self._latest, self._now()
        offered = None
        if latest is not None and latest.endpoint == endpoint and latest.context is context:
            offered = latest.session if 0 <= now - latest.verified <= RESUMABLE else None
        secured = context.wrap_socket(channel, server_hostname=_unencoded(endpoint.host), session=offered)

        def keep() -> None:
            session = secured.session
            if session is not None and session.has_ticket:
                self._latest = _Resumable(endpoint, context, session, now)

        return secured, None if secured.session_reused else keep


class _Resumable(NamedTuple):
    """A session, and what it may be used for.

    Attributes:
        endpoint: the server that it came from.
        context: has the authorities that the server's certificate was verified with.
        session: of TLS.
        verified: seconds of the wall clock when the certificate was verified.
    """

    endpoint: Endpoint
    context: ssl.SSLContext
    session: ssl.SSLSession
    verified: float


def connect(
    endpoint: Endpoint,
    context: ssl.SSLContext | None,
    limit: int,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    session: TlsSession | None = None,
) -> Connection:
    """Opens a connection before the deadline. Only the resolver may take longer: Python cannot interrupt it.

    Args:
        endpoint: the server.
        context: for TLS; needed if the endpoint is secure.
        limit: bytes that an answer's body may have.
        deadline: seconds of `clock`.
        clock: monotonic seconds.
        session: resumed if possible, and replaced by that of this connection.

    Raises:
        OSError: no connection was made, and nothing was sent.
    """
    channel = _connected(endpoint, deadline, clock)
    keep_session = None
    try:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # NAT gateways drop silent connections
        if hasattr(socket, "TCP_KEEPIDLE"):
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE)
        if endpoint.secure:
            assert context is not None
            channel.settimeout(max(deadline - clock(), 0.001))  # one limit for the whole handshake
            channel, keep_session = (session or TlsSession()).wrap(channel, endpoint, context)
    except BaseException:
        channel.close()
        raise
    return Connection(channel, limit, clock, keep_session)


def _connected(endpoint: Endpoint, deadline: float, clock: Callable[[], float]) -> socket.socket:
    """Tries the addresses in turn: an IPv6 route may lead nowhere. Leaves time for the other addresses, and a third of
    an address's share for the request. A lost SYN is sent again after a second, which two seconds have to allow."""
    addresses = socket.getaddrinfo(_unencoded(endpoint.host), endpoint.port, type=socket.SOCK_STREAM)
    failure = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        channel = socket.socket(family, kind, protocol)
        try:
            share = (deadline - clock()) / (len(addresses) - number + 1 / 3)
            channel.settimeout(min(CONNECT_TIMEOUT, max(share, 0.001)))
            channel.connect(address)
        except OSError as error:
            channel.close()
            failure = error.with_traceback(None)
        else:
            return channel
    try:
        raise failure
    finally:
        del failure  # its traceback has this frame, so the request would wait for a collection


def _unencoded(host: str) -> str | bytes:
    """The host as bytes if it is ASCII: Python encodes a string with its codec `idna`, which a start would import."""
    return host.encode("ascii") if host.isascii() else host


class ConnectionPool:
    """Idle connections to one server; the latest is used first. Safe to share by threads and by forked processes.

    A child process starts with an empty pool: the parent goes on using the connections that were open at the fork, and
    two processes on one connection would read each other's answers.

    Args:
        now: seconds of the wall clock, which also counts the time that an execution environment is frozen.
        limit: idle connections that are kept, at most.
    """

    def __init__(self, now: Callable[[], float] = time.time, limit: int = MAX_KEPT) -> None:
        self._now = now
        self._limit = limit
        self._kept: deque[Connection] = deque()
        self._lock = threading.Lock()
        after_fork(self._drop_parents)
        weakref.finalize(self, _close_all, self._kept)  # a replaced invoker leaves no open sockets

    def take(self) -> Connection | None:
        """Takes a usable connection, or returns None. Closes the connections that are not usable."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
            # If the clock was set back, the idle time is unknown.
            if 0 <= self._now() - connection.idle_since <= MAX_IDLE and connection.is_quiet():
                return connection
            connection.close()

    def put(self, connection: Connection) -> None:
        """Keeps a connection if it is reusable, and closes it if not."""
        if connection.reusable:
            connection.idle_since = self._now()
            with self._lock:
                if len(self._kept) < self._limit:
                    self._kept.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Closes all idle connections."""
        with self._lock:
            _close_all(self._kept)

    def _drop_parents(self) -> None:
        """In a child process, closes its copies of the parent's connections. They stay open in the parent."""
        self._lock = threading.Lock()
        _close_all(self._kept)


def _close_all(kept: deque[Connection]) -> None:
    while kept:
        kept.pop().close()
