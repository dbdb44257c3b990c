"""uvicorn on a loopback socket, started and stopped from within a running event loop.

Rule: only this machine reaches the server. The stack's signing keys are public, so no other machine may use it, and
no web page in a browser on this machine (see `admission`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Sequence
from typing import Final

import uvicorn

from lattice_bridge.local.web.http_protocol import StrictProtocol
from lattice_bridge.local.web.incoming import Application, Served, WholeApplication

HOST: Final = "127.0.0.1"
MAX_HEAD: Final = 256 * 1024
"""Bytes of a target and all headers together. Lattice's own limit is not documented."""


class PortTaken(Exception):
    """The port is in use, or may not be used."""


class HttpServer:
    """One listening socket. The front and the AWS endpoint have one each, every execution environment has its own."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    @classmethod
    async def start(
        cls,
        app: Application | WholeApplication,
        port: int = 0,
        *,
        names: Collection[str] = (),
        max_head: int = MAX_HEAD,
        headers: Sequence[tuple[str, str]] = (),
    ) -> HttpServer:
        """Listens on `port`, or on a free one if it is 0.

        Args:
            app: gets the admitted requests.
            port: to listen on.
            names: further host names that are admitted, in lower case. A change of it has an effect at once.
            max_head: bytes of a target and all headers together.
            headers: of every response of HTTP/1.1, also of one to a request that does not reach the app.

        Raises:
            PortTaken: the port is in use, or may not be used.
        """
        listener = _bind(port)
        config = configuration(Served(app, names), max_head, headers)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        return cls(server, listener)

    async def stop(self) -> None:
        """Stops listening, and ends running requests after two seconds."""
        try:
            await self._server.shutdown(sockets=[self._listener])
        except asyncio.CancelledError:
            self._listener.close()
            raise
        finally:
            for connection in [*self._server.server_state.connections]:
                if isinstance(connection, StrictProtocol):  # all are
                    connection.end()


def configuration(served: Served, max_head: int = MAX_HEAD, headers: Sequence[tuple[str, str]] = ()) -> uvicorn.Config:
    """Configures uvicorn; see `HttpServer.start`."""
    return uvicorn.Config(
        served,  # type: ignore[arg-type] # StrictProtocol calls it, and not uvicorn
        http=StrictProtocol,
        interface="asgi3",
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
