"""The front as an HTTP server: requests of real and hostile clients, over a real socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.stack import FAULTS, RunningStack, opened, running


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running(template=FAULTS) as stack:
        yield stack


def send(stack: RunningStack, *lines: str, body: bytes = b"") -> tuple[int, dict[str, list[str]], bytes]:
    """Writes raw bytes, and reads until the server closes the connection."""
    address = urlsplit(stack.front)
    head = "\r\n".join([*lines, "connection: close", "", ""]).encode("utf-8")
    with socket.create_connection((str(address.hostname), address.port), timeout=20) as connection:
        connection.sendall(head + body)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    top, _, rest = received.partition(b"\r\n\r\n")
    status, *fields = top.decode("utf-8").split("\r\n")
    headers: dict[str, list[str]] = {}
    for field in fields:
        name, _, value = field.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return int(status.split()[1]), headers, rest


def event_of(answer: tuple[int, dict[str, list[str]], bytes]) -> dict[str, Any]:
    assert answer[0] == 200
    event = json.loads(answer[2])
    assert isinstance(event, dict)
    return event


def test_target_arrives_as_sent(stack: RunningStack) -> None:
    target = "/reply/a%2Fb/../%7e?x=1&x=%zz&y=+&=&z"
    assert event_of(send(stack, f"GET {target} HTTP/1.1", "host: faults"))["path"] == target


def test_repeated_headers_arrive_in_order(stack: RunningStack) -> None:
    event = event_of(send(stack, "GET /reply HTTP/1.1", "Host: faults", "X-Tag: a", "x-tag: b, c", "X-TAG: a"))
    assert event["headers"]["x-tag"] == ["a", "b, c", "a"]
    assert event["headers"]["host"] == ["faults"]


def test_every_method_is_passed_on(stack: RunningStack) -> None:
    assert event_of(send(stack, "PROPFIND /reply HTTP/1.1", "host: faults"))["method"] == "PROPFIND"


def test_utf8_header_arrives(stack: RunningStack) -> None:
    assert event_of(send(stack, "GET /reply HTTP/1.1", "host: faults", "x-name: é"))["headers"]["x-name"] == ["é"]


def test_v1_target_group_gets_a_v1_event(stack: RunningStack) -> None:
    event = event_of(send(stack, "GET /v1?a=1&a=2 HTTP/1.1", "host: faults"))
    assert (event["raw_path"], event["query_string_parameters"]) == ("/v1?a=1&a=2", {"a": "1"})


def test_chunked_body_arrives_whole(stack: RunningStack) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    lines = ["POST /reply HTTP/1.1", "host: faults", "content-type: text/plain", "transfer-encoding: chunked"]
    event = event_of(send(stack, *lines, body=chunks))
    assert event["body"] == "abcde"
    assert "transfer-encoding" not in event["headers"]


def test_trailer_is_not_a_header(stack: RunningStack) -> None:
    """uvicorn adds trailers of the same packet to the headers: a trailer could choose the tenant."""
    lines = ["POST /reply HTTP/1.1", "host: faults", "content-type: text/plain", "transfer-encoding: chunked"]
    event = event_of(send(stack, *lines, body=b"1\r\nx\r\n0\r\nx-tenant-id: green\r\nhost: other\r\n\r\n"))
    assert "x-tenant-id" not in event["headers"]
    assert event["headers"]["host"] == ["faults"]


def test_trailing_question_mark_arrives(stack: RunningStack) -> None:
    event = event_of(send(stack, "GET /reply? HTTP/1.1", "host: faults"))
    assert event["path"] == "/reply?"
    assert "queryStringParameters" not in event
    event = event_of(send(stack, "GET /v1? HTTP/1.1", "host: faults"))
    assert (event["raw_path"], event["query_string_parameters"]) == ("/v1?", {})


def test_absolute_target_replaces_the_host(stack: RunningStack) -> None:
    event = event_of(send(stack, "GET http://localhost:1/reply?a=%2F HTTP/1.1", "host: faults"))
    assert (event["path"], event["headers"]["host"]) == ("/reply?a=%2F", ["localhost:1"])


def test_fragment_is_refused(stack: RunningStack) -> None:
    assert send(stack, "GET /reply#top HTTP/1.1", "host: faults")[0] == 400


def test_asterisk_target_is_for_options_only(stack: RunningStack) -> None:
    assert send(stack, "OPTIONS * HTTP/1.1", "host: faults")[0] == 404  # of the listener's default action
    assert send(stack, "GET * HTTP/1.1", "host: faults")[0] == 400


def test_unknown_transfer_coding_is_refused(stack: RunningStack) -> None:
    lines = ["POST /reply HTTP/1.1", "host: faults", "transfer-encoding: gzip, chunked"]
    assert send(stack, *lines, body=b"0\r\n\r\n")[0] == 400


def test_head_over_256_kib_is_refused(stack: RunningStack) -> None:
    assert send(stack, "GET /reply HTTP/1.1", "host: faults", *(f"x-{n}: {'y' * 1000}" for n in range(262)))[0] == 431


def test_repeated_host_is_refused(stack: RunningStack) -> None:
    assert send(stack, "GET /reply HTTP/1.1", "host: a", "host: b")[0] == 400


def test_missing_host_is_refused(stack: RunningStack) -> None:
    assert send(stack, "GET /reply HTTP/1.1")[0] == 400


def test_content_length_with_chunks_is_refused(stack: RunningStack) -> None:
    lines = ["POST /reply HTTP/1.1", "host: faults", "content-length: 3", "transfer-encoding: chunked"]
    assert send(stack, *lines, body=b"0\r\n\r\n")[0] == 400


def test_websocket_is_refused(stack: RunningStack) -> None:
    lines = ["GET /reply HTTP/1.1", "host: faults", "connection: keep-alive, Upgrade", "upgrade: h2c, WebSocket"]
    status, _, body = send(stack, *lines)
    assert status == 400
    assert b"no WebSocket" in body


@pytest.mark.parametrize(
    "lines",
    [
        ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"],
        ["upgrade: websocket"],  # without `connection: upgrade` it is no offer: RFC 9110 §7.8
    ],
)
def test_other_upgrade_is_ignored(stack: RunningStack, lines: list[str]) -> None:
    event = event_of(send(stack, "GET /reply HTTP/1.1", "host: faults", *lines))
    assert event["headers"].keys() == {"host", "x-forwarded-for"}


def test_spaces_around_a_header_are_removed(stack: RunningStack) -> None:
    event = event_of(send(stack, "GET /reply HTTP/1.1", "host: faults", "x-tenant-id: \t blue \t"))
    assert event["headers"]["x-tenant-id"] == ["blue"]


def test_grpc_is_refused(stack: RunningStack) -> None:
    status, _, body = send(stack, "POST /reply HTTP/1.1", "host: faults", "content-type: application/grpc+proto")
    assert status == 400
    assert b"no gRPC" in body


def test_announced_body_over_the_limit_is_refused_unread(stack: RunningStack) -> None:
    status, headers, body = send(stack, "POST /reply HTTP/1.1", "host: faults", f"content-length: {6 * 2**20 + 1}")
    assert (status, headers["connection"][0]) == (413, "close")
    assert b"6291456" in body


def test_endless_body_is_refused_at_the_limit(stack: RunningStack) -> None:
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    status, _, body = send(
        stack, "POST /reply HTTP/1.1", "host: faults", "transfer-encoding: chunked", body=chunk * 6 + chunk
    )
    assert status == 413
    assert b"bytes were streamed" in body


def test_body_too_large_as_base64_is_refused(stack: RunningStack) -> None:
    body = b"\xff" * (6 * 2**20)
    status, _, text = send(stack, "POST /reply HTTP/1.1", "host: faults", f"content-length: {len(body)}", body=body)
    assert status == 413
    assert b"bytes of JSON" in text


def test_large_body_within_the_limit_arrives(stack: RunningStack) -> None:
    body = b"x" * (2 * 2**20)
    lines = ["POST /reply HTTP/1.1", "host: faults", "content-type: text/plain", f"content-length: {len(body)}"]
    assert event_of(send(stack, *lines, body=body))["body"] == body.decode()


def test_two_cookies_are_two_headers(stack: RunningStack) -> None:
    status, headers, body = send(stack, "GET /cookies HTTP/1.1", "host: faults")
    assert (status, headers["set-cookie"], body) == (200, ["a=1", "b=2"], b"ok")
    assert headers["content-length"] == ["2"]
    assert "date" in headers


def test_head_request_gets_headers_only(stack: RunningStack) -> None:
    """The response has no length, since the length of a GET's response is not known (RFC 9110 §8.6)."""
    status, headers, body = send(stack, "HEAD /cookies HTTP/1.1", "host: faults")
    assert (status, body) == (200, b"")
    assert "content-length" not in headers


def test_response_and_event_have_the_same_request_id(stack: RunningStack) -> None:
    answer = send(stack, "GET /reply HTTP/1.1", "host: faults")
    assert answer[1]["x-amzn-requestid"] == [event_of(answer)["requestId"]]


# ---- pages of other sites -------------------------------------------------------------------------------------------


def ports(stack: RunningStack) -> dict[str, str]:
    """Returns a URL of each kind of server, whose request would have an effect."""
    found = stack.invoke("echo", {}).json()
    return {
        "front": f"{stack.front}/reply",
        "lambda": f"{stack.lambda_url}/2015-03-31/functions/echo/invocations",
        "runtime": f"http://{found['environ']['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next",
    }


@pytest.mark.parametrize("server", ["front", "lambda", "runtime"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8080"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_page_of_another_site_reaches_no_port(stack: RunningStack, server: str, headers: dict[str, str]) -> None:
    """Trap G1: with DNS rebinding, a page could invoke functions as any tenant, and read the responses."""
    answer = opened(ports(stack)[server], headers, None, "GET")
    assert answer.status == 403
    assert b"Forbidden" in answer.body
    assert b" Fix: " in answer.body


def test_runtime_api_accepts_the_longest_header_of_awslambdaric(stack: RunningStack) -> None:
    """It is up to 1 MiB of an error. If it is refused, the process ends and the error is lost."""
    address = stack.invoke("echo", {}).json()["environ"]["AWS_LAMBDA_RUNTIME_API"]
    headers = {"lambda-runtime-function-xray-error-cause": "x" * (2**20 - 1)}
    answer = opened(f"http://{address}/2018-06-01/runtime/invocation/unknown/error", headers, b"{}", "POST")
    assert (answer.status, answer.json()["errorType"]) == (403, "Forbidden")  # of the API itself: it has been read


def test_page_of_this_machine_reaches_the_front(stack: RunningStack) -> None:
    headers = {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}
    assert opened(f"{stack.front}/reply", headers, None, "GET").status == 200


def test_service_name_is_a_host_of_the_front_only(stack: RunningStack) -> None:
    """Trap G1: the AWS endpoint and the Runtime APIs admit no names of the template."""
    status = {server: opened(url, {"host": "faults"}, None, "POST").status for server, url in ports(stack).items()}
    assert status == {"front": 200, "lambda": 403, "runtime": 403}


# ---- the log --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["POST /a HTTP/1.1", "host: faults", "content-length: 9999999"], "front: POST /a: 413: Content Too Large: "),
        (["GET /b HTTP/1.1", "host: evil.example"], ": GET /b: 403: Forbidden: Host 'evil.example' is not a name"),
        (["GET /c HTTP/1.1", "host: a", "host: b"], ": GET /c: 400: Bad Request: the Host header occurs 2 times"),
        (["GET /d HTTP/9.9", "host: faults"], ": unread request: 400: Bad Request: not HTTP/1.1: Invalid HTTP version"),
        (["GET /raises HTTP/1.1", "host: faults"], "front: GET /raises: 502: arn:aws:lambda:us-east-1:123456789012:"),
        (
            ["GET /e HTTP/1.1", "host: faults", "authorization: AWS4-HMAC-SHA256 x"],
            "front: GET /e: 403: IncompleteSignatureException: x-amz-content-sha256 occurs 0 times. "
            "Fix: add -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'",
        ),
    ],
)
def test_refusal_is_logged_with_the_reason(stack: RunningStack, lines: list[str], shown: str) -> None:
    before = len(stack.lines)
    send(stack, *lines)
    assert waited_for(lambda: any(shown in line.get("message", "") for line in stack.lines[before:])), stack.lines[
        before:
    ]


def waited_for(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_request_without_a_rule_gets_the_default_action(stack: RunningStack) -> None:
    assert send(stack, "GET /nowhere HTTP/1.1", "host: faults")[0] == 404


@pytest.mark.parametrize(
    "line", ["GET", "GET /reply", "\x00", "GET /\x00 HTTP/1.1", "GET /é HTTP/1.1", "GET /reply HTTP/2.0"]
)
def test_malformed_http_is_refused_and_the_front_continues(stack: RunningStack, line: str) -> None:
    address = urlsplit(stack.front)
    with socket.create_connection((str(address.hostname), address.port), timeout=20) as connection:
        connection.sendall(line.encode() + b"\r\nhost: faults\r\n\r\n")
        assert b" 400 " in connection.recv(65536).partition(b"\r\n")[0] + b" "
    assert stack.get("/reply").status == 200
