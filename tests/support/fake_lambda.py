"""A Lambda Invoke endpoint on a loopback port: real HTTP for real boto3, with scripted answers.

Rule: it does not know Lambda. A test scripts the answers, and reads the requests.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 20.0
"""Seconds a scripted silence lasts at most, should a test forget to end it."""


@dataclass(frozen=True)
class Heard:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())


@dataclass(frozen=True)
class Says:
    """One answer. With `hang_up` the connection is closed after it, which the answer does not announce."""

    body: bytes = b'{"ok":true}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


@dataclass(frozen=True)
class Truncated:
    """An answer that ends before it said it would."""

    body: bytes = b'{"ok":'
    promised: int = 1000


class Reset:
    """The connection is reset once the request was read."""


class Silence:
    """No answer until the server is closed."""


class Raw:
    """Raw bytes, each piece in a packet of its own; a number is a pause in seconds.

    Args:
        pieces: sent one after the other, until the client goes.
        hang_up: whether the connection is closed after them.
    """

    def __init__(self, *pieces: bytes | float, hang_up: bool = False) -> None:
        self.pieces = pieces
        self.hang_up = hang_up


Answer = Says | Truncated | Reset | Silence | Raw | Callable[[Heard], Says]


def failure(status: int, code: str, message: str = "", **headers: str) -> Says:
    """An error as Lambda writes it."""
    body = f'{{"Type":"User","message":"{message}"}}'.encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(body, status, {"x-amzn-errortype": code, "content-type": "application/json", **fields})


class FakeLambda:
    """Answers in the order of the script; the last answer is repeated.

    Attributes:
        heard: every request, in order.
        connections: how many connections were accepted.
        hung_up: set once a connection was closed from this side.
    """

    def __init__(self, *script: Answer, context: ssl.SSLContext | None = None) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self.hung_up = threading.Event()
        self._script = list(script) or [Says()]
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.hung_up = self.hung_up
        self._scheme = "http" if context is None else "https"
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def connected(self) -> int:
        with self._lock:
            self.connections += 1
            return self.connections

    def take(self, heard: Heard) -> Answer:
        with self._lock:
            self.heard.append(heard)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    def wait(self, seconds: float = PATIENCE) -> None:
        self._closed.wait(seconds)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(_Handler):
            lambda_ = fake

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 resets what 32 threads open at once
    hung_up: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: some tests are about clients that do not trust this server."""

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        super().shutdown_request(request)
        self.hung_up.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lambda_: FakeLambda
    number = 0

    def setup(self) -> None:
        super().setup()
        self.number = self.lambda_.connected()

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client may hang up at any time
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard = Heard(self.path, headers, body, self.number)
        answer = self.lambda_.take(heard)
        self._answer(answer(heard) if callable(answer) else answer)

    def _answer(self, answer: Says | Truncated | Reset | Silence | Raw) -> None:
        if isinstance(answer, Says):
            self._send(answer.status, answer.headers, answer.body, len(answer.body))
            self.close_connection = self.close_connection or answer.hang_up
            return
        if isinstance(answer, Raw):
            self._send_raw(answer)
            return
        self.close_connection = True
        if isinstance(answer, Truncated):
            self._send(200, {}, answer.body, answer.promised)
        elif isinstance(answer, Silence):
            self.lambda_.wait()
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The buffered files hold the socket open: a close alone would send nothing.
            self.rfile.close()
            self.connection.close()

    def _send_raw(self, answer: Raw) -> None:
        for piece in answer.pieces:
            if isinstance(piece, bytes):
                self.wfile.write(piece)
            else:
                self.lambda_.wait(piece)
        self.close_connection = self.close_connection or answer.hang_up

    def _send(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Iterable[object]) -> None:  # noqa: A002 - the base class's name
        """Says nothing: pytest shows what a test needs."""


def unused_port() -> int:
    """A port without a listener: bound once and released."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
