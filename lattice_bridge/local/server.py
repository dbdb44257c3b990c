"""uvicorn on a loopback socket, started and stopped from within a running event loop.

Rule: loopback only. The stack hands out whatever identity it is asked for, so nobody else may reach it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import uvicorn

from lattice_bridge.local.protocol import StrictProtocol

HOST: Final = "127.0.0.1"


class PortTaken(Exception):
    """The port is in use, or may not be used."""


class LoopbackServer:
    """One listening socket. The front and the Lambda API have one each, every execution environment has its own."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self.port: int = listener.getsockname()[1]

    @classmethod
    async def start(cls, app: Any, port: int = 0) -> LoopbackServer:
        """Listens on `port`, or on a free one if it is 0.

        Raises:
            PortTaken: somebody else listens there.
        """
        # asyncio turns Nagle's algorithm off only for sockets that name their protocol; with it on, each answer that
        # is written in two pieces waits 40 ms for a delayed acknowledgement.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError) as error:
            listener.close()
            raise PortTaken(f"port {port}: {error}") from error
        config = uvicorn.Config(
            app,
            http=StrictProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # uvicorn would believe a client's x-forwarded-for
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,  # Lattice's idle timeout
            timeout_graceful_shutdown=2,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        return cls(server, listener)

    async def stop(self) -> None:
        """Stops listening, and gives what is being answered two seconds."""
        try:
            await self._server.shutdown(sockets=[self._listener])
        except asyncio.CancelledError:
            self._listener.close()
            raise
