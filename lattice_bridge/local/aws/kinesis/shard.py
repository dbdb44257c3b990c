"""One shard: records in the order of their arrival, until they expire.

Rule: a record that was accepted can be read until it is older than the retention period. Nothing else removes it but
the deletion of its stream.

The clock is a parameter, so days pass in a moment of a test. Operations take O(log n).
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from lattice_bridge.local.aws.budget import Budget
from lattice_bridge.local.aws.kinesis.sequence import LAST_INDEX, Numbers
from lattice_bridge.local.aws.stream import StreamRecord
from lattice_bridge.local.aws.waiters import Waiters

RECORD_BYTES: Final = 512
"""Bytes of memory that a record takes beside its data."""
SHARD_BYTES: Final = 4096
"""Bytes of memory that an empty shard takes, also a closed one."""

_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode


class Record(NamedTuple):
    """A record of a shard.

    Attributes:
        number: its sequence number.
        partition_key, data: as sent.
        arrived: seconds since the epoch, in whole milliseconds.
    """

    number: int
    partition_key: str
    data: bytes
    arrived: float

    @property
    def memory(self) -> int:
        """Bytes that it takes."""
        return RECORD_BYTES + len(self.data) + 4 * len(self.partition_key)


@dataclass(frozen=True, slots=True)
class HashKeys:
    """The hash keys of a shard.

    Attributes:
        first, last: the lowest and the highest.
    """

    first: int
    last: int

    def __contains__(self, key: int) -> bool:
        return self.first <= key <= self.last


@dataclass(slots=True)
class Retention:
    """How long a stream keeps its records; its shards read it.

    Attributes:
        hours: from 24 to 8,760.
    """

    hours: int = 24

    def horizon(self, now: float) -> float:
        """Records that arrived then, or earlier, have expired."""
        return now - self.hours * 3600


@dataclass(frozen=True, slots=True)
class ShardContext:
    """What the shards of a stream share.

    Attributes:
        now: seconds since the epoch.
        budget: counts the memory.
        retention: of the stream.
        event: a record as Lambda delivers it, from the id of its shard.
    """

    now: Callable[[], float]
    budget: Budget
    retention: Retention
    event: Callable[[str, Record], Mapping[str, Any]]


class KinesisShard:
    """A shard.

    Attributes:
        index: of the shard in its stream.
        id: as in `shardId-000000000000`.
        hash_keys: those of its records.
        parents: the ids of the shard that was split, or of the two that were merged.
        opened: seconds since the epoch.
        closed: when it was closed; None for an open one.
        numbers: makes sequence numbers.
    """

    def __init__(
        self, index: int, hash_keys: HashKeys, context: ShardContext, parents: Sequence[KinesisShard] = ()
    ) -> None:
        self.index = index
        self.id = f"shardId-{index:012}"
        self.hash_keys = hash_keys
        self.parents = tuple(parent.id for parent in parents)
        self._context = context
        context.budget.take(SHARD_BYTES)
        self.opened = context.now()
        self.closed: float | None = None
        after_parents = (parent.numbers.opened + 1 for parent in parents)
        self.numbers: Numbers = Numbers(max((int(self.opened), *after_parents)), index)
        self._records: list[Record] = []
        self._next_index = 1
        self._last_number = 0
        self._last_arrived = 0.0
        self._waiters = Waiters()

    # ---- as an event source mapping reads it ------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether no record will be added."""
        return self.closed is not None

    @property
    def last_number(self) -> int:
        """The number of its last record, also of an expired one; 0 if it never had one."""
        return self._last_number

    def after(self, number: int, limit: int) -> list[StreamRecord]:
        """The oldest records with a higher number, as Lambda delivers them."""
        return [self._delivered(record) for record in islice(self.records(number), limit)]

    def count(self, after: int = 0) -> int:
        """How many records with a higher number have not expired."""
        self.expire()
        return len(self._records) - bisect_right(self._records, after, key=lambda record: record.number)

    async def wait(self, number: int, until: float) -> None:
        """Returns when a record with a higher number is there, when the shard is closed, or at `until`."""
        if not self.is_closed and next(self.records(number), None) is None:
            await self._waiters.wait(until - self._context.now())

    def _delivered(self, record: Record) -> StreamRecord:
        content = self._context.event(self.id, record)
        return StreamRecord(record.number, record.partition_key, record.arrived, content, len(_encoded(content)))

    # ---- records ----------------------------------------------------------------------------------------------------

    def add(self, partition_key: str, data: bytes) -> Record:
        """Stores a record.

        Raises:
            KinesisError: the stack's streams are full.
        """
        now = self._context.now()
        arrived = max(int(now * 1000) / 1000, self._last_arrived)  # the machine's clock may be set back
        record = Record(self.numbers.number(self._next_index, arrived), partition_key, data, arrived)
        self._context.budget.take(record.memory)
        self._records.append(record)
        self._last_number, self._last_arrived = record.number, arrived
        self._next_index += 1
        self._waiters.wake()
        return record

    def records(self, number: int = 0) -> Iterator[Record]:
        """The records with a higher number, the oldest first."""
        self.expire()
        start = bisect_right(self._records, number, key=lambda record: record.number)
        for position in range(start, len(self._records)):
            yield self._records[position]

    def before(self, moment: float) -> int:
        """The number of the last record that arrived before a moment; if there is none, one below all records."""
        self.expire()
        at = bisect_left(self._records, moment, key=lambda record: record.arrived)
        return self._records[at - 1].number if at else 0

    @property
    def has_records(self) -> bool:
        """Whether a record can be read."""
        self.expire()
        return bool(self._records)

    # ---- its life ---------------------------------------------------------------------------------------------------

    @property
    def first_sequence_number(self) -> int:
        """Below the numbers of all its records."""
        return self.numbers.number(0, self.numbers.opened)

    @property
    def last_sequence_number(self) -> int | None:
        """Above the numbers of all its records; None while it is open."""
        return None if self.closed is None else self.numbers.number(LAST_INDEX, self.closed)

    def close(self) -> None:
        """Accepts no more records. Those that it has can be read."""
        self.closed = self._context.now()
        self._waiters.wake()

    def expire(self) -> None:
        """Removes the records that are older than the retention period."""
        horizon = self._context.retention.horizon(self._context.now())
        expired = bisect_right(self._records, horizon, key=lambda record: record.arrived)
        if expired:
            self._context.budget.give(sum(record.memory for record in self._records[:expired]))
            del self._records[:expired]

    def drop(self) -> None:
        """Gives back all its memory, as its stream is deleted or it has expired."""
        self._context.budget.give(sum(record.memory for record in self.records()) + SHARD_BYTES)
        self._records = []
        self.closed = self._context.now() if self.closed is None else self.closed
        self._waiters.wake()
