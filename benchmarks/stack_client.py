"""A cheap client of the local stack, in a process of its own: `python -m benchmarks.stack_client URL CONNECTIONS`.

Each line in says how many requests to make, each line out what became of them. The connections are kept. Each has one
request at a time, and asks for the tenants in turn. Nothing is parsed but what must be, so that the client takes little
of the processors that it shares with the stack.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

from benchmarks.soak import TENANTS

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection:
    """One connection, with its turn of the tenants."""

    def __init__(self, host: str, port: int, offset: int) -> None:
        self.channel = socket.create_connection((host, port), timeout=60)
        self.channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turns = TENANTS[offset % len(TENANTS) :] + TENANTS[: offset % len(TENANTS)]
        self._turns = cycle(
            (
                f"GET /isolated HTTP/1.1\r\nhost: {host}:{port}\r\nx-tenant-id: {tenant}\r\n\r\n".encode(),
                f'"{tenant}"'.encode(),
            )
            for tenant in turns
        )
        self._received, self._tenant = b"", b""

    def ask(self) -> None:
        """Sends the next request."""
        request, self._tenant = next(self._turns)
        self.channel.sendall(request)

    def answered(self) -> bool | None:
        """Reads what has arrived: whether the answer is the tenant's own, or None until it is there."""
        piece = self.channel.recv(65536)
        if not piece:
            raise ConnectionError("the stack has closed a connection")
        self._received += piece
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError(f"an answer without a length: {head!r}")
        if len(body) < int(length[1]):
            return None
        self._received = b""
        return head.startswith(b"HTTP/1.1 200 ") and self._tenant in body


def load(connections: list[Connection], requests: int) -> int:
    """Makes the requests. Returns how many answers were not the tenant's own."""
    wrong, unsent = 0, requests
    with selectors.DefaultSelector() as selector:
        for connection in connections[:requests]:
            selector.register(connection.channel, selectors.EVENT_READ, connection)
            connection.ask()
            unsent -= 1
        while selector.get_map():
            for key, _ in selector.select(60):
                own = key.data.answered()
                if own is None:
                    continue
                wrong += not own
                if unsent:
                    unsent -= 1
                    key.data.ask()
                else:
                    selector.unregister(key.data.channel)
    return wrong


def main() -> None:
    address, number = urlsplit(sys.argv[1]), int(sys.argv[2])
    connections = [Connection(str(address.hostname), address.port or 80, offset) for offset in range(number)]
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        wrong = load(connections, int(line))
        found = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "wrong": wrong}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
