"""A stream as an event source mapping reads it: shards, and their records in order.

Rule: the mapping keeps the position. A stream does not know who reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """A record of a shard.

    Attributes:
        number: its sequence number. Numbers ascend within a shard.
        key: records with one key keep their order, also if a shard is read by several batches at a time: the partition
            key, or the item's key.
        arrived: seconds since the epoch.
        content: the record as Lambda delivers it.
        size: bytes of the content.
    """

    number: int
    key: str
    arrived: float
    content: Mapping[str, Any]
    size: int


class Shard(Protocol):
    """Records in the order of their sequence numbers."""

    @property
    def id(self) -> str: ...

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of the shards that must be read to their end before this one."""

    @property
    def is_closed(self) -> bool:
        """Whether no record will be added."""

    @property
    def last_number(self) -> int:
        """The sequence number after which new records come; 0 for a shard that never had one."""

    def after(self, number: int, limit: int) -> Sequence[StreamRecord]:
        """The oldest records with a higher number, that have not expired; at most `limit`."""

    def count(self, after: int = 0) -> int:
        """How many records with a higher number have not expired."""

    async def wait(self, number: int, until: float) -> None:
        """Returns when a record with a higher number is there, when the shard is closed, or at `until`.

        Args:
            number: of the last record that was read.
            until: seconds since the epoch.
        """


class Stream(Protocol):
    """A stream of Kinesis, or of a table."""

    @property
    def arn(self) -> str: ...

    def shards(self) -> Sequence[Shard]:
        """The shards that have records, or may get some. Parents come before their children."""
