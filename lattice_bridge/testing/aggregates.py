"""Writes aggregates of the Kinesis Producer Library (KPL): many records in the data of one.

Rule: `events/aggregate.py` reads what is written here, and the two share no code. A test compares both with AWS's own
library.
Source: "KPL Aggregated Record Format" in the library's repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import md5

from lattice_bridge.events.aggregate import MAGIC


def aggregate(records: Iterable[tuple[str, bytes]], hash_keys: Sequence[str] = ()) -> bytes:
    """The data that the library puts for several records.

    >>> aggregate([("blue", b"{}"), ("green", b"{}")])[:4].hex()
    'f3899ac2'

    Args:
        records: the partition key and the data of each.
        hash_keys: explicit hash keys. Each record has the first one.
    """
    written = list(records)
    keys = list(dict.fromkeys(key for key, _ in written))
    message = b"".join(field(1, key.encode()) for key in keys) + b"".join(field(2, key.encode()) for key in hash_keys)
    for key, data in written:
        own = integer(1, keys.index(key)) + (integer(2, 0) if hash_keys else b"")
        message += field(3, own + field(3, data))
    return sealed(message)


def sealed(message: bytes) -> bytes:
    """A message with the magic number before it, and its MD5 behind it."""
    return MAGIC + message + md5(message, usedforsecurity=False).digest()


# ---- Protocol Buffers -----------------------------------------------------------------------------------------------


def field(number: int, value: bytes) -> bytes:
    """A field with bytes, a string or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def integer(number: int, value: int) -> bytes:
    """A field with an integer."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """An integer of 7 bits a byte, the lowest first."""
    found = b""
    while value > 0x7F:
        found, value = found + bytes([value & 0x7F | 0x80]), value >> 7
    return found + bytes([value])
