"""Reading a shard, as clients do it: iterators, and the records behind them.

Rule: a reader has nothing but its iterator. It contains the position, and a seal, so that no client makes one up.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

from lattice_bridge.local.aws.kinesis.errors import KinesisError, invalid
from lattice_bridge.local.aws.kinesis.shard import KinesisShard, Record
from lattice_bridge.local.aws.kinesis.stream import KinesisStream

TOKEN_SECONDS: Final = 300
"""After which an iterator, or the token of a next page, has expired."""
MOST_RECORDS: Final = 10_000
MOST_BYTES: Final = 10 * 1024 * 1024
"""Of the data and partition keys of a read; a first record is always read."""


class Seal:
    """Makes tokens that only this stack can have made."""

    def __init__(self) -> None:
        self._key = uuid.uuid4().bytes

    def closed(self, content: Any) -> str:
        """A token with this content, which is JSON."""
        text = json.dumps(content, separators=(",", ":")).encode()
        return base64.b64encode(self._mac(text) + text).decode("ascii")

    def opened(self, token: str) -> Any:
        """The content of a token; None if it was not made here."""
        try:
            found = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            return None
        return json.loads(found[_MAC:]) if self._mac(found[_MAC:]) == found[:_MAC] else None

    def _mac(self, text: bytes) -> bytes:
        return blake2b(text, key=self._key, digest_size=_MAC).digest()


_MAC: Final = 32


@dataclass(frozen=True, slots=True)
class Page:
    """What a read gives.

    Attributes:
        records: in order.
        number: of the last record that the reader has had; None at the end of a closed shard.
        behind: milliseconds from the last record to now; 0 if no record is left to read.
    """

    records: Sequence[Record]
    number: int | None
    behind: int


def read(shard: KinesisShard, number: int, limit: int, now: float) -> Page:
    """Reads the records behind a position.

    Args:
        shard: of the stream.
        number: of the last record that the reader has had.
        limit: records.
        now: seconds since the epoch.
    """
    found: list[Record] = []
    size, more = 0, False
    for record in shard.records(number):
        size += len(record.data) + len(record.partition_key.encode())
        if len(found) == limit or (found and size > MOST_BYTES):
            more = True
            break
        found.append(record)
    position = found[-1].number if found else number
    behind = max(1, round((now - found[-1].arrived) * 1000)) if more else 0
    return Page(found, None if shard.is_closed and not more else position, behind)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader begins.

    Attributes:
        kind: one of ShardIteratorType.
        number: StartingSequenceNumber.
        moment: Timestamp, in seconds since the epoch.
    """

    kind: str
    number: str | None = None
    moment: float | None = None


def position(stream: KinesisStream, shard: KinesisShard, start: Start, now: float) -> int:
    """The number of the last record before the first one that an iterator gives.

    Args:
        stream: of the shard.
        shard: that is read.
        start: as the client asks for it.
        now: seconds since the epoch.

    Raises:
        KinesisError: a kind without what it needs, a number of another shard, or a time to come.
    """
    if start.kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        if start.number is None:
            raise invalid(f"Must specify StartingSequenceNumber for iterator type {start.kind}")
        number = int(start.number)
        if not shard.numbers.has(number):
            where = f"GetShardIterator on shard {shard.id} in stream {stream.name} under account {stream.account}"
            what = f"StartingSequenceNumber {start.number} used in {where} is invalid because it did not come from"
            raise invalid(f"{what} this stream.")
        return number - 1 if start.kind == "AT_SEQUENCE_NUMBER" else number
    if start.kind == "AT_TIMESTAMP":
        if start.moment is None:
            raise invalid("Must specify timestamp for iterator type AT_TIMESTAMP")
        if start.moment > now:
            times = f"timestampInMillis: {start.moment * 1000:.0f}, currentTimestampInMillis: {now * 1000:.0f}"
            what = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis."
            raise invalid(f"{what} {times}")
        return shard.before(start.moment)
    return shard.last_number if start.kind == "LATEST" else 0


def expired(issued: float, now: float) -> KinesisError:
    """The error for an iterator that is too old."""
    what = f"Iterator expired. The iterator was created at time {_date(issued)} while right now it is {_date(now)}"
    limit = f"{TOKEN_SECONDS * 1000} milliseconds."
    text = f"{what} which is further in the future than the tolerated delay of {limit}"
    return KinesisError("ExpiredIteratorException", text)


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
