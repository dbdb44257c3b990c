"""uvicorn's HTTP protocol, restricted: refuses input that must not reach the servers.

Rules:
* No header is added after the end of a request's head. uvicorn appends a chunked body's trailers to the list of
  headers, so a trailer in the same packet could choose the tenant.
* All bytes outside a body are bounded while they arrive: the target, each header, the head, a chunk's extensions,
  trailers. httptools itself collects a header until it ends.
* An offered upgrade is ignored, as RFC 9110 §7.8 allows: the request is served, and the next one follows it.
* A client that begins with HTTP/2 gets one response in it, that names the fix.

A request is admitted, and handed to the application: see `incoming`. The requests of a connection are answered one
after the other.

A response is sent whole, with one system call. uvicorn sends its head and its body one after the other, and each costs
more than all of the stack's own work on a small response. Or its body is a stream: the next part is made only after the
client has read enough of those before, so no part waits in memory. A client that reads nothing for STALL_SECONDS is
disconnected, and a stream ends when the server stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, HttpToolsProtocol

from lattice_bridge.local.web import http2
from lattice_bridge.local.web.admission import Refused, admit, refusal_line
from lattice_bridge.local.web.incoming import (
    LINGER_SECONDS,
    Application,
    Body,
    ClientGone,
    Headers,
    IncomingRequest,
    Served,
    WholeApplication,
)

STALL_SECONDS: Final = 30.0
"""Seconds in which the reader of a stream has to read something, if more is waiting for it."""

CHUNK_ALLOWANCE: Final = 16
BODY_ALLOWANCE: Final = 2

_HEADER_FRAMING: Final = 2
"""Bytes of a header beside its name and value, at least: without them, empty headers would count too little."""
_WITHOUT_BODY: Final = (204, 304)
_CONTROLS: Final = bytes([*range(9), *range(10, 32), 127])
"""Bytes that no value may contain: all control characters but the tab. RFC 9110 §5.5."""
_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 128
_known_names: Final[set[bytes]] = set()
"""Valid names of headers that were sent: _MOST_NAMES of _LONGEST_NAME bytes at most, and those of one response."""

_PLAIN: Final = (b"content-type", b"text/plain; charset=utf-8")
_FAULT: Final = b"Internal Server Error"
_logger: Final = logging.getLogger(__name__)


class StrictProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with the rules above."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._limit = self.config.h11_max_incomplete_event_size or 0
        """Bytes of a head, and of what is between and behind a body's chunks: uvicorn's option for its own parser."""
        self._always = self.config.encoded_headers
        """Headers of every response."""
        served: Any = self.config.app  # where uvicorn has an application of ASGI
        self._served: Served = served
        whole = self._served.app
        self._whole = whole if isinstance(whole, WholeApplication) else None
        self._unanswered: deque[IncomingRequest] = deque()
        """In the order in which they came. It is the first one's turn, and the last one may not be whole yet."""

    _begun = False
    cycle: IncomingRequest  # type: ignore[assignment] # the request that came last: uvicorn reads some of it
    _in_body = False
    _repeats_head = False
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
        self.url = b""
        self.headers = []
        self._in_body = False

    def on_url(self, url: bytes) -> None:
        if self._repeats_head:
            return
        self.url += url
        if len(self.url) > self._limit:
            raise Refused(414, f"URI Too Long: the request target is over {self._limit} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._repeats_head:
            return
        sent = self.headers
        size = len(self.url) + len(b"".join([name + value for name, value in sent])) + _HEADER_FRAMING * len(sent)
        if size > self._limit:
            raise self._head_too_large()
        self._in_body = True
        self._framing -= size
        # Spaces around a value are not part of it: RFC 9110 §5.5.
        self.headers = [(name.lower(), value.strip(b" \t")) for name, value in sent]
        version = self.parser.get_http_version()
        request = self.cycle = IncomingRequest(
            self,
            self.parser.get_method().decode("ascii"),
            self.url.decode("latin-1"),
            version,
            self.headers,
            sent,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            expects_continue=version != "1.0"  # such a client would take it for the response: RFC 9110 §10.1.1
            and b"100-continue" in [value.lower() for name, value in self.headers if name == b"expect"],
        )
        self._unanswered.append(request)
        if len(self._unanswered) == 1:
            self._begin_turn(request)
        else:
            self.flow.pause_reading()

    def _begin_turn(self, request: IncomingRequest) -> None:
        """Hands over a request, if the application takes it now."""
        if self._whole is None:
            task = self.loop.create_task(self._answer(request, self._served.app))  # type: ignore[arg-type] # see `_whole`
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif not self.transport.is_closing():
            self._begin_turn_of_whole(request, self._whole)

    def _begin_turn_of_whole(self, request: IncomingRequest, app: WholeApplication) -> None:
        """Admits a request before its body is kept: a page of another site must not fill the memory."""
        try:
            self._admit(request)
        except Refused as refusal:
            request.refusal = refusal
            self.loop.call_later(0 if request.holds_body_back else LINGER_SECONDS, self._hand_over, request, app)
        if request.is_whole:  # thousands may have come together: each would be a call in a call
            self.loop.call_soon(self._hand_over, request, app)
        elif request.refusal is None:
            request.ask_for_body()

    def on_chunk_header(self) -> None:
        self._framing -= CHUNK_ALLOWANCE

    def on_body(self, body: bytes) -> None:
        self._framing -= (1 + BODY_ALLOWANCE) * len(body)
        request = self.cycle
        if request.response_complete:
            return
        request.add(body)
        if self._whole is None:
            if request.waiting > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        elif request.refusal or request.size > self._whole.max_body:  # it is read on: the client then gets the response
            request.taken()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # only the head is complete
        self._framing = 0
        request = self.cycle
        request.is_whole = True
        request.wake()
        if self._whole is not None and len(self._unanswered) == 1:
            self._hand_over(request, self._whole)

    # ---- the application --------------------------------------------------------------------------------------------

    def _hand_over(self, request: IncomingRequest, app: WholeApplication) -> None:
        if request.is_gone:
            return
        try:
            if request.refusal is not None:
                raise request.refusal
            app.handler(request, None if request.size > app.max_body else request.taken())
        except Refused as refusal:
            request.send(refusal.status, closing_headers(refusal), refusal.body)
        except Exception as error:
            self._fail(request, error)

    async def _answer(self, request: IncomingRequest, app: Application) -> None:
        try:
            try:
                self._admit(request)
            except Refused as refusal:
                await request.discard()
                await request.respond(refusal.status, closing_headers(refusal), refusal.body)
                return
            await app(request)
            if not (request.response_started or request.disconnected):
                raise RuntimeError("no response")
        except ClientGone:
            return  # no client reads a response
        except BaseException as error:
            self._fail(request, error)
            if not isinstance(error, Exception):
                raise

    def _admit(self, request: IncomingRequest) -> None:
        """Admits a request, or reports why not. No other code gets a request before."""
        try:
            address = request.address = admit(request.method, request.target, request.headers, self._served.names)
        except Refused as refusal:
            self._report(f"{request.method} {request.target}", refusal)
            raise
        if address.target != request.target:  # its authority replaces Host: RFC 9112 §3.2.2
            host = address.authority.encode("latin-1")
            request.headers = [(name, host if name == b"host" else value) for name, value in request.headers]

    def _report(self, request: str, refusal: Refused) -> None:
        port = self.server[1] if self.server else None
        _logger.warning("port %s: %s", port, refusal_line(request, refusal))

    def _fail(self, request: IncomingRequest, fault: BaseException) -> None:
        """Responds in place of an application that has failed, and ends the connection."""
        _logger.error("a request was not answered", exc_info=fault)
        if request.response_started:
            self.transport.close()
        else:
            request.send(500, [_PLAIN, (b"connection", b"close")], _FAULT)

    # ---- the response -----------------------------------------------------------------------------------------------

    async def respond(self, request: IncomingRequest, status: int, headers: Headers, body: Body) -> None:
        """Sends the response of a request; see `IncomingRequest.respond`."""
        if not isinstance(body, bytes):
            async with aclosing(body):
                await self._stream(request, status, headers, body)
            return
        if self.flow.write_paused and not request.disconnected:
            await self.flow.drain()
        self.send(request, status, headers, body)

    def send(self, request: IncomingRequest, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole response at once; see `IncomingRequest.send`."""
        if request.disconnected:
            return
        if request.response_started:
            raise RuntimeError("The request has a response already.")
        is_head = request.method == "HEAD"
        if self._always:
            headers = [*headers, *self._always]
        request.keep_alive = request.keep_alive and (b"connection", b"close") not in headers
        head = _head(status, headers, len(body) if body or not is_head else None, keep_alive=request.keep_alive)
        request.response_started = True
        self.transport.write(head if is_head or status in _WITHOUT_BODY else head + body)
        self._end_response(request)

    def _end_response(self, request: IncomingRequest) -> None:
        request.response_complete = True
        request.wake()
        if not request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    async def _stream(
        self, request: IncomingRequest, status: int, headers: Headers, parts: AsyncGenerator[bytes, None]
    ) -> None:
        """Sends a stream, until it or the connection ends, or the server stops."""
        if request.disconnected:
            return
        if request.response_started:
            raise RuntimeError("The request has a response already.")
        chunked = request.http_version == "1.1"  # the end of the connection ends a body of HTTP/1.0
        framing = [(b"transfer-encoding", b"chunked")] if chunked else []
        head = _head(status, [*headers, *self._always, *framing], None, keep_alive=False)
        request.keep_alive, request.response_started = False, True
        try:
            self.transport.write(head)
            if request.method == "HEAD":
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
            self._end_response(request)

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
        self._unset_keepalive_if_required()  # uvicorn leaves it after a reset, and it would keep the last request
        for request in self._unanswered:
            request.disconnect()
        if self._parts is not None:
            self._parts.cancel()

    def shutdown(self) -> None:
        super().shutdown()
        if self._parts is not None:
            self._parts.cancel()

    def end(self) -> None:
        """Ends a connection that is still open when the server has stopped. uvicorn cancels the tasks of requests, and
        their responses are the last ones; a request without a task would keep its connection for ever."""
        if self._whole is not None:
            self.transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._whole is not None and len(self._unanswered) < 2:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Continues with the next request, or waits for it.

        A client that does not read its responses is not read from: `send` does not wait, so they would fill the memory.

        A timer for each response, which the next request cancels, costs as much as parsing a request. So a connection
        has one timer, which starts again if it ends too early.
        """
        if self._unanswered:
            self._unanswered.popleft()
        if self.transport.is_closing():
            return
        if self._whole is not None and self.flow.write_paused:
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()
        if self._unanswered:
            self._begin_turn(self._unanswered[0])
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait(self.timeout_keep_alive)

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None or self._unanswered:  # its packet may also have ended the request before it
            return  # the next response starts the timer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait(left)
        else:
            super().timeout_keep_alive_handler()

    def _refuse(self, refusal: Refused) -> None:
        """Answers a request that cannot be parsed further, or must not be, and ends the connection."""
        self._ended = True
        self._report(f"{self.cycle.method} {self.cycle.target}" if self._in_body else "unread request", refusal)
        waiting, in_body = self._unanswered, self._in_body
        if in_body and len(waiting) > 1:
            waiting.pop().disconnect()  # it never has its turn
            in_body = False
        if waiting and not in_body:
            waiting[-1].keep_alive = False  # an earlier request's response comes first, and is the last
            return
        if waiting:
            waiting[0].disconnect()
        if not in_body or (waiting and not waiting[0].response_started):
            headers = [*closing_headers(refusal), *self._always]
            head = _head(refusal.status, headers, len(refusal.body), keep_alive=False)
            self.transport.write(head + refusal.body)
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _refuse_http2(self) -> None:
        self._ended = True
        self._report("unread request", Refused(http2.STATUS, http2.MESSAGE))
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


def _head(status: int, headers: Headers, length: int | None, *, keep_alive: bool) -> bytes:
    """Writes the head of a response.

    Args:
        status: of the response.
        headers: names in lower case, without the body's length.
        length: of the body; None if it is not known.
        keep_alive: whether the connection stays open.

    Raises:
        RuntimeError: a header's name or value would end it, and the rest of it would be another header.
    """
    lines = b"".join([b"%s: %s\r\n" % pair for pair in headers])
    line_ends = len(lines) - len(lines.translate(None, _CONTROLS))
    if line_ends != 2 * len(headers) or not _is_known({name for name, _ in headers}):
        raise RuntimeError("A header of a response contains a byte that HTTP does not allow.")
    end = b"\r\n" if keep_alive or (b"connection", b"close") in headers else b"connection: close\r\n\r\n"
    if length is not None and status not in _WITHOUT_BODY:
        end = b"content-length: %d\r\n%s" % (length, end)
    return b"%s%s%s" % (STATUS_LINE[status], lines, end)


def _is_known(names: set[bytes]) -> bool:
    """Whether all names of headers are valid. Responses have few different ones: each is checked once."""
    if new := names - _known_names:
        if any(HEADER_RE.search(name) for name in new):
            return False
        if len(_known_names) < _MOST_NAMES:
            _known_names.update(name for name in new if len(name) <= _LONGEST_NAME)
    return True


def closing_headers(refusal: Refused) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a refusal's response that is the last of its connection."""
    headers = [*refusal.headers, ("connection", "close")]
    return [(name.encode(), value.encode()) for name, value in headers]
