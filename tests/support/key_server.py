"""An issuer's key set endpoint on a loopback port: real HTTP with scripted behaviour.

Rule: it does not know keys. A test scripts the answers.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 20.0
"""Seconds a hanging answer lasts at most, should a test forget to end it."""


@dataclass(frozen=True)
class Says:
    """One answer. `promised` is the length that it announces; None for the truth."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


class Hangs:
    """Reads the request and does not answer until `release` or the end."""


@dataclass(frozen=True)
class Drips:
    """Sends a byte a `pause`: of the body, or of a header that does not end."""

    body: bytes
    pause: float = 0.05
    in_header: bool = False


@dataclass(frozen=True)
class Raw:
    """Sends these bytes, and closes the connection."""

    data: bytes


Answer = Says | Hangs | Drips | Raw


class KeyServer:
    """Answers as `answer` says, which a test may set at any time.

    Attributes:
        requests: the paths asked for, in order.
        asked: set once a request came in.
        release: set by a test to let what hangs answer with nothing.
    """

    def __init__(self, answer: Answer, *, context: ssl.SSLContext | None = None) -> None:
        self.answer: Answer = answer
        self.requests: list[str] = []
        self.asked = threading.Event()
        self.release = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/keys"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            keys = server

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: some tests are about clients that close the connection or do not trust this server."""


class _Handler(BaseHTTPRequestHandler):
    keys: KeyServer

    def do_GET(self) -> None:
        self.keys.requests.append(self.path)
        self.keys.asked.set()
        with suppress(OSError):
            self._answer(self.keys.answer)

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Says):
            self._begin(answer.status, answer.headers, len(answer.body) if answer.promised is None else answer.promised)
            self.wfile.write(answer.body)
        elif isinstance(answer, Hangs):
            self.keys.release.wait(PATIENCE)
        elif isinstance(answer, Raw):
            self.wfile.write(answer.data)
        else:
            self._drip(answer)

    def _drip(self, answer: Drips) -> None:
        if answer.in_header:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        else:
            self._begin(200, {}, len(answer.body))
        for byte in answer.body:
            if self.keys.release.is_set():
                return
            self.wfile.write(bytes([byte]))
            time.sleep(answer.pause)

    def _begin(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing: pytest shows what a test needs."""
