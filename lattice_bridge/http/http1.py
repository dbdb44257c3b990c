"""One HTTP/1.1 answer, read to its last byte.

Rule: an answer whose end could be read in two ways is none, and neither is one with a line that could be two. Nothing
is skipped, unfolded or guessed: what an answer is not quite is the beginning of another tenant's.
Source: RFC 9112. http.client takes more than that for an answer, and reads headers through the parser for e-mail, which
was a third of an invocation's processor time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head, of a chunk's size line, or of all trailers."""

MAX_LINES: Final = 100
MAX_INTERIM: Final = 8
"""`100 Continue` answers that are passed over before the one."""

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t -~\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_LENGTH: Final = re.compile(r"[0-9]+")
_DIGITS: Final = 15
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~]*)?")


class BadAnswer(Exception):
    """What came is not one HTTP answer with a certain end."""


class AnswerTooLarge(Exception):
    """The answer is larger than allowed, or says that it will be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        status: of its status line; 200 or more.
        headers: by their names in lower case; the values of a name that occurs twice are joined with `, `.
        body: to its end.
        is_last: the server will say no more on this connection, or nobody can tell.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_last: bool = False


class Reading:
    """What a connection has sent and nobody has read.

    Args:
        receive: the next bytes, at least one; none at the connection's end. May raise OSError.
        most: bytes that an answer may have in all, its head and its chunks' frames included.
    """

    def __init__(self, receive: Callable[[], bytes], most: int) -> None:
        self._receive = receive
        self._most = most
        self._held = bytearray()
        self._received = 0

    def begin(self) -> None:
        """Another answer: its bytes are counted anew."""
        self._received = len(self._held)

    @property
    def is_empty(self) -> bool:
        """All that was received was read."""
        return not self._held

    def until(self, end: bytes, most: int) -> bytes:
        """The bytes before `end`, which is read as well."""
        start = 0
        while (found := self._held.find(end, start)) < 0:
            if len(self._held) > most:
                raise BadAnswer("a line without end")
            start = max(0, len(self._held) - len(end) + 1)
            self._more()
        if found > most:
            raise BadAnswer("a line without end")
        line = bytes(self._held[:found])
        del self._held[: found + len(end)]
        return line

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        if len(self._held) >= size:
            data = bytes(self._held[:size])
            del self._held[:size]
            return data
        parts, missing = [bytes(self._held)], size - len(self._held)
        self._held.clear()
        while missing > 0:
            part = self._next()
            parts.append(part[:missing])
            self._held += part[missing:]
            missing -= len(part)
        return b"".join(parts)

    def _more(self) -> None:
        self._held += self._next()

    def _next(self) -> bytes:
        if self._received > self._most:
            raise AnswerTooLarge
        part = self._receive()
        if not part:
            raise BadAnswer("the connection ended before the answer did")
        self._received += len(part)
        return part


def read_answer(reading: Reading, limit: int) -> Answer:
    """The next answer to a POST.

    Args:
        reading: where it comes from.
        limit: bytes that its body may have.

    Raises:
        BadAnswer: it is none, or ends before its end.
        AnswerTooLarge: it is over the limit.
        OSError: what receiving raises.
    """
    reading.begin()
    for _ in range(MAX_INTERIM):
        version, status, headers = _head(reading.until(b"\r\n\r\n", MAX_HEAD))
        if status != 100:
            break
    else:
        raise AnswerTooLarge
    if status < 200:
        raise BadAnswer("an interim answer")
    closes = version == 0 or "close" in [word.strip() for word in headers.get("connection", "").lower().split(",")]
    if status in (204, 304):  # they have no body, whatever they say: nobody can tell what follows
        return Answer(status, headers, b"", is_last=True)
    body = _body(reading, headers, limit)
    return Answer(status, headers, body, is_last=closes or not reading.is_empty)


def _head(text: bytes) -> tuple[int, int, dict[str, str]]:
    first, *lines = text.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None or len(lines) > MAX_LINES:
        raise BadAnswer("no status line, or too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:  # a folded line among them: one header to some, to others two
            raise BadAnswer("a header that cannot be read")
        name, value = field[1].decode("ascii").lower(), field[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return int(status[1]), int(status[2]), headers


def _body(reading: Reading, headers: Mapping[str, str], limit: int) -> bytes:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise BadAnswer("two readings of the answer's length")
        return _chunks(reading, limit)
    # Without one it would end with the connection, where a broken one ends just so. Two are joined, and are no number.
    if length is None or _LENGTH.fullmatch(length) is None:
        raise BadAnswer("an answer without a length")
    if len(length) > _DIGITS or int(length) > limit:
        raise AnswerTooLarge
    return reading.exactly(int(length))


def _chunks(reading: Reading, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        line = _CHUNK.fullmatch(reading.until(b"\r\n", MAX_HEAD))
        if line is None:
            raise BadAnswer("a chunk without a size")
        chunk = int(line[1], 16)
        if chunk == 0:
            break
        size += chunk
        if size > limit:
            raise AnswerTooLarge
        parts.append(reading.exactly(chunk))
        if reading.exactly(2) != b"\r\n":
            raise BadAnswer("a chunk that does not end where it says")
    left = MAX_HEAD
    while trailer := reading.until(b"\r\n", left):  # trailers are read over: nobody asked for any
        left -= len(trailer)
        if left <= 0:
            raise AnswerTooLarge
    return b"".join(parts)
