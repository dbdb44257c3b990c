"""Reader of HTTP/1.1 answers: bytes from a connection in, one whole answer out.

Rule: an answer is refused if its end could be read in two ways, or if one of its lines could be read as two. The reader
skips, unfolds and guesses nothing: a misread answer could leak bytes into the next tenant's answer.
Source: RFC 9112. http.client accepts more than that, and reads headers with the parser for e-mail, which took a third
of an invocation's processor time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

MAX_HEAD: Final = 64 * 1024
"""Bytes that a head, a chunk's size line, or all trailers together may have."""

MAX_LINES: Final = 100
"""Header lines of an answer."""

MAX_INTERIM: Final = 8
"""`100 Continue` answers that are skipped before the final answer."""

_STATUS: Final = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*+)?+(?=\r\n|\Z)")
_FIELD: Final = re.compile(r"\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]++):([\t -~\x80-\xff]*+)(?=\r\n|\Z)")
_DIGITS: Final = 15
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~]*)?")


class BadAnswer(Exception):
    """The bytes are not one HTTP answer with an unambiguous end. The message is a constant, without received bytes."""


class AnswerTooLarge(Exception):
    """The answer, or the length that it announces, is over the limit."""


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: from the status line; 200 or more.
        headers: values by name, in lower case. If a name occurs twice, its values are joined with `, `.
        body: the whole body, without the chunks' frames.
        is_last: the connection must not be used again: the server closes it, or its state is unknown.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_last: bool = False


class ReceiveBuffer:
    """The bytes that a connection has received and that no answer has used yet.

    Most answers come in one piece: their head and their body are slices of it.

    Args:
        receive: returns the next bytes, at least one, or none at the connection's end. May raise OSError.
        most: bytes that an answer may have in all, including its head and its chunks' frames.
    """

    __slots__ = ("_at", "_most", "_piece", "_receive", "_received")

    def __init__(self, receive: Callable[[], bytes], most: int) -> None:
        self._receive = receive
        self._most = most
        self._piece = b""
        self._at = 0  # where the unused bytes of the piece begin
        self._received = 0

    def begin(self) -> None:
        """Begins another answer: waits for its first bytes, and counts all of them."""
        self._received = len(self._piece) - self._at
        if not self._received:
            self._piece, self._at = self._next(), 0

    @property
    def is_empty(self) -> bool:
        """All received bytes were used."""
        return self._at == len(self._piece)

    def until(self, end: bytes, most: int) -> bytes:
        """Takes the bytes up to `end`, and drops `end`. Returns them without it.

        Raises:
            BadAnswer: `end` does not occur within `most` bytes.
        """
        found = self._piece.find(end, self._at)
        if found < 0:
            found = self._receive_until(end, most)
        start, self._at = self._at, found + len(end)
        if found - start > most:
            raise BadAnswer("a line is too long")
        return self._piece[start:found]

    def exactly(self, size: int) -> bytes:
        """Takes `size` bytes."""
        start, end = self._at, self._at + size
        if end <= len(self._piece):
            data, self._at = self._piece[start:end], end
        else:
            data = self._received_exactly(size)
        if self._at == len(self._piece):
            self._piece, self._at = b"", 0  # an idle connection would keep it
        return data

    def _received_exactly(self, size: int) -> bytes:
        parts = [self._piece[self._at :]]
        missing = size - len(parts[0])
        while missing > 0:
            self._piece = self._next()
            parts.append(self._piece[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def _receive_until(self, end: bytes, most: int) -> int:
        """Receives until the unused bytes contain `end`, and returns its place."""
        unused, start = bytearray(self._piece[self._at :]), 0
        while (found := unused.find(end, start)) < 0:
            if len(unused) > most:
                raise BadAnswer("a line is too long")
            start = max(0, len(unused) - len(end) + 1)
            unused += self._next()
        self._piece, self._at = bytes(unused), 0
        return found

    def _next(self) -> bytes:
        if self._received > self._most:
            raise AnswerTooLarge
        part = self._receive()
        if not part:
            raise BadAnswer("the connection ended within the answer")
        self._received += len(part)
        return part


def read_answer(received: ReceiveBuffer, limit: int) -> Answer:
    r"""Reads the next answer, to a request of any method but HEAD and CONNECT.

    Args:
        received: the connection's bytes.
        limit: bytes that the body may have.

    Raises:
        BadAnswer: it is not an answer, or is cut off.
        AnswerTooLarge: it is over the limit.
        OSError: raised by receiving.

    >>> read_answer(ReceiveBuffer(iter([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]).__next__, 1000), 10)
    Answer(status=200, headers={'content-length': '2'}, body=b'{}', is_last=False)
    """
    received.begin()
    for _ in range(MAX_INTERIM):
        version, status, headers = _head(received.until(b"\r\n\r\n", MAX_HEAD))
        if status != 100:
            break
    else:
        raise AnswerTooLarge
    if status < 200:
        raise BadAnswer("an interim answer instead of a final one")
    closes = version == "0" or _closes(headers.get("connection", ""))
    if status in (204, 304):  # no body, whatever the headers announce; what follows is unknown
        return Answer(status, headers, b"", is_last=True)
    body = _body(received, headers, limit)
    return Answer(status, headers, body, is_last=closes or not received.is_empty)


def _closes(connection: str) -> bool:
    return connection != "" and "close" in [word.strip() for word in connection.lower().split(",")]


def _head(head: bytes) -> tuple[str, int, dict[str, str]]:
    """The version's last digit, the status and the headers.

    One search finds all fields. Each match begins with a line end and contains no other, so there are as many as lines
    only if every line is a field. A line that is not one may be folded: some read one header, others two.
    """
    text = head.decode("latin-1")
    status, fields = _STATUS.match(text), _FIELD.findall(text)
    if status is None or len(fields) > MAX_LINES:
        raise BadAnswer("no status line, or too many header lines")
    if len(fields) != text.count("\r\n"):
        raise BadAnswer("a header line that cannot be read")
    headers = {name.lower(): value.strip(" \t") for name, value in fields}
    if len(headers) < len(fields):
        headers = _joined(fields)
    version, code = status.groups()
    return version, int(code), headers


def _joined(fields: list[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in fields:
        known, value = headers.get(name.lower()), value.strip(" \t")
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    return headers


def _body(received: ReceiveBuffer, headers: Mapping[str, str], limit: int) -> bytes:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise BadAnswer("a length that can be read in two ways")
        return _chunks(received, limit)
    # Without a length, the end of the connection would end the answer, and a broken connection looks the same. Two
    # lengths are joined by now, and are not a number.
    if length is None or not (length.isascii() and length.isdigit()):
        raise BadAnswer("an answer without a length")
    if len(length) > _DIGITS or int(length) > limit:
        raise AnswerTooLarge
    return received.exactly(int(length))


def _chunks(received: ReceiveBuffer, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        line = _CHUNK.fullmatch(received.until(b"\r\n", MAX_HEAD))
        if line is None:
            raise BadAnswer("a chunk without a size")
        chunk = int(line[1], 16)
        if chunk == 0:
            break
        size += chunk
        if size > limit:
            raise AnswerTooLarge
        parts.append(received.exactly(chunk))
        if received.exactly(2) != b"\r\n":
            raise BadAnswer("a chunk without its end")
    left = MAX_HEAD
    while trailer := received.until(b"\r\n", left):  # trailers are dropped
        left -= len(trailer)
        if left <= 0:
            raise AnswerTooLarge
    return b"".join(parts)
