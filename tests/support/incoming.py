"""A request for an application of the stack's servers, without a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from lattice_bridge.local.web.admission import Address
from lattice_bridge.local.web.incoming import Body, Headers, IncomingRequest

CLIENT: Final = ("127.0.0.1", 50000)


class Incoming(IncomingRequest):
    """Keeps its response.

    Args:
        method, target: as sent.
        headers: as sent.
        body: the whole of it.
        host: of the address.
        http_version: as in `1.1`.
    """

    client = CLIENT
    server = ("127.0.0.1", 8080)

    def __init__(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str = "localhost",
        http_version: str = "1.1",
    ) -> None:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        sent = [(name.encode(), value.encode()) for name, value in pairs]
        lower = [(name.lower(), value) for name, value in sent]
        nothing = cast("Any", None)
        super().__init__(nothing, method, target, http_version, lower, sent, keep_alive=True, expects_continue=False)
        self.address = Address(target, host, host.partition(":")[0])
        self._body = body
        self._response: tuple[int, Headers, Body] | None = None

    async def read(self) -> tuple[bytes, bool]:
        return self._body, False

    async def respond(self, status: int, headers: Headers, body: Body) -> None:
        assert self._response is None
        self._response = status, headers, body

    @property
    def response(self) -> tuple[int, Headers, Body]:
        """Status, headers and body of the response."""
        assert self._response is not None
        return self._response

    @property
    def text_response(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """The response with headers of text, and a body that is no stream."""
        status, headers, body = self.response
        assert isinstance(body, bytes)
        return status, [(name.decode(), value.decode()) for name, value in headers], body
