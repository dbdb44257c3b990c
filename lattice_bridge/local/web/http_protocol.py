"""uvicorn's HTTP protocol, restricted: refuses input that must not reach the servers.

Rules:
* No header is added after the end of a request's head. uvicorn appends a chunked body's trailers to the list of
  headers, so a trailer in the same packet could choose the tenant.
* All bytes outside a body are bounded while they arrive: the target, each header, the head, a chunk's extensions,
  trailers. httptools itself collects a header until it ends.
* An offered upgrade is ignored, as RFC 9110 §7.8 allows: the request is served, and the next one follows it.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lattice_bridge.local.web.admission import Refused, refusal_line

TARGET: Final = "lattice_bridge.target"
"""Key of the ASGI scope with the request target as sent. uvicorn's own parsing loses a `?` at its end."""

NAMES: Final = "lattice_bridge.names"
"""Key of the ASGI scope with the names of the headers as sent. ASGI's own are in lower case."""

CONNECTION: Final = "lattice_bridge.connection"
"""Key of the ASGI scope with an object that is the same for all requests of a connection, and for no others."""

LINGER_SECONDS: Final = 1.0
"""Seconds in which a refused request is read and discarded. If the connection were closed at once, a client that is
still sending would get a reset, and not the reason."""

CHUNK_ALLOWANCE: Final = 16
BODY_ALLOWANCE: Final = 2

_logger: Final = logging.getLogger(__name__)


class _OneWrite:
    """A transport that sends each response with one system call.

    uvicorn writes the head and the body of a response one after the other. Each call of the kernel costs more than all
    of the stack's own work on a small response. No application here streams: its body follows its head at once.
    """

    def __init__(self, transport: asyncio.Transport, protocol: HttpToolsProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Holds a part of a response until `flush`, and sends anything else at once, such as `100 Continue`."""
        self._held.append(data)
        cycle = self._protocol.cycle  # of the last request, if a client sends several and reads no response
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.flush()

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Sends what was held. The protocol calls it when a response is complete."""
        if self._held:
            data = b"".join(self._held)
            self._held.clear()
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class StrictProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with the rules above."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(cast("asyncio.Transport", _OneWrite(transport, self)))
        self._limit = self.config.h11_max_incomplete_event_size or 0
        """Bytes of a head, and of what is between and behind a body's chunks: uvicorn's option for its own parser."""

    _in_body = False
    _repeats_head = False
    _head_size = 0
    _framing = 0
    """Bytes received that are not a body: of an incomplete head, or between a body's chunks and behind them.

    Each chunk allows CHUNK_ALLOWANCE of them, and each byte of a body BODY_ALLOWANCE, as in Go's net/http: a body in
    small chunks is mostly framing."""
    _ended = False
    _discarded = 0

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._ended:
            self._discard(data)
            return
        self._framing += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            found = error.__context__  # raised by one of this class's callbacks
            self._refuse(found if isinstance(found, Refused) else Refused(400, f"Bad Request: not HTTP/1.1: {error}"))
            return
        self._framing = max(0, self._framing)
        if self._framing > self._limit:
            self._refuse(self._too_much_framing() if self._in_body else self._head_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self.parser.get_method() == b"CONNECT":
                    self._ended = True  # what follows is not HTTP; the server refuses the request
                    return
                self._ignore_upgrade()
            else:
                return

    def _ignore_upgrade(self) -> None:
        """Continues behind the head of a request that offers an upgrade.

        httptools has skipped the request's body, and would read it as the next request. Another parser gets the headers
        that say how long the body is, and not the offer.
        """
        framing = [pair for pair in self.headers if pair[0] in (b"content-length", b"transfer-encoding")]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._repeats_head = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % b"".join(b"%s: %s\r\n" % pair for pair in framing))
        self._repeats_head = False

    def on_message_begin(self) -> None:
        if self._repeats_head:
            return
        super().on_message_begin()
        self._in_body = False
        self._head_size = 0
        self._names: list[bytes] = []
        self.scope[NAMES] = self._names  # type: ignore[typeddict-unknown-key] # ASGI allows further keys

    def on_url(self, url: bytes) -> None:
        if self._repeats_head:
            return
        super().on_url(url)
        self._head_size += len(url)
        if self._head_size > self._limit:
            raise Refused(414, f"URI Too Long: the request target is over {self._limit} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return
        self._head_size += len(name) + len(value)
        if self._head_size > self._limit:
            raise self._head_too_large()
        self._names.append(name)
        name, value = name.lower(), value.strip(b" \t")  # spaces around a value are not part of it: RFC 9110 §5.5
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._repeats_head:
            return
        self._in_body = True
        self._framing -= self._head_size
        self.scope[TARGET] = self.url  # type: ignore[typeddict-unknown-key] # ASGI allows further keys
        self.scope[CONNECTION] = self  # type: ignore[typeddict-unknown-key] # see above
        self.url = b"/"  # uvicorn cannot parse every form of a target; only the server reads TARGET
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._framing -= CHUNK_ALLOWANCE

    def on_body(self, body: bytes) -> None:
        self._framing -= (1 + BODY_ALLOWANCE) * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # only the head is complete
        super().on_message_complete()
        self._framing = 0

    def on_response_complete(self) -> None:
        cast("_OneWrite", self.transport).flush()
        super().on_response_complete()

    def _refuse(self, refusal: Refused) -> None:
        """Answers a request that cannot be parsed further, or must not be, and ends the connection."""
        self._ended = True
        request = "unread request"
        if self._in_body:
            request = f"{self.scope['method']} {self.scope[TARGET].decode('latin-1')}"  # type: ignore[typeddict-item]
        port = self.server[1] if self.server else None
        _logger.warning("port %s: %s", port, refusal_line(request, refusal))
        unanswered = self.cycle is not None and not self.cycle.response_complete
        if unanswered and not self._in_body:
            self.cycle.keep_alive = False  # an earlier request's response comes first, and is the last
            return
        if unanswered:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not self._in_body or (unanswered and not self.cycle.response_started):
            self.transport.write(_http_response(refusal))
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _discard(self, data: bytes) -> None:
        """Reads and discards what the client still sends; see LINGER_SECONDS."""
        self._discarded += len(data)
        if self._discarded > self._limit:
            self.transport.close()

    def _head_too_large(self) -> Refused:
        text = f"the request target and all headers are over {self._limit} bytes together"
        return Refused(431, f"Request Header Fields Too Large: {text}")

    def _too_much_framing(self) -> Refused:
        return Refused(400, f"Bad Request: chunk extensions or trailers of over {self._limit} bytes")


def _http_response(refusal: Refused) -> bytes:
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in closing_headers(refusal)]
    return "\r\n".join([*lines, "", ""]).encode() + refusal.body


def closing_headers(refusal: Refused) -> list[tuple[str, str]]:
    """Returns the headers of a refusal's response that is the last of its connection."""
    return [*refusal.headers, ("content-length", str(len(refusal.body))), ("connection", "close")]
