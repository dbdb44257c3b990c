"""An HTTP server on a loopback port that can be stopped at any moment, also while clients are connected.

Rule: it knows nothing of Lambda or tokens; a handler decides about the response.
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
    """Listens from its creation, answers from `start`, and ends with `stop`.

    Args:
        handler: its class; each connection gets an instance.
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
        """The URL, without a slash at its end."""
        return f"{'http' if self._context is None else 'https'}://{HOST}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Binds without HTTPServer's look-up of the host's name, which takes seconds with some resolvers."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def start(self) -> None:
        """Starts answering, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the server and closes every connection, also of a handler that waits for `stopping`."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join()
        with self._lock:
            for channel in self._open:
                with suppress(OSError):
                    socket.socket.shutdown(channel, socket.SHUT_RDWR)  # not TLS's own: another thread may be reading

    def get_request(self) -> tuple[socket.socket, Any]:
        channel, address = super().get_request()
        if self._context is not None:  # the handshake happens at the first read, in the connection's own thread
            channel = self._context.wrap_socket(channel, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(channel)
        return channel, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores errors: some tests are about clients that disconnect, or that do not trust the certificate."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """A handler of HTTP/1.1 that keeps connections open, and logs nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: LoopbackServer

    def handle(self) -> None:
        with suppress(OSError):  # the client, or `stop`, may close the connection at any time
            super().handle()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Sends one response, with its length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Logs nothing: a test prints what it needs."""
