"""The reader of answers, compared with http.client where that is strict enough."""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.http.http1 import Answer, AnswerTooLarge, BadAnswer, ReceiveBuffer, read_answer
from tests.support.examples import examples

LIMIT = 10_000
OK = b"HTTP/1.1 200 OK\r\n"


def reading(*pieces: bytes) -> ReceiveBuffer:
    left: Iterator[bytes] = iter(pieces)
    return ReceiveBuffer(lambda: next(left, b""), 2 * LIMIT)


def read(*pieces: bytes) -> Answer:
    return read_answer(reading(*pieces), LIMIT)


class _Channel:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def by_the_library(data: bytes) -> tuple[int, bytes, str | None]:
    with http.client.HTTPResponse(cast("Any", _Channel(data)), method="POST") as response:
        response.begin()
        return response.status, response.read(), response.headers["x-amz-function-error"]


names = st.text("abcXYZ-1!", min_size=1, max_size=8).filter(lambda name: name.lower() != "connection")
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An answer, and its body."""
    body = draw(st.binary(max_size=60))
    headers = draw(st.lists(st.tuples(names, values), max_size=5))
    if draw(st.booleans()):
        headers.append(("X-Amz-Function-Error", "Unhandled"))
    space = draw(st.sampled_from([" ", "", "\t "]))
    lines = "".join(f"{name}:{space}{value}\r\n" for name, value in headers).encode()
    status = draw(st.sampled_from([b"200 OK", b"202 Accepted", b"429 Too Many", b"500 ", b"503"]))
    head = b"HTTP/1.1 " + status + b"\r\n" + lines
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=3)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True) if start < end]
    chunks = b"".join(b"%x\r\n" % len(part) + part + b"\r\n" for part in parts)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", body


@settings(max_examples=examples(125))
@given(answers(), st.lists(st.integers(0, 400), max_size=6))
def test_answer_in_any_pieces_equals_http_clients(answer: tuple[bytes, bytes], cuts: list[int]) -> None:
    data, body = answer
    places = sorted({cut for cut in cuts if 0 < cut < len(data)})
    pieces = [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
    found = read(*pieces)
    assert found == read(data)
    assert found.body == body
    assert (found.status, found.body, found.headers.get("x-amz-function-error")) == by_the_library(data)
    assert not found.is_last


@settings(max_examples=examples(125))
@given(answers(), answers())
def test_bytes_after_an_answer_are_the_next_one(one: tuple[bytes, bytes], two: tuple[bytes, bytes]) -> None:
    """Trap D15."""
    both = reading(one[0] + two[0])
    first = read_answer(both, LIMIT)
    assert (first.body, first.is_last) == (one[1], True)
    assert read_answer(both, LIMIT).body == two[1]
    assert both.is_empty


@settings(max_examples=examples(250))
@given(st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from([OK, b"\r\n", b"\r\n\r\n", b"0\r\n"]), max_size=6))
def test_random_bytes_are_refused(pieces: list[bytes]) -> None:
    try:
        found = read(*pieces)
    except (BadAnswer, AnswerTooLarge):
        return
    assert 200 <= found.status <= 599


@settings(max_examples=examples(125))
@given(answers(), st.data())
def test_truncated_answer_is_refused(answer: tuple[bytes, bytes], data: st.DataObject) -> None:
    """Trap D15."""
    end = data.draw(st.integers(0, len(answer[0]) - 1))
    with pytest.raises(BadAnswer):
        read(answer[0][:end])


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
        b"HTTP/1.1  200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"http/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/2 200\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 600 OK\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"content-length : 2\r\n\r\n{}",
        OK + b" content-length: 2\r\n\r\n{}",
        OK + b"x: y\r\n z\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"x: y\rz: 1\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"x: y\nz: 1\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"x: \x00\r\ncontent-length: 2\r\n\r\n{}",
        OK + b": y\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"content-length: +2\r\n\r\n{}",
        OK + b"content-length: 0x2\r\n\r\n{}",
        OK + b"content-length: 2 2\r\n\r\n{}",
        OK + "content-length: ²".encode() + b"\r\n\r\n{}",
        OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"transfer-encoding: identity\r\n\r\n{}",
        OK + b"transfer-encoding: chunked\r\n\r\n 2\r\n{}\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n000000002\r\n{}\r\n0\r\n\r\n",
    ],
    ids=lambda head: repr(head[15:70]),
)
def test_ambiguous_answer_is_refused(head: bytes) -> None:
    """Traps D14, D15."""
    with pytest.raises(BadAnswer):
        read(head)


def test_kelvin_sign_is_refused() -> None:
    with pytest.raises(BadAnswer):
        read(OK + "transfer-encoding: chun\u212aed".encode() + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.0 200 OK\r\n", OK + b"Connection: keep-alive, Close\r\n", OK + b"connection: close\r\n"]
)
def test_answer_with_connection_close_is_last(head: bytes) -> None:
    assert read(head + b"content-length: 0\r\n\r\n").is_last


def test_status_100_is_skipped_and_other_interim_refused() -> None:
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 1\r\n\r\nx").body == b"x"
    with pytest.raises(BadAnswer):
        read(b"HTTP/1.1 102 Processing\r\n\r\n" + OK + b"content-length: 1\r\n\r\nx")
    with pytest.raises(AnswerTooLarge):
        read(b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK + b"content-length: 1\r\n\r\nx")


def test_trailers_are_dropped() -> None:
    data = OK + b"transfer-encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nx-amz-function-error: Unhandled\r\n\r\n"
    assert read(data) == Answer(200, {"transfer-encoding": "chunked"}, b"x")


@pytest.mark.parametrize("head", [b"content-length: 10001\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n2711\r\n"])
def test_body_over_the_limit_is_refused(head: bytes) -> None:
    """Trap D9."""
    with pytest.raises(AnswerTooLarge):
        read(OK + head)


def test_header_of_spaces_is_read_in_linear_time() -> None:
    """Trap D9: with a pattern for the spaces on both sides, 16 KiB took a second."""
    found = read(OK + b"x: " + b" " * 60_000 + b"\r\ncontent-length: 0\r\n\r\n")
    assert found.headers["x"] == ""
    with pytest.raises(BadAnswer):
        read(OK + b"x: " + b" " * 60_000 + b"\x00\r\ncontent-length: 0\r\n\r\n")


def test_answer_in_one_piece_is_received_once_and_not_kept() -> None:
    """An idle connection would keep the piece."""
    received = 0

    def receive() -> bytes:
        nonlocal received
        received += 1
        return OK + b"content-length: 2\r\n\r\n{}"

    buffer = ReceiveBuffer(receive, 2 * LIMIT)
    for number in (1, 2):
        assert read_answer(buffer, LIMIT) == Answer(200, {"content-length": "2"}, b"{}")
        assert (received, buffer._piece) == (number, b"")


def test_name_that_occurs_twice_in_any_case_has_both_values() -> None:
    found = read(OK + b"X-a: 1\r\ncontent-length: 0\r\nx-A:\t2 \r\nx-a:\r\n\r\n")
    assert found.headers == {"x-a": "1, 2, ", "content-length": "0"}
