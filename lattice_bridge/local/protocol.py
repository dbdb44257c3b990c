"""uvicorn's HTTP protocol, less what must not reach the front.

Rule: a request's head is over when it is over. uvicorn appends a chunked body's trailers to the list of headers, and so
a trailer could choose the tenant if it came in the same packet.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 256 * 1024
"""Bytes of all headers together: bounds what one connection can hold. Lattice's own limit is not documented."""

TARGET: Final = "lattice_bridge.target"
"""Key of the ASGI scope with the request target as sent; `raw_path` and `query_string` lose a `?` at its end."""


class StrictProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with trailers ignored and the request target kept."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_over = False
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_is_over:
            return
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise ValueError("the head is too large")  # httptools ends the connection with a 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_over = True
        self.scope[TARGET] = self.url  # type: ignore[typeddict-unknown-key] # ASGI allows keys of an application's own
        super().on_headers_complete()
