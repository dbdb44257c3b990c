"""Responses whose body is a stream: its parts, its end, and a client that does not read."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncGenerator

import pytest

from lattice_bridge.local.web.http_protocol import STALL_SECONDS
from lattice_bridge.local.web.incoming import Application, IncomingRequest
from lattice_bridge.local.web.server import HttpServer
from tests.local.web.test_server import Connection

PLAIN = [(b"content-type", b"text/plain")]


class Source:
    """The parts of a body: the first ones, and then none until the connection ends.

    Attributes:
        made: how many parts were asked for.
        began, ended: the generator has made its first part, or was closed.
    """

    def __init__(self, *parts: bytes, ends: bool = False, fault: Exception | None = None) -> None:
        self._given = parts
        self._ends = ends
        self._fault = fault
        self.made = 0
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    @property
    def closed(self) -> bool:
        return self.ended.is_set()

    async def parts(self) -> AsyncGenerator[bytes, None]:
        try:
            for part in self._given:
                self.made += 1
                self.began.set()
                yield part
            if self._fault is not None:
                raise self._fault
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def app(self, request: IncomingRequest) -> None:
        await request.respond(200, PLAIN, self.parts())


def written(app: Application, head: str) -> list[bytes | None]:
    async def run() -> list[bytes | None]:
        return await Connection(app).request(head)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("head", "framing", "body"),
    [
        ("GET / HTTP/1.1", "transfer-encoding: chunked\r\n", [b"1\r\na\r\n", b"b\r\nbbbbbbbbbbb\r\n", b"0\r\n\r\n"]),
        ("GET / HTTP/1.0", "", [b"a", b"bbbbbbbbbbb"]),
        ("HEAD / HTTP/1.1", "transfer-encoding: chunked\r\n", []),
    ],
)
def test_parts_are_sent_as_they_come_and_are_the_last_response(head: str, framing: str, body: list[bytes]) -> None:
    source = Source(b"a", b"", b"b" * 11, ends=True)
    first, *rest = written(source.app, head)
    assert first == f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{framing}connection: close\r\n\r\n".encode()
    assert rest == [*body, None]
    assert source.closed or head.startswith("HEAD")


def test_stream_that_fails_has_no_last_chunk(caplog: pytest.LogCaptureFixture) -> None:
    """The client sees that the body is not complete."""
    source = Source(b"a", fault=ValueError("broken"))
    assert written(source.app, "GET / HTTP/1.1")[1:] == [b"1\r\na\r\n", None, None]
    assert "broken" in caplog.text


def test_no_part_is_made_until_the_client_has_read() -> None:
    """Parts of a client that does not read would fill the memory."""

    async def run() -> None:
        source = Source(b"a", b"b", b"c", ends=True)
        connection = Connection(source.app)
        connection.protocol.pause_writing()
        request = asyncio.ensure_future(connection.request())
        for _ in range(20):
            await asyncio.sleep(0)
        assert source.made == 1
        assert connection.timers == [STALL_SECONDS]
        connection.protocol.resume_writing()
        await request
        assert source.made == 3

    asyncio.run(run())


def test_client_that_reads_nothing_for_too_long_is_disconnected() -> None:
    async def run() -> None:
        source = Source(b"a", b"b")
        connection = Connection(source.app)
        connection.protocol.pause_writing()
        request = asyncio.ensure_future(connection.request())
        for _ in range(20):
            await asyncio.sleep(0)
        connection.functions[-1]()
        await request
        assert (source.made, source.closed, connection.is_closing()) == (1, True, True)

    asyncio.run(run())


def test_client_that_goes_ends_the_stream() -> None:
    async def run() -> None:
        source = Source(b"a")
        server = await HttpServer.start(source.app)
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await writer.drain()
        await source.began.wait()
        writer.close()
        await source.ended.wait()
        await server.stop()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_stream_ends_when_the_server_stops() -> None:
    async def run() -> bytes:
        source = Source(b"one")
        server = await HttpServer.start(source.app)

        def read() -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", "/")
            return connection.getresponse().read()  # raises IncompleteRead without the last chunk

        reading = asyncio.create_task(asyncio.to_thread(read))
        await source.began.wait()
        await server.stop()
        return await reading

    assert asyncio.run(run()) == b"one"
