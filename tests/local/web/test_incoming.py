"""The server of applications that take each request whole, with real sockets."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from lattice_bridge.local.web.incoming import IncomingRequest, WholeApplication
from lattice_bridge.local.web.server import HttpServer
from tests.local.web.test_server import Connection

HOST = b"host: localhost\r\n"
ELEVEN_BYTES = {
    "length": b"content-length: 11\r\n\r\n12345678901",
    "chunks": b"transfer-encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n0\r\n\r\n",
}


class Server:
    """A server with an application that keeps its requests.

    Attributes:
        requests, bodies: in the order in which the application got them.
    """

    def __init__(self, handle: Callable[[IncomingRequest, bytes | None], None] | None = None) -> None:
        self.requests: list[IncomingRequest] = []
        self.bodies: list[bytes | None] = []
        self._news = asyncio.Event()
        self._handle = handle

    def take(self, request: IncomingRequest, body: bytes | None) -> None:
        self.requests.append(request)
        self.bodies.append(body)
        self._news.set()
        if self._handle:
            self._handle(request, body)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection to the server, which runs meanwhile."""
        server = await HttpServer.start(WholeApplication(self.take, max_body=10))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            await server.stop()

    async def have(self, number: int) -> None:
        """Waits until the application has got so many requests."""
        while len(self.requests) < number:
            self._news.clear()
            await self._news.wait()


def echo(request: IncomingRequest, body: bytes | None) -> None:
    request.send(200, [(b"x-path", request.address.target.encode())], b"over the limit" if body is None else body)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Reads the status and the body of a response."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


def run(work: Callable[[], object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work()  # type: ignore[misc] # a coroutine

    asyncio.run(bounded())


def test_body_that_comes_in_pieces_is_handed_over_once_and_whole() -> None:
    async def work() -> None:
        server = Server(echo)
        async with server.connection() as (reader, writer):
            writer.write(
                b"POST /a?b HTTP/1.1\r\n" + HOST + b"X-A:  b \r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"
            )
            await asyncio.sleep(0.01)
            assert not server.requests
            writer.write(b"3\r\ncde\r\n0\r\nx-tenant-id: blue\r\n\r\n")
            assert await answer(reader) == (200, b"abcde")
            (request,) = server.requests
            assert (request.method, request.target, request.address.target) == ("POST", "/a?b", "/a?b")
            assert request.sent_headers[1] == (b"X-A", b"b ")
            assert request.headers == [(b"host", b"localhost"), (b"x-a", b"b"), (b"transfer-encoding", b"chunked")]
            assert request.client == writer.get_extra_info("sockname")
            assert request.server == writer.get_extra_info("peername")

    run(work)


@pytest.mark.parametrize("framing", ELEVEN_BYTES.values(), ids=ELEVEN_BYTES)
def test_body_over_the_limit_is_none_and_the_connection_goes_on(framing: bytes) -> None:
    async def work() -> None:
        server = Server(echo)
        async with server.connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + framing)
            assert await answer(reader) == (200, b"over the limit")
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\n1234567890")
            assert await answer(reader) == (200, b"1234567890")

    run(work)


def test_application_gets_a_request_after_the_response_to_the_one_before_it() -> None:
    """Trap D15: a response that overtakes another one is read as the response of another request."""

    async def work() -> None:
        server = Server()
        async with server.connection() as (reader, writer):
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\n%s\r\n" % (number, HOST) for number in range(3)))
            for number in range(3):
                await server.have(number + 1)
                await asyncio.sleep(0.01)
                assert len(server.requests) == number + 1
                echo(server.requests[number], server.bodies[number])
                assert (await reader.readuntil(b"\r\n\r\n")).count(b"x-path: /%d\r\n" % number) == 1

    run(work)


def test_thousands_of_requests_in_one_packet_are_answered() -> None:
    """Each response hands over the next request: as calls in calls, they would reach Python's limit."""

    def all_but_the_first(request: IncomingRequest, body: bytes | None) -> None:
        if len(server.requests) > 1:
            echo(request, body)

    server = Server(all_but_the_first)

    async def work() -> None:
        async with server.connection() as (reader, writer):
            writer.write((b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1\r\n\r\nx") * 2_000)
            await server.have(1)
            echo(server.requests[0], server.bodies[0])
            for _ in range(2_000):
                assert await answer(reader) == (200, b"x")

    run(work)


def test_request_that_came_with_an_earlier_one_may_wait_for_its_response() -> None:
    """A process that sends its response and asks for the next invocation in one packet may wait for an hour."""

    def first_only(request: IncomingRequest, body: bytes | None) -> None:
        waiting.append(request)
        if len(waiting) == 1:
            echo(request, body)

    waiting: list[IncomingRequest] = []

    async def work() -> None:
        connection = Connection(WholeApplication(first_only, max_body=10))
        connection.protocol.data_received((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
        connection.now += 3_600
        connection.protocol.timeout_keep_alive_handler()
        assert not connection.is_closing()
        echo(waiting[1], b"")
        assert (len(connection.sent), connection.timers) == (2, [60, 60])

    run(work)


def test_client_that_does_not_read_its_responses_is_not_read_from() -> None:
    """Trap D9: responses that wait for their client must not fill the memory."""

    async def work() -> None:
        size, sent = 100_000, 0
        server = Server(lambda request, _: request.send(200, (), b"x" * size))
        request = b"GET / HTTP/1.1\r\n" + HOST + b"x-a: " + b"a" * size + b"\r\n\r\n"
        async with server.connection() as (reader, writer):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while sent < 1_000:
                        writer.write(request)
                        sent += 1
                        await writer.drain()
            assert sent < 1_000
            for _ in range(sent):
                assert await answer(reader) == (200, b"x" * size)
            writer.write(request)
            assert await answer(reader) == (200, b"x" * size)

    run(work)


def test_body_is_asked_for_in_its_turn() -> None:
    async def work() -> None:
        server = Server()
        async with server.connection() as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await server.have(1)
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"expect: 100-Continue\r\ncontent-length: 1\r\n\r\n")
            await asyncio.sleep(0.01)
            echo(server.requests[0], server.bodies[0])
            assert await answer(reader) == (200, b"")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"x")
            await server.have(2)
            echo(server.requests[1], server.bodies[1])
            assert await answer(reader) == (200, b"x")

    run(work)


def test_upgrade_is_ignored_with_the_body_behind_it() -> None:
    async def work() -> None:
        async with Server(echo).connection() as (reader, writer):
            offer = b"connection: upgrade\r\nupgrade: h2c\r\n"
            for _ in range(2):
                writer.write(b"POST / HTTP/1.1\r\n" + HOST + offer + b"content-length: 3\r\n\r\nabc")
                assert await answer(reader) == (200, b"abc")

    run(work)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\n" + HOST + b"origin: http://evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"CONNECT localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 300_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 2\r\n\r\n1", 403),
        (b"POST / HTTP/1.1\r\nhost: evil.example\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n", 403),
    ],
)
def test_request_that_is_not_admitted_does_not_reach_the_application(sent: bytes, status: int) -> None:
    """Trap G1."""

    async def work() -> None:
        server = Server(echo)
        async with server.connection() as (reader, writer):
            writer.write(sent)
            assert (await answer(reader))[0] == status
            assert await reader.read() == b""
            assert not server.requests

    run(work)


def test_body_of_a_request_that_is_not_admitted_is_not_kept() -> None:
    """Trap D9: a page of another site could fill the memory with bodies."""

    async def work() -> None:
        for host, kept in ((b"localhost", 5), (b"evil.example", 0)):
            connection = Connection(WholeApplication(echo, max_body=10))
            head = b"POST / HTTP/1.1\r\nhost: %s\r\ncontent-length: 9\r\n\r\n" % host
            connection.protocol.data_received(head + b"x" * 5)
            assert connection.protocol.cycle.waiting == kept

    run(work)


def test_request_whose_client_has_gone_gets_no_response() -> None:
    async def work() -> None:
        server = Server()
        async with server.connection() as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await server.have(1)
            (request,) = server.requests
            states = [request.is_gone]
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.05)
            states.append(request.is_gone)
            echo(request, b"")
            assert (states, request.response_started) == ([False, True], False)

    run(work)


def test_request_that_ends_in_its_body_does_not_reach_the_application() -> None:
    async def work() -> None:
        server = Server(echo)
        async with server.connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\nx")
            writer.write_eof()
            assert await reader.read() == b""
            assert not server.requests

    run(work)


@pytest.mark.parametrize("length", [0, 2], ids=["without a response", "without its body"])
def test_stop_ends_a_request(length: int) -> None:
    """No task that the stop cancels belongs to it: its connection would stay open for ever."""

    async def work() -> None:
        server = await HttpServer.start(WholeApplication(lambda *_: None, max_body=10))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n\r\n" % length)
        await asyncio.sleep(0.05)
        await server.stop()
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    run(work)


def test_fault_of_the_application_is_a_500_that_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: IncomingRequest, _body: bytes | None) -> None:
        raise ValueError("why")

    async def work() -> None:
        async with Server(broken).connection() as (reader, writer):
            writer.write((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
            assert await answer(reader) == (500, b"Internal Server Error")
            assert await reader.read() == b""

    run(work)
    assert "why" in caplog.text


def test_second_response_to_a_request_is_refused() -> None:
    """It would be the response to the connection's next request."""

    async def work() -> None:
        server = Server()
        async with server.connection() as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await server.have(1)
            echo(server.requests[0], server.bodies[0])
            with pytest.raises(RuntimeError, match="has a response already"):
                echo(server.requests[0], server.bodies[0])
            assert await answer(reader) == (200, b"")

    run(work)


def test_connection_of_http_1_0_ends_with_its_response() -> None:
    async def work() -> None:
        async with Server(echo).connection() as (reader, writer):
            writer.write(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
            assert await answer(reader) == (200, b"")
            assert await reader.read() == b""

    run(work)


def test_client_of_http_1_0_is_not_asked_for_its_body() -> None:
    """It would take the question for the response."""

    async def work() -> None:
        async with Server(echo).connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.0\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\nx")
            assert await answer(reader) == (200, b"x")

    run(work)


def test_http_client_is_served() -> None:
    """A client that was not written for this test, with requests of every kind of body on one connection."""

    async def work() -> None:
        server = await HttpServer.start(WholeApplication(echo, max_body=10))

        def ask() -> list[bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
            bodies: list[object] = [None, b"", b"abc", iter([b"a", b"b"])]
            found = []
            for body in bodies:
                connection.request("POST", "/x", body=body)  # type: ignore[arg-type] # all are allowed
                found.append(connection.getresponse().read())
            connection.close()
            return found

        assert await asyncio.to_thread(ask) == [b"", b"", b"abc", b"ab"]
        await server.stop()

    run(work)
