"""CBOR, as far as AWS's JSON protocols have it: the Java SDK sends `application/x-amz-cbor-1.1` to Kinesis.

Rule: what is read has the types of JSON, and bytes and times besides. Everything else is refused.
Source: RFC 8949. In this protocol, a time is the tag 1 with whole milliseconds, as the SDKs for Java write it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

MEDIA_TYPE: Final = "application/x-amz-cbor-1.1"

_DEPTH: Final = 32
_MOST_VALUES: Final = 100_000
"""An empty map has one byte, and takes 64 bytes of memory. A request of 500 records has some thousand values."""
_EPOCH: Final = 1
"""The tag of a time."""
_BREAK: Final = object()
_SIMPLE: Final = {20: False, 21: True, 22: None, 23: None}
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}


class BadCbor(ValueError):
    """Not CBOR, or a part of it that AWS's protocols do not have."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time.

    Attributes:
        seconds: since the epoch.
    """

    seconds: float


def written(value: Any) -> bytes:
    """The CBOR of a value with the types of JSON, bytes and times."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    if value is None or isinstance(value, bool):
        parts.append({False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value])
    elif isinstance(value, int):
        parts.append(_head(0, value) if value >= 0 else _head(1, -1 - value))
    elif isinstance(value, float):
        parts.append(b"\xfb" + struct.pack(">d", value))
    elif isinstance(value, bytes):
        parts += (_head(2, len(value)), value)
    elif isinstance(value, str):
        encoded = value.encode()
        parts += (_head(3, len(encoded)), encoded)
    elif isinstance(value, Timestamp):
        parts.append(_head(6, _EPOCH))
        _write(round(value.seconds * 1000), parts)
    elif isinstance(value, Mapping):
        parts.append(_head(5, len(value)))
        for key, each in value.items():
            _write(key, parts)
            _write(each, parts)
    elif isinstance(value, Sequence):
        parts.append(_head(4, len(value)))
        for each in value:
            _write(each, parts)
    else:
        raise TypeError(f"CBOR of {type(value).__name__}")


def _head(major: int, number: int) -> bytes:
    first = major << 5
    if number < 24:
        return bytes([first | number])
    for info, form in ((24, ">BB"), (25, ">BH"), (26, ">BI"), (27, ">BQ")):
        if number < 1 << (8 << (info - 24)):
            return struct.pack(form, first | info, number)
    raise BadCbor("a whole number of more than 64 bits")


def read(content: bytes) -> Any:
    """The value of CBOR.

    Raises:
        BadCbor: not exactly one value of these types.
    """
    reader = _Reader(content)
    value = reader.value(_DEPTH)
    if value is _BREAK or reader.at != len(content):
        raise BadCbor("not one value")
    return value


class _Reader:
    """Reads values one after the other. No length is believed before so many bytes are there."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.at = 0
        self._values = 0

    def value(self, depth: int) -> Any:
        """The next value, or the end of a list without a length."""
        if depth == 0:
            raise BadCbor("too many levels")
        self._values += 1
        if self._values > _MOST_VALUES:
            raise BadCbor("too many values")
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        length = self._number(info)
        if major in (0, 1, 6):
            if length is None:
                raise BadCbor("a number without an end")
            return self._tagged(length, depth) if major == 6 else length if major == 0 else -1 - length
        if major == 2:
            return self._string(2, length)
        if major == 3:
            try:
                return self._string(3, length).decode()
            except UnicodeDecodeError:
                raise BadCbor("a string that is not UTF-8") from None
        return self._list(length, depth) if major == 4 else self._map(length, depth)

    def _take(self, size: int) -> bytes:
        found = self._content[self.at : self.at + size]
        if len(found) < size:
            raise BadCbor("ends too early")
        self.at += size
        return found

    def _number(self, info: int) -> int | None:
        """The number of a head; None for a length that only the end shows."""
        if info < 24:
            return info
        if info < 28:
            return int.from_bytes(self._take(1 << (info - 24)), "big")
        if info == 31:
            return None
        raise BadCbor("a head of no known form")

    def _simple(self, info: int) -> Any:
        if info == 31:
            return _BREAK
        if info in _FLOATS:
            return struct.unpack(_FLOATS[info], self._take(1 << (info - 24)))[0]
        if info not in _SIMPLE:
            raise BadCbor("a simple value of no known meaning")
        return _SIMPLE[info]

    def _tagged(self, tag: int, depth: int) -> Any:
        value = self._present(depth - 1)
        if tag == _EPOCH and isinstance(value, int | float) and not isinstance(value, bool):
            return Timestamp(value / 1000)
        raise BadCbor("a tag other than that of a time")

    def _string(self, major: int, length: int | None) -> bytes:
        if length is not None:
            return self._take(length)
        parts: list[bytes] = []
        while (first := self._take(1)[0]) != 0xFF:
            part = self._number(first & 31) if first >> 5 == major else None
            if part is None:
                raise BadCbor("a string with parts of another type")
            parts.append(self._take(part))
        return b"".join(parts)

    def _list(self, length: int | None, depth: int) -> list[Any]:
        found: list[Any] = []
        while length is None or len(found) < length:
            value = self.value(depth - 1)
            if value is _BREAK:
                if length is None:
                    return found
                raise BadCbor("ends too early")
            found.append(value)
        return found

    def _map(self, length: int | None, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        count = 0
        while length is None or count < length:
            key = self.value(depth - 1)
            if key is _BREAK and length is None:
                return found
            if not isinstance(key, str):
                raise BadCbor("a key that is not a string")
            found[key] = self._present(depth - 1)
            count += 1
        return found

    def _present(self, depth: int) -> Any:
        value = self.value(depth)
        if value is _BREAK:
            raise BadCbor("ends too early")
        return value
