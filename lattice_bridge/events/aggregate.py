"""Aggregates of the Kinesis Producer Library: many records in the data of one, and so perhaps many tenants.

Rule: strict. A field that is unknown, that occurs twice or that names nothing is refused: another reader could see
another record in it. Nothing is decided here.
Source: "KPL Aggregated Record Format" in the library's repository: a magic number, a message of Protocol Buffers, and
its MD5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import md5
from typing import Final, NamedTuple

from lattice_bridge.errors import BadRequest

MAGIC: Final = b"\xf3\x89\x9a\xc2"
MOST_PARTS: Final = 10_000
"""Records of an aggregate, and of a batch after its aggregates were split. An event of 6 MB could contain 700,000."""

_KEY: Final = 256
"""Characters of a partition key, as of one that is not in an aggregate. All records of an aggregate may have one key:
10,000 invocations with a key of 1 MiB are 10 GiB."""
_HASH_KEY: Final = re.compile(r"[0-9]{1,39}")
_MD5: Final = 16
_VARINT, _BYTES = 0, 2
"""Wire types of Protocol Buffers."""


class Part(NamedTuple):
    """A record in an aggregate."""

    partition_key: str
    explicit_hash_key: str | None
    data: bytes


def is_aggregate(data: bytes) -> bool:
    """Whether data is an aggregate. Without the right MD5 it only begins with the same bytes: AWS's own readers decide
    so too."""
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + _MD5:
        return False
    return md5(data[len(MAGIC) : -_MD5], usedforsecurity=False).digest() == data[-_MD5:]


def parts_of(data: bytes) -> list[Part]:
    """The records of an aggregate, in order; at least one.

    Args:
        data: for which `is_aggregate` is true.

    Raises:
        BadRequest: `aggregate_unreadable`.
    """
    try:
        return _parts(data[len(MAGIC) : -_MD5])
    except (ValueError, IndexError) as error:
        raise BadRequest("aggregate_unreadable", f"the record's aggregate cannot be read: {error}") from error


def _parts(message: bytes) -> list[Part]:
    keys: list[str] = []
    hash_keys: list[str] = []
    records: list[bytes] = []
    for number, value in _fields(message):
        if not isinstance(value, bytes) or number not in (1, 2, 3):
            raise ValueError(f"field {number} is unknown")
        if number == 3:
            records.append(value)
        else:
            (keys if number == 1 else hash_keys).append(value.decode())
    if not 1 <= len(records) <= MOST_PARTS:
        raise ValueError(f"it contains {len(records):,} records, and must contain 1 to {MOST_PARTS:,}")
    return [_part(record, keys, hash_keys) for record in records]


def _part(message: bytes, keys: list[str], hash_keys: list[str]) -> Part:
    found: dict[int, int | bytes] = {}
    for number, value in _fields(message):
        if number == 4 and isinstance(value, bytes):
            continue  # a tag, of which there may be several, and which no reader of AWS returns
        if number in found or isinstance(value, bytes) != (number == 3) or number not in (1, 2, 3):
            raise ValueError(f"field {number} of a record is unknown, or occurs twice")
        found[number] = value
    key, data, hash_key = found.get(1), found.get(3), found.get(2)
    if not isinstance(key, int) or not isinstance(data, bytes):
        raise ValueError("a record has no partition key, or no data")
    if not 1 <= len(keys[key]) <= _KEY:
        raise ValueError(f"a partition key has {len(keys[key]):,} characters, and must have 1 to {_KEY}")
    if not isinstance(hash_key, int):
        return Part(keys[key], None, data)
    if _HASH_KEY.fullmatch(hash_keys[hash_key]) is None:
        raise ValueError("an explicit hash key is no number of 128 bits")
    return Part(keys[key], hash_keys[hash_key], data)


# ---- Protocol Buffers -----------------------------------------------------------------------------------------------


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The number and the value of each field. The format of aggregates has only two wire types."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire_type = tag >> 3, tag & 7
        value, place = _varint(message, place)
        if wire_type == _VARINT:
            yield number, value
            continue
        if wire_type != _BYTES or value > len(message) - place:
            raise ValueError(f"field {number} has another type, or ends after the message")
        yield number, message[place : place + value]
        place += value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, the lowest first, and the place after it."""
    found = 0
    for shift in range(0, 64, 7):
        byte = message[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, place
    raise ValueError("an integer is too long")
