"""The streams of tables: their records, and how long they are kept.

Rule: a stream keeps its records for 24 hours, also after it was disabled or its table was deleted. It has one shard,
so its records have one order; AWS divides a stream among shards by the items' keys.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.events import dynamodb as events
from lattice_bridge.local.aws.dynamodb.values import size_of
from lattice_bridge.local.aws.stream import StreamRecord

_logger: Final = logging.getLogger(__name__)

KEPT_SECONDS: Final = 24 * 60 * 60
MEMORY: Final = 256 * 1024 * 1024
"""Bytes of the records of all streams."""
_OVERHEAD: Final = 500
"""Bytes of a record beside its JSON, as measured."""
FIRST_NUMBER: Final = 100_000_000_000_000_000_001
"""Sequence numbers of AWS have from 21 to 40 digits."""
VIEW_TYPES: Final = ("KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES")

Image = Mapping[str, Any]


class TableStream:
    """A stream of a table, and its one shard.

    Args:
        arn: of the stream, `TABLE_ARN/stream/LABEL`.
        view_type: one of VIEW_TYPES.
        key_schema: of the table, as in CreateTable.
        refresh: does what is due before records are read: it removes expired items and records.
        next_change: a time before which nothing will be due, in seconds since the epoch.
        now: seconds since the epoch.

    Attributes:
        created: seconds since the epoch.
        closed: when the stream was disabled, in seconds since the epoch; None for one that is enabled.
    """

    def __init__(
        self,
        arn: str,
        view_type: str,
        key_schema: Sequence[Mapping[str, str]],
        refresh: Callable[[], None],
        next_change: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self.arn = arn
        self.view_type = view_type
        self.key_schema = key_schema
        self.created = now()
        self.closed: float | None = None
        self._refresh = refresh
        self._next_change = next_change
        self._now = now
        self._records: dict[int, _Stored] = {}
        self._first = self._next = FIRST_NUMBER
        self._waiting: set[asyncio.Future[None]] = set()

    # ---- the stream -------------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The time by which AWS distinguishes the streams of a table."""
        return self.arn.rpartition("/")[2]

    @property
    def table_name(self) -> str:
        """The name of its table."""
        return self.arn.split("/")[1]

    @property
    def table_arn(self) -> str:
        """The ARN of its table."""
        return self.arn.partition("/stream/")[0]

    def shards(self) -> Sequence[TableStream]:
        """The one shard."""
        return (self,)

    # ---- its shard --------------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id of the shard, in the form that AWS gives it."""
        return f"shardId-{int(self.created * 1000):020}-00000000"

    @property
    def parents(self) -> tuple[str, ...]:
        """None: the shard is never divided."""
        return ()

    @property
    def is_closed(self) -> bool:
        """Whether the stream is disabled."""
        return self.closed is not None

    @property
    def first_number(self) -> int:
        """The sequence number of the oldest record that is kept, or of the next one."""
        return self._first

    @property
    def last_number(self) -> int:
        """The sequence number of the newest record; 0 before there was one."""
        return 0 if self._next == FIRST_NUMBER else self._next - 1

    def after(self, number: int, limit: int) -> Sequence[StreamRecord]:
        """The oldest records with a higher number, that have not expired; at most `limit`."""
        self._refresh()
        start = max(number + 1, self._first)
        return [self._records[each].record(each) for each in range(start, min(start + limit, self._next))]

    def count(self, after: int = 0) -> int:
        """How many records with a higher number have not expired."""
        self._refresh()
        return self._next - max(after + 1, self._first)

    async def wait(self, number: int, until: float) -> None:
        """Returns when a record with a higher number is there, when the shard is closed, or at `until`."""
        while True:
            self._refresh()
            if self.is_closed or max(number + 1, self._first) < self._next or self._now() >= until:
                return
            ends = min(until, self._next_change())
            future = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                async with asyncio.timeout(max(0.0, ends - self._now())):
                    await future
            except TimeoutError:
                pass
            finally:
                self._waiting.discard(future)

    # ---- for the table ----------------------------------------------------------------------------------------------

    def add(self, keys: Image, before: Image | None, after: Image | None, *, is_expired: bool) -> int:
        """Adds the record of a change. Returns the bytes that it takes.

        Args:
            keys: of the item.
            before, after: the item; None if there is none.
            is_expired: DynamoDB deleted it because its time to live has ended.
        """
        new = after if self.view_type in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES") else None
        old = before if self.view_type in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES") else None
        created = self._now()
        content = events.write(
            event_id=uuid.uuid4().hex,
            event_name="INSERT" if before is None else "REMOVE" if after is None else "MODIFY",
            keys=keys,
            new_image=new,
            old_image=old,
            sequence_number=str(self._next),
            size=sum(size_of(one) for one in (keys, new, old) if one is not None),
            view_type=self.view_type,
            created=float(int(created)),
            arn=self.arn,
            is_expired=is_expired,
        )
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        stored = self._records[self._next] = _Stored(events.item_of(keys), created, text)
        self._next += 1
        self.wake()
        return stored.memory

    def oldest(self) -> float:
        """When the oldest record that is kept was added."""
        return self._records[self._first].arrived

    def remove_oldest(self) -> int:
        """Removes the oldest record. Returns the bytes that it took."""
        stored = self._records.pop(self._first)
        self._first += 1
        return stored.memory

    def close(self) -> None:
        """Disables the stream. Its records can still be read."""
        self.closed = self._now()
        self.wake()

    def wake(self) -> None:
        """Ends each wait."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A record as it is kept. Its JSON takes a tenth of the memory of its dicts, so the limit is what is used."""

    key: str
    arrived: float
    text: bytes

    @property
    def memory(self) -> int:
        return len(self.key) + len(self.text) + _OVERHEAD

    def record(self, number: int) -> StreamRecord:
        return StreamRecord(number, self.key, self.arrived, json.loads(self.text), len(self.text))


class Streams:
    """All streams of a stack, by ARN.

    Args:
        now: seconds since the epoch.
        limit: bytes of records. If there are more, the oldest ones go first, as if their time had ended.

    Attributes:
        dropped: records that went before their time.
    """

    def __init__(self, now: Callable[[], float], limit: int = MEMORY) -> None:
        self._now = now
        self._limit = limit
        self._streams: dict[str, TableStream] = {}
        self._by_age: deque[TableStream] = deque()
        """The streams of the records, the oldest record first. A stream occurs once for each of its records."""
        self._used = 0
        self.dropped = 0

    def __iter__(self) -> Iterator[TableStream]:
        return iter(self._streams.values())

    def get(self, arn: str) -> TableStream | None:
        """The stream with this ARN, or None."""
        return self._streams.get(arn)

    def register(self, stream: TableStream) -> None:
        """Adds a stream."""
        self._streams[stream.arn] = stream

    def add(
        self, stream: TableStream, keys: Image, before: Image | None, after: Image | None, *, is_expired: bool = False
    ) -> None:
        """Adds the record of a change to a stream."""
        self._used += stream.add(keys, before, after, is_expired=is_expired)
        self._by_age.append(stream)
        while self._used > self._limit:
            self._drop()

    def expire(self) -> None:
        """Removes what is older than 24 hours."""
        end = self._now() - KEPT_SECONDS
        while self._by_age and self._by_age[0].oldest() <= end:
            self._remove_oldest()
        for arn, stream in list(self._streams.items()):
            if stream.closed is not None and stream.closed <= end:
                del self._streams[arn]

    def _drop(self) -> None:
        if not self.dropped:
            what = f"streams of tables have more than {self._limit // 1024**2} MiB of records in 24 hours"
            _logger.warning("%s: the oldest are dropped, as if 24 hours were over", what)
        self.dropped += 1
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        self._used -= self._by_age.popleft().remove_oldest()
