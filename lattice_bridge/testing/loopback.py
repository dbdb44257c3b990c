"""An HTTP server on a loopback port that can be stopped at any moment, whoever is still talking to it.

Rule: it knows nothing of Lambda or tokens; a handler says what is answered.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

HOST: Final = "127.0.0.1"


class LoopbackServer(ThreadingHTTPServer):
    """Listens from the start, answers from `start`, and is gone after `stop`.

    Args:
        handler: one is made for each connection.
        context: for TLS.
    """

    request_queue_size = 128  # the default of 5 resets what 32 threads open at once

    def __init__(self, handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> None:
        super().__init__((HOST, 0), handler)
        self.stopping = threading.Event()
        self._context = context
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{'http' if self._context is None else 'https'}://{HOST}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which some resolvers take seconds for."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def start(self) -> None:
        """Answers, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Closes every connection, also under a handler that waits for `stopping`."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._lock:
            for channel in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(channel, socket.SHUT_RDWR)  # not TLS's own, under a thread that reads

    def get_request(self) -> tuple[socket.socket, Any]:
        channel, address = super().get_request()
        if self._context is not None:  # the handshake comes with the first read, in the connection's own thread
            channel = self._context.wrap_socket(channel, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(channel)
        return channel, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or trusts nobody, is what some tests are about."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 on a connection that is kept open; says nothing of what it does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def handle(self) -> None:
        with suppress(OSError):  # the client, or `stop`, may hang up at any time
            super().handle()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """One answer, with its length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: a test prints what it needs."""
