"""uvicorn's HTTP protocol, restricted: refuses input that must not reach the servers.

Rules:
* No header is added after the end of a request's head. uvicorn appends a chunked body's trailers to the list of
  headers, so a trailer in the same packet could choose the tenant.
* All bytes outside a body are bounded while they arrive: the target, each header, the head, a chunk's extensions,
  trailers. httptools itself collects a header until it ends.
* An offered upgrade is ignored, as RFC 9110 §7.8 allows: the request is served, and the next one follows it.
* A client that begins with HTTP/2 gets one response in it, that names the fix.

A response is sent whole, with one system call. uvicorn sends its head and its body one after the other, and each costs
more than all of the stack's own work on a small response. Or its body is a stream: the next part is made only after the
client has read enough of those before, so no part waits in memory. A client that reads nothing for STALL_SECONDS is
disconnected, and a stream ends when the server stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from lattice_bridge.local.web import http2
from lattice_bridge.local.web.admission import Refused, refusal_line

TARGET: Final = "lattice_bridge.target"
"""Key of the ASGI scope with the request target as sent. uvicorn's own parsing loses a `?` at its end."""

NAMES: Final = "lattice_bridge.names"
"""Key of the ASGI scope with the names of the headers as sent. ASGI's own are in lower case."""

CONNECTION: Final = "lattice_bridge.connection"
"""Key of the ASGI scope with an object that is the same for all requests of a connection, and for no others."""

RESPOND: Final = "lattice_bridge.respond"
"""Key of the ASGI scope with the function that sends the whole response; see `StrictProtocol.respond`."""

LINGER_SECONDS: Final = 1.0
"""Seconds in which a refused request is read and discarded. If the connection were closed at once, a client that is
still sending would get a reset, and not the reason."""

STALL_SECONDS: Final = 30.0
"""Seconds in which the reader of a stream has to read something, if more is waiting for it."""

Body = bytes | AsyncGenerator[bytes, None]
"""The body of a response: the whole, or its parts as they come. The generator is closed when the client has gone."""

CHUNK_ALLOWANCE: Final = 16
BODY_ALLOWANCE: Final = 2

_HEADER_FRAMING: Final = 2
"""Bytes of a header beside its name and value, at least: without them, empty headers would count too little."""
_WITHOUT_BODY: Final = (204, 304)

_logger: Final = logging.getLogger(__name__)


class StrictProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with the rules above."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._limit = self.config.h11_max_incomplete_event_size or 0
        """Bytes of a head, and of what is between and behind a body's chunks: uvicorn's option for its own parser."""
        self._always = self.config.encoded_headers
        """Headers of every response."""

    _begun = False
    _in_body = False
    _repeats_head = False
    _head_size = 0
    _framing = 0
    """Bytes received that are not a body: of an incomplete head, or between a body's chunks and behind them.

    Each chunk allows CHUNK_ALLOWANCE of them, and each byte of a body BODY_ALLOWANCE, as in Go's net/http: a body in
    small chunks is mostly framing."""
    _ended = False
    _discarded = 0
    _parts: asyncio.Task[None] | None = None
    """Sends a stream. A connection has one at most, which is its last response."""
    _idle_since: float | None = None
    """The loop's time of the last response, if no request has followed it."""

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        if self._ended:
            self._discard(data)
            return
        if not self._begun:
            self._begun = True
            if data.startswith(http2.PREFACE):
                self._refuse_http2()
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
        self._head_size += len(name) + len(value) + _HEADER_FRAMING
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
        self.scope[RESPOND] = partial(self.respond, self.cycle)  # type: ignore[typeddict-unknown-key] # see above

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

    async def respond(
        self, cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: Body
    ) -> None:
        """Sends the response of a request. It has no effect if the client has gone.

        Args:
            cycle: the request.
            status: of the response. With 204 and 304, and in response to HEAD, no body is sent.
            headers: names in lower case, without the body's length.
            body: the whole body, or its parts.

        Raises:
            RuntimeError: a header cannot be sent, or the request has a response already.
        """
        if not isinstance(body, bytes):
            async with aclosing(body):
                await self._stream(cycle, status, headers, body)
            return
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return
        if cycle.response_started:
            raise RuntimeError("The request has a response already.")
        is_head = cycle.scope["method"] == "HEAD"
        if self._always:
            headers = [*headers, *self._always]
        cycle.keep_alive = cycle.keep_alive and (b"connection", b"close") not in headers
        head = _head(status, headers, len(body) if body or not is_head else None, keep_alive=cycle.keep_alive)
        cycle.response_started = cycle.response_complete = True
        self.transport.write(head if is_head or status in _WITHOUT_BODY else head + body)
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    async def _stream(
        self,
        cycle: RequestResponseCycle,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        parts: AsyncGenerator[bytes, None],
    ) -> None:
        """Sends a stream, until it or the connection ends, or the server stops."""
        if cycle.disconnected:
            return
        if cycle.response_started:
            raise RuntimeError("The request has a response already.")
        chunked = cycle.scope["http_version"] == "1.1"  # the end of the connection ends a body of HTTP/1.0
        framing = [(b"transfer-encoding", b"chunked")] if chunked else []
        head = _head(status, [*headers, *self._always, *framing], None, keep_alive=False)
        cycle.keep_alive, cycle.response_started = False, True
        try:
            self.transport.write(head)
            if cycle.scope["method"] == "HEAD":
                return
            self._parts = asyncio.ensure_future(self._send_parts(parts, b"%x\r\n%b\r\n" if chunked else b""))
            await asyncio.wait([self._parts])
            if not self._parts.cancelled() and (fault := self._parts.exception()) is not None:
                raise fault  # without the last chunk: the client sees that the body is not complete
            if chunked and not self.transport.is_closing():
                self.transport.write(b"0\r\n\r\n")
        finally:
            if self._parts is not None:
                self._parts.cancel()
            cycle.response_complete = True
            cycle.message_event.set()
            self.transport.close()
            self.on_response_complete()

    async def _send_parts(self, parts: AsyncGenerator[bytes, None], framing: bytes) -> None:
        async for part in parts:
            if part:  # a chunk of no bytes would be the last one
                self.transport.write(framing % (len(part), part) if framing else part)
            if self.flow.write_paused:
                timer = self.loop.call_later(STALL_SECONDS, self.transport.abort)
                try:
                    await self.flow.drain()
                finally:
                    timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._parts is not None:
            self._parts.cancel()

    def shutdown(self) -> None:
        super().shutdown()
        if self._parts is not None:
            self._parts.cancel()

    def on_response_complete(self) -> None:
        """Continues with the next request, or waits for it.

        A timer for each response, which the next request cancels, costs as much as parsing a request. So a connection
        has one timer, which starts again if it ends too early.
        """
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait(self.timeout_keep_alive)

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # the next response starts the timer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()

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
            headers = [*closing_headers(refusal), *self._always]
            head = _head(refusal.status, headers, len(refusal.body), keep_alive=False)
            self.transport.write(head + refusal.body)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _refuse_http2(self) -> None:
        self._ended = True
        port = self.server[1] if self.server else None
        _logger.warning("port %s: %s", port, refusal_line("unread request", Refused(http2.STATUS, http2.MESSAGE)))
        self.transport.write(http2.refusal())
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


def _head(status: int, headers: Sequence[tuple[bytes, bytes]], length: int | None, *, keep_alive: bool) -> bytes:
    """Writes the head of a response.

    Args:
        status: of the response.
        headers: names in lower case, without the body's length.
        length: of the body; None if it is not known.
        keep_alive: whether the connection stays open.

    Raises:
        RuntimeError: a header's name or value would end it, and the rest of it would be another header.
    """
    names = b"".join([name for name, _ in headers])
    values = b"".join([value for _, value in headers])
    if HEADER_RE.search(names) or HEADER_VALUE_RE.search(values):
        raise RuntimeError("A header of a response contains a byte that HTTP does not allow.")
    lines = [STATUS_LINE[status], *[b"%s: %s\r\n" % pair for pair in headers]]
    if length is not None and status not in _WITHOUT_BODY:
        lines.append(b"content-length: %d\r\n" % length)
    if not keep_alive and (b"connection", b"close") not in headers:
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def closing_headers(refusal: Refused) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a refusal's response that is the last of its connection."""
    headers = [*refusal.headers, ("connection", "close")]
    return [(name.encode(), value.encode()) for name, value in headers]
