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

from lattice_bridge.local.web.http_protocol import _OneWrite
from lattice_bridge.local.web.server import ADDRESS, MAX_HEAD, AsgiServer, PortTaken, Receive, Scope, Send

GOOD = b"GET /after HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what reached it."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message.get("more_body", False)
    headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
    seen = {"target": scope[ADDRESS].target, "path": scope["path"], "headers": headers, "body": body.decode()}
    answer = json.dumps(seen).encode()
    length = str(len(answer)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(AsgiServer.start(echo, names={"own.example"}), loop).result()
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


class Written:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append(b"closed")


def test_head_and_body_of_a_response_leave_with_one_call() -> None:
    written, connection = Written(), SimpleNamespace(cycle=None)
    transport = _OneWrite(written, connection)  # type: ignore[arg-type] # fakes
    transport.write(b"before a request")
    connection.cycle = SimpleNamespace(response_started=False, response_complete=False)
    transport.write(b"100 Continue")
    connection.cycle.response_started = True
    transport.write(b"head")
    transport.write(b"body")
    transport.flush()
    transport.write(b"head of a response that breaks off")
    transport.close()
    sent = [b"before a request", b"100 Continue", b"headbody", b"head of a response that breaks off", b"closed"]
    assert written.calls == sent


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


def test_absolute_target_becomes_path_and_host(port: int) -> None:
    (answer,) = answers(
        port, b"GET http://own.example:1/a%20b?x=? HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    found = seen(answer)
    assert (found["target"], found["path"]) == ("/a%20b?x=?", "/a b")
    assert ["host", "own.example:1"] in found["headers"]


def test_spaces_around_a_header_are_removed(port: int) -> None:
    (answer,) = answers(port, b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: \t a b \t\r\nconnection: close\r\n\r\n")
    assert ["x-a", "a b"] in seen(answer)["headers"]


def test_port_in_use_is_an_error(port: int) -> None:
    with pytest.raises(PortTaken, match=str(port)):
        asyncio.run(AsgiServer.start(echo, port))


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


def test_bad_request_after_a_good_one_keeps_its_response(port: int) -> None:
    good = GOOD.replace(b"connection: close\r\n", b"")
    ((status, body),) = answers(port, good + b"NONSENSE\r\n\r\n")
    assert (status, json.loads(body)["target"]) == (200, "/after")
