"""A Lambda Invoke endpoint on a loopback port: real HTTP for real boto3, with scripted answers.

Rule: it does not know Lambda. A test scripts the answers, and reads the requests.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from lattice_bridge.testing.loopback import LoopbackServer
from tests.support.scripted_server import ScriptedHandler, ScriptedServer


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


class _Server(LoopbackServer):
    """Sets an event when it has closed a connection."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> None:
        self.hung_up = threading.Event()
        super().__init__(handler, context)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.hung_up.set()


class FakeLambda(ScriptedServer):
    """Answers in the order of the script; the last answer is repeated.

    Attributes:
        heard: every request, in order.
        connections: how many connections were accepted.
        hung_up: set once a connection was closed from this side.
    """

    server_class = _Server
    server: _Server

    def __init__(self, *script: Answer, context: ssl.SSLContext | None = None) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self._script = list(script) or [Says()]
        self._lock = threading.Lock()
        super().__init__(_Handler, context)

    @property
    def hung_up(self) -> threading.Event:
        return self.server.hung_up

    def connected(self) -> int:
        with self._lock:
            self.connections += 1
            return self.connections

    def take(self, heard: Heard) -> Answer:
        with self._lock:
            self.heard.append(heard)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]


class _Handler(ScriptedHandler):
    script: FakeLambda
    number = 0

    def setup(self) -> None:
        super().setup()
        self.number = self.script.connected()

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        heard = Heard(self.path, headers, body, self.number)
        answer = self.script.take(heard)
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
            self.script.wait()
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
                self.script.wait(piece)
        self.close_connection = self.close_connection or answer.hang_up

    def _send(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.begin(status, headers, length)
        self.wfile.write(body)


def unused_port() -> int:
    """A port without a listener: bound once and released."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
