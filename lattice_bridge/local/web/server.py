"""uvicorn on a loopback socket, started and stopped from within a running event loop.

Rule: only this machine reaches the server. The stack's signing keys are public, so no other machine may use it, and
no web page in a browser on this machine (see `admission`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import uvicorn

from lattice_bridge.local.web.admission import ADMITTING, Address, Refused, address_of, check_admitted, refusal_line
from lattice_bridge.local.web.http_protocol import (
    LINGER_SECONDS,
    RESPOND,
    TARGET,
    Body,
    StrictProtocol,
    closing_headers,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Respond = Callable[[int, Sequence[tuple[bytes, bytes]], Body], Awaitable[None]]
"""Sends a response: the status, the headers without the body's length, the body or its parts."""
Application = Callable[[Scope, Receive, Respond], Awaitable[None]]
"""Answers a request as an ASGI application does, but with a whole response, or a generator of its body's parts."""

HOST: Final = "127.0.0.1"
MAX_HEAD: Final = 256 * 1024
"""Bytes of a target and all headers together. Lattice's own limit is not documented."""
ADDRESS: Final = "lattice_bridge.address"
"""Key of the ASGI scope with the request's `Address`."""

_ADMITTING: Final = frozenset(name.encode() for name in ADMITTING)
_logger: Final = logging.getLogger(__name__)


class PortTaken(Exception):
    """The port is in use, or may not be used."""


class AsgiServer:
    """One listening socket. The front and the AWS endpoint have one each, every execution environment has its own."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    @classmethod
    async def start(
        cls,
        app: Application,
        port: int = 0,
        *,
        names: Collection[str] = (),
        max_head: int = MAX_HEAD,
        headers: Sequence[tuple[str, str]] = (),
    ) -> AsgiServer:
        """Listens on `port`, or on a free one if it is 0.

        Args:
            app: gets the admitted requests, each with its ADDRESS in the scope.
            port: to listen on.
            names: further host names that are admitted, in lower case. A change of it has an effect at once.
            max_head: bytes of a target and all headers together.
            headers: of every response of HTTP/1.1, also of one to a request that does not reach the app.

        Raises:
            PortTaken: the port is in use, or may not be used.
        """
        listener = _bind(port)
        config = _config(_admitted(app, names), max_head, headers)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        server.server_state.default_headers = config.encoded_headers  # of uvicorn's own response to a fault
        await server.startup(sockets=[listener])
        return cls(server, listener)

    async def stop(self) -> None:
        """Stops listening, and ends running requests after two seconds."""
        try:
            await self._server.shutdown(sockets=[self._listener])
        except asyncio.CancelledError:
            self._listener.close()
            raise


def _config(
    app: Callable[[Scope, Receive, Send], Awaitable[None]], max_head: int, headers: Sequence[tuple[str, str]]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=StrictProtocol,
        h11_max_incomplete_event_size=max_head,  # StrictProtocol's limit too
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # uvicorn would trust a client's x-forwarded-for
        server_header=False,
        date_header=False,
        headers=[*headers],
        timeout_keep_alive=60,  # Lattice's idle timeout
        timeout_graceful_shutdown=2,
    )


def _bind(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for sockets that name their protocol. With it on, each response in two
    # pieces waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise PortTaken(f"port {port}: {error}") from error
    return listener


def _admitted(app: Application, names: Collection[str]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Makes an ASGI application of one: refuses requests before it runs or reads anything."""

    async def admitted(scope: Scope, receive: Receive, _send: Send) -> None:
        respond: Respond = scope.pop(RESPOND)  # it refers to the scope, and only the collector frees a circle
        target = scope[TARGET].decode("latin-1")
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"] if name in _ADMITTING
        ]
        try:
            address = address_of(scope["method"], target, headers)
            check_admitted(address, headers, names)
        except Refused as refusal:
            _logger.warning("port %s: %s", scope["server"][1], refusal_line(f"{scope['method']} {target}", refusal))
            await drain(receive, scope)
            await respond(refusal.status, closing_headers(refusal), refusal.body)
        else:
            _set_address(scope, target, address)
            await app(scope, receive, respond)

    return admitted


def _set_address(scope: Scope, sent: str, address: Address) -> None:
    """Sets the target and Host that were read. An absolute target's authority replaces Host."""
    scope[ADDRESS] = address
    scope["path"] = unquote(address.target.partition("?")[0])
    if address.target != sent:
        host = address.authority.encode("latin-1")
        scope["headers"] = [(name, host if name == b"host" else value) for name, value in scope["headers"]]


async def drain(receive: Receive, scope: Scope) -> None:
    """Reads and discards the rest of a refused request, for LINGER_SECONDS at most."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # the client sends nothing before it is asked to
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body"):
                message = await receive()
