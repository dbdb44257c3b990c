"""A small server that speaks the protocol of Lambda's runtime interface emulator (RIE)."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Emulator(ThreadingHTTPServer):
    """Answers what it received, unless it has another answer.

    Attributes:
        answers: status, body and headers, by the payload.
        answer: for all other payloads, or None.
        most: the highest number of requests that ran at the same time.
        released: ends a request with the payload "hang".
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[bytes, tuple[int, bytes, dict[str, str]]] = {}
        self.answer: tuple[int, bytes, dict[str, str]] | None = None
        self.running = self.most = 0
        self.lock = threading.Lock()
        self.released = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """Ignores that the client of a hanging function has left."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Emulator)
        with server.lock:
            server.running += 1
            server.most = max(server.most, server.running)
        payload = self.rfile.read(int(self.headers["content-length"]))
        if payload == b'"hang"':
            server.released.wait()
        received = {"path": self.path, "payload": payload.decode(), **{k.lower(): v for k, v in self.headers.items()}}
        status, body, headers = server.answers.get(payload) or server.answer or (200, json.dumps(received).encode(), {})
        with server.lock:
            server.running -= 1
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Writes no log."""
