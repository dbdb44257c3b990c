"""A request as a server of the stack has received it, and its response.

This is no interface of ASGI. An application of the stack gives one response, reads a body whole or up to its own limit,
and needs the target and the names of headers as they were sent. With ASGI, each exchange had a mapping, and messages
for both directions with their events: see docs/why.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lattice_bridge.local.web.admission import Address, Refused

if TYPE_CHECKING:
    from lattice_bridge.local.web.http_protocol import StrictProtocol

Peer = tuple[str, int]
Headers = Sequence[tuple[bytes, bytes]]
Body = bytes | AsyncGenerator[bytes, None]
"""The body of a response: the whole, or its parts as they come. The generator is closed when the client has gone."""

LINGER_SECONDS: Final = 1.0
"""Seconds in which a refused request is read and discarded. If the connection were closed at once, a client that is
still sending would get a reset, and not the reason."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NEVER_AWAITED: Final = asyncio.Event()
"""uvicorn tells a request with it that its client has gone."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class BodyTooLarge(Exception):
    """The body is over the application's limit."""


class IncomingRequest:
    """A request. Its application gets it when it is admitted.

    Attributes:
        connection: the same object for all requests of a connection, and for no others.
        method: as sent.
        target: as sent.
        http_version: as in `1.1`.
        headers: names in lower case, values without spaces around them.
        sent_headers: as sent.
        address: the target and the host, as they were read; set when the request is admitted.
        refusal: why it is not admitted, until it is answered.
        keep_alive: whether the connection stays open behind the response.
        is_whole: the body was received to its end.
        disconnected: the client has gone.
        response_started, response_complete: of the response.
    """

    address: Address
    refusal: Refused | None = None
    is_whole = False
    disconnected = False
    response_started = False
    response_complete = False
    message_event = _NEVER_AWAITED
    _news: asyncio.Event | None = None
    """Is set when something has changed. Most requests are whole before anything waits for them."""

    def __init__(
        self,
        connection: StrictProtocol,
        method: str,
        target: str,
        http_version: str,
        headers: Headers,
        sent_headers: Headers,
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        self.http_version = http_version
        self.headers = headers
        self.sent_headers = sent_headers
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self._waiting = bytearray()
        self.size = 0

    @property
    def client(self) -> Peer | None:
        """The client's end of the connection."""
        return self.connection.client

    @property
    def server(self) -> Peer | None:
        """The stack's end of the connection."""
        return self.connection.server  # type: ignore[return-value] # a TCP socket has a port

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self.disconnected or self.connection.transport.is_closing()

    # ---- the body ---------------------------------------------------------------------------------------------------

    async def body(self, limit: int) -> bytes:
        """Reads the whole body.

        Raises:
            BodyTooLarge: it is over `limit` bytes, of which little more were read.
            ClientGone: see `read`.
        """
        parts, size, more = list[bytes](), 0, True
        while more:
            part, more = await self.read()
            size += len(part)
            if size > limit:
                raise BodyTooLarge
            parts.append(part)
        return b"".join(parts)

    async def read(self) -> tuple[bytes, bool]:
        """Reads what was received of the body since the last call. Returns it, and whether more follows.

        Raises:
            ClientGone: the client closed the connection before.
        """
        while not (self._waiting or self.is_whole or self.disconnected):
            self.ask_for_body()
            self.connection.flow.resume_reading()
            await self._change()
        if self.disconnected:
            raise ClientGone
        self.connection.flow.resume_reading()
        return self.taken(), not self.is_whole

    def ask_for_body(self) -> None:
        """Asks for the body, if the client waits for that."""
        if self._expects_continue and not self.is_whole and not self.connection.transport.is_closing():
            self._expects_continue = False
            self.connection.transport.write(_CONTINUE)

    @property
    def holds_body_back(self) -> bool:
        """Whether the client sends nothing more before it is asked to."""
        return any(name == b"expect" for name, _ in self.headers)

    async def discard(self) -> None:
        """Reads and discards the rest of a refused request, for LINGER_SECONDS at most."""
        if self.holds_body_back:
            return
        with contextlib.suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await self.read())[1]:
                    pass

    async def gone(self) -> None:
        """Returns when the client has closed the connection, or has its response."""
        while not (self.disconnected or self.response_complete):
            await self._change()

    async def _change(self) -> None:
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    # ---- for the connection -----------------------------------------------------------------------------------------

    def add(self, part: bytes) -> None:
        """Adds a part of the body."""
        self.size += len(part)
        self._waiting += part  # a list of chunks of one byte would take forty times the memory
        self.wake()

    def taken(self) -> bytes:
        """Takes what is waiting of the body."""
        body = bytes(self._waiting)
        self._waiting.clear()
        return body

    @property
    def waiting(self) -> int:
        """Bytes of the body that were not taken."""
        return len(self._waiting)

    def disconnect(self) -> None:
        """Tells the application that the client has gone."""
        self.disconnected = True
        self.wake()

    def wake(self) -> None:
        """Tells the application that something has changed."""
        if self._news is not None:
            self._news.set()

    # ---- the response -----------------------------------------------------------------------------------------------

    async def respond(self, status: int, headers: Headers, body: Body) -> None:
        """Sends the response. It has no effect if the client has gone.

        Args:
            status: of the response. With 204 and 304, and in response to HEAD, no body is sent.
            headers: names in lower case, without the body's length.
            body: the whole body, or its parts.

        Raises:
            RuntimeError: a header cannot be sent, or the request has a response already.
        """
        await self.connection.respond(self, status, headers, body)

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a whole response at once, also if the client is slow to read; otherwise as `respond`."""
        if not self.is_gone:
            self.connection.send(self, status, headers, body)


Application = Callable[[IncomingRequest], Awaitable[None]]
"""Answers a request, in a task of its own. It may begin before the body is complete."""


@dataclass(frozen=True, slots=True)
class WholeApplication:
    """Answers requests that are complete, now or later, without a task for each.

    The Runtime APIs do. Of the six exchanges of a request through the stack, four are theirs.

    Attributes:
        handler: takes the requests, each after the response to the one before it on its connection, and its body;
            None in place of a body over the limit.
        max_body: bytes of a body.
    """

    handler: Callable[[IncomingRequest, bytes | None], None]
    max_body: int


@dataclass(frozen=True, slots=True)
class Served:
    """What a server serves.

    Attributes:
        app: gets the admitted requests.
        names: further host names that are admitted, in lower case.
    """

    app: Application | WholeApplication
    names: Collection[str] = ()
