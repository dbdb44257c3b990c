"""The HTTP server of all ports, with real sockets and an application that echoes requests."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from shutil import which
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.server import ServerState

from lattice_bridge.local.web.http_protocol import StrictProtocol, _known_names
from lattice_bridge.local.web.incoming import Application, Headers, IncomingRequest, Served, WholeApplication
from lattice_bridge.local.web.server import MAX_HEAD, HttpServer, PortTaken, configuration

GOOD = b"GET /after HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


async def echo(request: IncomingRequest) -> None:
    """Answers with what reached it."""
    body = await request.body(10**9)
    headers = [(name.decode(), value.decode()) for name, value in request.headers]
    seen = {"target": request.address.target, "headers": headers, "body": body.decode()}
    await request.respond(200, [], json.dumps(seen).encode())


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(HttpServer.start(echo, names={"own.example"}), loop).result()
    yield server.port
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def answers(port: int, *parts: bytes) -> list[tuple[int, bytes]]:
    """Returns status and body of every response, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        found: list[tuple[int, bytes]] = []
        stream = connection.makefile("rb")
        while status := stream.readline():
            headers = http.client.parse_headers(stream)
            found.append((int(status.split()[1]), stream.read(int(headers["content-length"]))))
        return found


def seen(answer: tuple[int, bytes]) -> dict[str, Any]:
    assert answer[0] == 200, answer
    found = json.loads(answer[1])
    assert isinstance(found, dict)
    return found


# ---- the protocol, without a socket ---------------------------------------------------------------------------------


class Connection:
    """A connection to an application: its transport, and the clock and timers of its loop.

    Attributes:
        sent: what each call of the transport wrote; None is its end.
        now: the loop's time.
        timers: the seconds of each timer that was started.
        ended_timers: the number of those that were cancelled.
        is_paused: nothing is read from the client.
    """

    def __init__(self, app: Application | WholeApplication) -> None:
        self.sent: list[bytes | None] = []
        self.now = 100.0
        self.timers: list[float] = []
        self.ended_timers = 0
        self.functions: list[Any] = []
        self.is_paused = False
        self._real = asyncio.get_running_loop()
        config = configuration(Served(app))
        config.load()
        self.protocol = StrictProtocol(config, ServerState(), {}, self)  # type: ignore[arg-type] # the loop's part
        self.protocol.connection_made(self)  # type: ignore[arg-type] # the transport's part

    async def request(self, head: str = "GET / HTTP/1.1") -> list[bytes | None]:
        """Sends a request, and returns what was written."""
        self.sent.clear()
        self.protocol.data_received(f"{head}\r\nhost: localhost\r\n\r\n".encode())
        await asyncio.gather(*self.protocol.tasks)
        return self.sent

    # the transport

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(None)

    def abort(self) -> None:
        self.close()
        self.protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return None in self.sent

    def get_extra_info(self, _name: str) -> None: ...

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    # the loop

    def create_task(self, work: Any) -> Any:
        return self._real.create_task(work)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Any, *_: Any) -> SimpleNamespace:
        self.timers.append(seconds)
        self.functions.append(function)
        return SimpleNamespace(cancel=self._end_timer)

    def _end_timer(self) -> None:
        self.ended_timers += 1


def answering(status: int, headers: Headers = (), body: bytes = b"ok") -> Application:
    async def app(request: IncomingRequest) -> None:
        await request.respond(status, headers, body)

    return app


def written(app: Application, head: str = "GET / HTTP/1.1") -> list[bytes | None]:
    """What is written for one request."""

    async def run() -> list[bytes | None]:
        return await Connection(app).request(head)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("app", "head", "response"),
    [
        (answering(200, [(b"a", b"b")]), "GET /", "200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok"),
        (answering(299, body=b""), "GET /", "299 \r\ncontent-length: 0\r\n\r\n"),
        (answering(200), "HEAD /", "200 OK\r\ncontent-length: 2\r\n\r\n"),
        (answering(200, body=b""), "HEAD /", "200 OK\r\n\r\n"),
        (answering(204), "GET /", "204 No Content\r\n\r\n"),
        (answering(304), "GET /", "304 Not Modified\r\n\r\n"),
    ],
)
def test_response_is_written_whole_with_one_call(app: Application, head: str, response: str) -> None:
    assert written(app, f"{head} HTTP/1.1") == [f"HTTP/1.1 {response}".encode()]


@pytest.mark.parametrize(
    ("headers", "request_line"), [([(b"connection", b"close")], "GET / HTTP/1.1"), ([], "GET / HTTP/1.0")]
)
def test_last_response_says_once_that_the_connection_ends(
    headers: list[tuple[bytes, bytes]], request_line: str
) -> None:
    response, end = written(answering(200, headers), request_line)
    assert response is not None
    assert (response.count(b"connection: close\r\n"), end) == (1, None)


@pytest.mark.parametrize(
    "pair",
    [
        *((b"a", b"b\r\nset-cookie: c"), (b"a", b"b\nset-cookie: c"), (b"a", b"b\r"), (b"a", b"\0"), (b"a", b"\x7f")),
        *((b"a: b\r\nset-cookie", b"c"), (b"a: b", b"c"), (b"a ", b"c")),
    ],
)
def test_header_that_would_end_itself_is_not_sent(pair: tuple[bytes, bytes]) -> None:
    """A function's reply chooses headers: one of them must not become two, or the beginning of another response."""
    sent = b"".join(filter(None, written(answering(200, [pair]))))
    assert sent.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in sent


def test_names_of_headers_that_were_checked_are_bounded() -> None:
    """Trap D9: a function chooses the names of its reply's headers, and they are remembered."""

    async def run() -> None:
        for number in range(3_000):
            name = b"x-%d" % number if number % 2 else b"x" * 1_000 + b"%d" % number
            sent = await Connection(answering(200, [(name, b"a")])).request()
            assert (sent[0] or b"").count(name + b": a\r\n") == 1
        assert len(_known_names) <= 1_024
        assert max(map(len, _known_names)) <= 128

    asyncio.run(run())


def test_second_response_to_a_request_is_refused() -> None:
    """It would be the response to the connection's next request, which may be another tenant's."""

    async def twice(request: IncomingRequest) -> None:
        await request.respond(200, [], b"first")
        with pytest.raises(RuntimeError, match="has a response already"):
            await request.respond(200, [], b"second")

    assert len(written(twice)) == 1


def test_connection_has_one_timer_and_ends_after_the_whole_time_without_a_request() -> None:
    async def run() -> None:
        connection = Connection(answering(200))
        await connection.request()
        connection.now += 50
        await connection.request()
        assert connection.timers == [60]
        connection.now += 10
        connection.protocol.timeout_keep_alive_handler()
        assert (connection.timers, connection.is_closing()) == ([60, 50], False)
        connection.now += 50
        connection.protocol.timeout_keep_alive_handler()
        assert connection.is_closing()

    asyncio.run(run())


def test_timer_that_ends_during_a_request_leaves_the_connection_open() -> None:
    connections: list[Connection] = []

    async def slow(request: IncomingRequest) -> None:
        connections[0].now += 100
        connections[0].protocol.timeout_keep_alive_handler()
        await answering(200)(request)

    async def run() -> None:
        connections.append(Connection(slow))
        await connections[0].request()
        await connections[0].request()
        assert (connections[0].timers, connections[0].is_closing()) == ([60, 60], False)

    asyncio.run(run())


def test_timer_ends_with_a_connection_that_was_reset() -> None:
    """It would keep the last request, with a head of up to MAX_HEAD bytes, for a minute."""

    async def run() -> None:
        connection = Connection(answering(200))
        await connection.request()
        connection.protocol.connection_lost(ConnectionResetError())
        assert connection.ended_timers == 1

    asyncio.run(run())


def test_pipelined_requests_are_answered_one_after_the_other_in_their_order() -> None:
    """Trap D15: a response that overtakes another one is read as the response of another request."""
    order: list[str] = []

    async def slow_at_first(request: IncomingRequest) -> None:
        target = request.address.target
        order.append(f"begins {target}")
        for _ in range(20 if target == "/1" else 1):
            await asyncio.sleep(0)
        order.append(f"ends {target}")
        await request.respond(200, [], target.encode())

    async def run() -> list[bytes | None]:
        connection = Connection(slow_at_first)
        sent = "".join(f"GET /{n} HTTP/1.1\r\nhost: localhost\r\n\r\n" for n in range(1, 4))
        connection.protocol.data_received(sent.encode())
        while connection.protocol.tasks:
            await asyncio.gather(*connection.protocol.tasks)
        return connection.sent

    responses = asyncio.run(run())
    assert [(each or b"")[-2:] for each in responses] == [b"/1", b"/2", b"/3"]
    assert order == [f"{what} /{n}" for n in range(1, 4) for what in ("begins", "ends")]


def test_client_is_not_read_from_while_its_body_waits() -> None:
    """Trap D9: a body that the application does not read must not fill the memory."""

    async def late(request: IncomingRequest) -> None:
        paused.append(connections[0].is_paused)
        part, more = await request.read()
        assert (len(part), more) == (100_000, True)
        assert await request.read() == (b"a", False)
        paused.append(connections[0].is_paused)
        await request.respond(200, [], b"")

    connections: list[Connection] = []
    paused: list[bool] = []

    async def run() -> None:
        connections.append(connection := Connection(late))
        head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100001\r\n\r\n"
        connection.protocol.data_received(head + b"a" * 100_000)
        task = next(iter(connection.protocol.tasks))
        for _ in range(10):
            await asyncio.sleep(0)
        connection.protocol.data_received(b"a")
        await task
        assert paused == [True, False]
        assert (connection.sent[0] or b"").startswith(b"HTTP/1.1 200 ")

    asyncio.run(run())


def test_body_is_asked_for_when_the_application_reads_it() -> None:
    async def reads(request: IncomingRequest) -> None:
        asked.append(connections[0].sent.copy())
        await request.respond(200, [], await request.body(10))

    asked: list[list[bytes | None]] = []
    connections: list[Connection] = []

    async def run() -> list[bytes | None]:
        connections.append(connection := Connection(reads))
        head = b"POST / HTTP/1.1\r\nhost: localhost\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\n"
        connection.protocol.data_received(head)
        for _ in range(3):
            await asyncio.sleep(0)
        connection.protocol.data_received(b"ab")
        await asyncio.gather(*connection.protocol.tasks)
        return connection.sent

    first, second = asyncio.run(run())
    assert asked == [[]]
    assert (first, (second or b"")[:12]) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200")


def test_fault_of_an_application_is_a_500_that_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_request: IncomingRequest) -> None:
        raise ValueError("why")

    *parts, end = written(broken)
    response = b"".join(part or b"" for part in parts)
    assert response.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"why" not in response
    assert (end, "why" in caplog.text) == (None, True)


def test_stop_ends_idle_connections_and_waits_for_a_running_request() -> None:
    async def run() -> None:
        going = asyncio.Event()

        async def slow(request: IncomingRequest) -> None:
            if request.address.target == "/slow":
                await going.wait()
            await request.respond(200, [], b"done")

        server = await HttpServer.start(slow)
        request = b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n"
        idle, running = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for (_, writer), target in ((idle, b"/"), (running, b"/slow")):
            writer.write(request % target)
        assert (await idle[0].readuntil(b"done")).startswith(b"HTTP/1.1 200 ")
        stopping = asyncio.create_task(server.stop())
        assert await idle[0].read() == b""
        going.set()
        assert (await running[0].read()).endswith(b"connection: close\r\n\r\ndone")
        await stopping
        for _, writer in (idle, running):
            writer.close()

    asyncio.run(asyncio.wait_for(run(), 20))


# ---- admission ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET / HTTP/1.1", "Host: evil.example:8080"], 403),
        (["GET http://evil.example/ HTTP/1.1", "Host: localhost"], 403),
        (["GET / HTTP/1.1", "Host: localhost", "Origin: http://evil.example"], 403),
        (["GET / HTTP/1.1", "Host: localhost", "Sec-Fetch-Site: cross-site"], 403),
        (["GET / HTTP/1.1", "Host: localhost", "Host: evil.example"], 400),
        (["GET / HTTP/1.0"], 400),
        (["GET / HTTP/1.1", "Host: own.example"], 200),
        (["GET http://own.example/ HTTP/1.1", "Host: evil.example"], 200),
        (["GET / HTTP/1.1", "Host: localhost ", "Origin: http://localhost:3000"], 200),
    ],
)
def test_foreign_host_or_origin_reaches_no_application(port: int, lines: list[str], status: int) -> None:
    """Trap G1: the front, the AWS endpoint and the Runtime APIs share this implementation."""
    ((got, _),) = answers(port, "\r\n".join([*lines, "connection: close", "", ""]).encode())
    assert got == status


def test_refusal_is_one_line_in_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    answers(port, b"GET /x%1b HTTP/1.1\r\nhost: evil.example\r\n\r\n")
    answers(port, b"NONSENSE\r\n\r\n")
    refused, unread = (record.getMessage() for record in caplog.records)
    assert refused.startswith(f"port {port}: GET /x%1b: 403: Forbidden: Host 'evil.example' is not a name")
    assert unread.startswith(f"port {port}: unread request: 400: Bad Request: not HTTP/1.1: ")


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_client_that_begins_with_http2_gets_the_fix_in_it(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """As the SDKs of Kinesis for JavaScript and Java do."""
    command = ["curl", "-sS", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code} %{content_type}"]
    done = subprocess.run([*command, f"http://localhost:{port}/"], capture_output=True, text=True, check=True)
    body, _, last = done.stdout.rpartition("\n")
    assert last == "2 505 application/json"
    assert "Fix: give the SDK's client another HTTP client" in json.loads(body)["message"]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"port {port}: unread request: 505: HTTP Version Not Supported: the client")


def test_absolute_target_becomes_path_and_host(port: int) -> None:
    (answer,) = answers(
        port, b"GET http://own.example:1/a%20b?x=? HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    found = seen(answer)
    assert found["target"] == "/a%20b?x=?"
    assert ["host", "own.example:1"] in found["headers"]


def test_spaces_around_a_header_are_removed(port: int) -> None:
    (answer,) = answers(port, b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: \t a b \t\r\nconnection: close\r\n\r\n")
    assert ["x-a", "a b"] in seen(answer)["headers"]


def test_port_in_use_is_an_error(port: int) -> None:
    with pytest.raises(PortTaken, match=str(port)):
        asyncio.run(HttpServer.start(echo, port))


# ---- upgrades -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"\r\n", b"content-length: 4\r\n\r\nbody", b"transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"],
    ids=["none", "length", "chunks"],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_upgrade_is_ignored_and_the_next_request_is_served(port: int, body: bytes, in_pieces: bool) -> None:
    head = b"POST /first HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    sent = head + b"http2-settings: AAMAAABkAAQAAP__\r\n" + body + GOOD
    pieces = [sent[at : at + 7] for at in range(0, len(sent), 7)] if in_pieces else [sent]
    first, after = (seen(answer) for answer in answers(port, *pieces))
    assert (first["target"], first["body"]) == ("/first", "" if body == b"\r\n" else "body")
    assert after["target"] == "/after"


def test_curl_that_offers_http2_is_served(port: int) -> None:
    url = f"http://localhost:{port}/c"
    command = ["curl", "-sS", "--http2", "-d", "x=1", url, url, "-w", "\n%{http_version} %{num_connects}\n"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, first_facts, second, second_facts = done.stdout.splitlines()
    assert [json.loads(line)["body"] for line in (first, second)] == ["x=1", "x=1"]
    assert (first_facts, second_facts) == ("1.1 1", "1.1 0")


@pytest.mark.skipif(which("java") is None, reason="no java on this machine")
def test_java_http_client_is_served(port: int, tmp_path: Any) -> None:
    (tmp_path / "Ask.java").write_text(
        """
        import java.net.URI;
        import java.net.http.*;
        public class Ask {
            public static void main(String[] a) throws Exception {
                var client = HttpClient.newHttpClient();
                for (var body : new String[] {"one", "two"}) {
                    var request = HttpRequest.newBuilder(URI.create(a[0]))
                        .POST(HttpRequest.BodyPublishers.ofString(body)).build();
                    System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
                }
            }
        }
        """
    )
    command = ["java", str(tmp_path / "Ask.java"), f"http://localhost:{port}/j"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["body"] for each in found] == ["one", "two"]
    assert ["upgrade", "h2c"] in found[0]["headers"]


# ---- bounds ---------------------------------------------------------------------------------------------------------

CHUNKED = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
FLOODS = {
    "header": (b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ", b"a" * 65536, 431),
    "header name": (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"a" * 65536, 431),
    "headers": (b"GET / HTTP/1.1\r\nhost: localhost\r\n", b"x-a: b\r\n" * 8192, 431),
    "target": (b"GET /", b"a" * 65536, 414),
    "query": (b"GET /?", b"a" * 65536, 414),
    "blank lines": (b"", b"\r\n" * 32768, 431),
    "trailer": (CHUNKED + b"1\r\na\r\n0\r\nx-a: ", b"a" * 65536, 400),
    "trailers": (CHUNKED + b"0\r\n", b"x-a: b\r\n" * 8192, 400),
    "chunk extension": (CHUNKED + b"1;a=", b"a" * 65536, 400),
    "chunk extensions": (CHUNKED, (b"1;a=" + b"a" * 4000 + b"\r\na\r\n") * 16, 400),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_endless_input_is_refused_early(port: int, kind: str) -> None:
    start, piece, status = FLOODS[kind]
    accepted = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(start)
        try:
            while accepted < 64 * 2**20:
                connection.sendall(piece)
                accepted += len(piece)
                if accepted == 2**20:
                    assert answers(port, GOOD)[0][0] == 200  # another client, meanwhile
        except ConnectionError:
            pass
        received = connection.recv(65536)
    assert accepted < 16 * 2**20  # what the kernel buffers is in it
    assert received.startswith(f"HTTP/1.1 {status} ".encode())


def test_client_over_the_limit_reads_the_reason(port: int) -> None:
    ((status, text),) = answers(port, b"GET / HTTP/1.1\r\nx-a: " + b"a" * (MAX_HEAD + 100_000) + b"\r\n\r\n")
    assert status == 431
    assert str(MAX_HEAD).encode() in text


def test_body_in_one_byte_chunks_is_served(port: int) -> None:
    (answer,) = answers(
        port, CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"), b"1\r\nx\r\n" * 200_000, b"0\r\n\r\n"
    )
    assert len(seen(answer)["body"]) == 200_000


def test_head_just_within_the_limit_is_served(port: int) -> None:
    value = b"a" * (MAX_HEAD - 200)
    assert (
        len(
            answers(
                port,
                b"POST / HTTP/1.1\r\nhost: localhost\r\nx-a: " + value + b"\r\nconnection: close\r\n"
                b"content-length: 100000\r\n\r\n" + b"b" * 100_000,
            )
        )
        == 1
    )


@pytest.mark.parametrize("bad", [b"NONSENSE\r\n\r\n", CHUNKED + b"Z\r\n"], ids=["head", "body"])
def test_bad_request_after_a_good_one_keeps_its_response(port: int, bad: bytes) -> None:
    """Trap D15: a refusal that overtakes a response is read in its place."""
    good = GOOD.replace(b"connection: close\r\n", b"")
    ((status, body),) = answers(port, good + bad)
    assert (status, json.loads(body)["target"]) == (200, "/after")
