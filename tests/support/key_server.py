"""An issuer's key set endpoint on a loopback port: real HTTP with scripted behaviour.

Rule: it does not know keys. A test scripts the answers.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from tests.support.scripted_server import PATIENCE, ScriptedHandler, ScriptedServer


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


class KeyServer(ScriptedServer):
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
        super().__init__(_Handler, context)

    @property
    def url(self) -> str:
        return f"{super().url}/keys"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        super().__exit__(kind, error, trace)


class _Handler(ScriptedHandler):
    protocol_version = "HTTP/1.0"  # the connection ends with the answer
    script: KeyServer

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self.script.requests.append(self.path)
        self.script.asked.set()
        with suppress(OSError):
            self._answer(self.script.answer)

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Says):
            self.begin(answer.status, answer.headers, len(answer.body) if answer.promised is None else answer.promised)
            self.wfile.write(answer.body)
        elif isinstance(answer, Hangs):
            self.script.release.wait(PATIENCE)
        elif isinstance(answer, Raw):
            self.wfile.write(answer.data)
        else:
            self._drip(answer)

    def _drip(self, answer: Drips) -> None:
        if answer.in_header:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        else:
            self.begin(200, {}, len(answer.body))
        for byte in answer.body:
            if self.script.release.is_set():
                return
            self.wfile.write(bytes([byte]))
            time.sleep(answer.pause)
