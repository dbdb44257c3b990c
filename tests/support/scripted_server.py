"""A server on a loopback port that answers as a test scripts it, for as long as its context lasts.

Rule: it does not know what it imitates; `fake_lambda` and `key_server` have the answers.
"""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any, Final, Self

from lattice_bridge.testing.loopback import LoopbackHandler, LoopbackServer

PATIENCE: Final = 20.0
"""Seconds a scripted silence lasts at most, should a test forget to end it."""


class ScriptedHandler(LoopbackHandler):
    """One connection.

    Attributes:
        script: the server's script, which is the object that made the server.
    """

    script: Any

    def begin(self, status: int, headers: dict[str, str], length: int) -> None:
        """Sends the head of a response that announces a length, which need not be that of its body."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(length))
        self.end_headers()


class ScriptedServer:
    """Base of the scripted servers.

    Args:
        handler: its class.
        context: for TLS.
    """

    server_class: type[LoopbackServer] = LoopbackServer

    def __init__(self, handler: type[ScriptedHandler], context: ssl.SSLContext | None = None) -> None:
        self.server = self.server_class(type("Handler", (handler,), {"script": self}), context)

    @property
    def url(self) -> str:
        return self.server.url

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def wait(self, seconds: float = PATIENCE) -> None:
        """Waits for the end of the server."""
        self.server.stopping.wait(seconds)
