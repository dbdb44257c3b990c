"""All Kinesis streams of a stack, by name, and the memory that they share.

Rule: a name is enough to find a stream. Its region and account are those of the stack, unless local.toml gives it the
ARN of a deployed stream.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.local.aws.budget import MEMORY, Budget
from lattice_bridge.local.aws.kinesis.errors import KinesisError, constraint, full, invalid, no_stream
from lattice_bridge.local.aws.kinesis.reading import TOKEN_SECONDS, Page, Seal, Start, expired, position, read
from lattice_bridge.local.aws.kinesis.shard import KinesisShard
from lattice_bridge.local.aws.kinesis.stream import (
    LEAST_RECORD,
    LEAST_RETENTION,
    ON_DEMAND,
    ON_DEMAND_SHARDS,
    PROVISIONED,
    KinesisStream,
    check_retention,
    check_shard_count,
)

NAME: Final = re.compile("[a-zA-Z0-9_.-]{1,128}")
MOST_STREAMS: Final = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream to create.

    Attributes:
        name: of the stream.
        shard_count: for `PROVISIONED`.
        mode: `PROVISIONED` or `ON_DEMAND`.
        retention_hours: how long a record can be read.
        max_record_size: KiB.
        arn: of a stream that has the ARN of a deployed one; None for one with the stack's region and account.
    """

    name: str
    shard_count: int | None = 1
    mode: str = PROVISIONED
    retention_hours: int = LEAST_RETENTION
    max_record_size: int = LEAST_RECORD
    arn: str | None = None


class KinesisStreams:
    """The streams of a stack.

    Args:
        region, account: of the ARNs.
        clock: seconds since the epoch.
        memory: bytes of all records together.

    Attributes:
        account: of the ARNs.
        now: the clock.
    """

    def __init__(
        self, region: str, account: str, clock: Callable[[], float] = time.time, *, memory: int = MEMORY
    ) -> None:
        self.account = account
        self.now = clock
        self._prefix = f"arn:aws:kinesis:{region}:{account}:stream/"
        self._role_arn = f"arn:aws:iam::{account}:role/local-execution-role"
        self._streams: dict[str, KinesisStream] = {}
        self._budget = Budget(memory, full)
        self._budget.sweep = self._sweep
        self._seal = Seal()

    def __iter__(self) -> Iterator[KinesisStream]:
        """The streams by name."""
        return iter([self._streams[name] for name in sorted(self._streams)])

    @property
    def memory_used(self) -> int:
        """Bytes that all streams take."""
        return self._budget.used

    # ---- streams ----------------------------------------------------------------------------------------------------

    def create(self, wanted: Wanted) -> KinesisStream:
        """Creates a stream.

        Raises:
            KinesisError: a name or a number that AWS refuses, there is a stream with this name, or no memory is left.
        """
        if NAME.fullmatch(wanted.name) is None:
            reason = f"Member must satisfy regular expression pattern: {NAME.pattern}"
            raise constraint("StreamName", wanted.name, reason)
        check_retention(wanted.retention_hours)
        if wanted.name in self._streams:
            what = f"Stream {wanted.name} under account {self.account} already exists."
            raise KinesisError("ResourceInUseException", what)
        if len(self._streams) >= MOST_STREAMS:
            what = f"this local stack has {MOST_STREAMS} streams. Fix: delete some"
            raise KinesisError("LimitExceededException", what)
        if wanted.mode == ON_DEMAND and wanted.shard_count is not None:
            raise invalid(f"ShardCount is not for the mode {ON_DEMAND}. Fix: leave it out, or choose {PROVISIONED}")
        shard_count = ON_DEMAND_SHARDS if wanted.mode == ON_DEMAND else wanted.shard_count
        if shard_count is None:
            raise invalid(f"the mode {PROVISIONED} needs ShardCount. Fix: set it, or choose {ON_DEMAND}")
        check_shard_count(shard_count)
        arn = wanted.arn or self._prefix + wanted.name
        stream = KinesisStream(wanted.name, arn, shard_count, self.now, self._budget, self._role_arn)
        stream.mode, stream.max_record_size = wanted.mode, wanted.max_record_size
        stream.set_retention(wanted.retention_hours)
        self._streams[wanted.name] = stream
        return stream

    def get(self, name: str) -> KinesisStream:
        """Finds a stream.

        Raises:
            KinesisError: `ResourceNotFoundException`: there is none with this name.
        """
        stream = self._streams.get(name)
        if stream is None:
            raise no_stream(name, self.account)
        return stream

    def by_arn(self, arn: str) -> KinesisStream | None:
        """Finds a stream by its ARN; None if it is not one of this stack."""
        stream = self._streams.get(arn.rpartition(":stream/")[2])
        return stream if stream is not None and stream.arn == arn else None

    def delete(self, name: str) -> None:
        """Deletes a stream with its records.

        Raises:
            KinesisError: `ResourceNotFoundException`: there is none with this name.
        """
        stream = self.get(name)
        del self._streams[name]
        stream.drop()

    # ---- tokens -----------------------------------------------------------------------------------------------------

    def iterator(self, stream: KinesisStream, shard: KinesisShard, start: Start) -> str:
        """An iterator of a shard. It can be used for five minutes.

        Raises:
            KinesisError: the shard has no such position.
        """
        return self._iterator(stream, shard, position(stream, shard, start, self.now()))

    def _iterator(self, stream: KinesisStream, shard: KinesisShard, number: int) -> str:
        return self._seal.closed(["iterator", self.now(), stream.name, stream.id, shard.id, number])

    def read(self, iterator: str, limit: int) -> tuple[KinesisStream, KinesisShard, Page, str | None]:
        """Reads behind an iterator. Returns the next one too; None at the end of a closed shard.

        Raises:
            KinesisError: not an iterator, an expired one, or its stream or shard is not there any more.
        """
        content = self._seal.opened(iterator)
        if content is None or content[0] != "iterator":
            raise invalid("Invalid ShardIterator.")
        _, issued, name, stream_id, shard_id, number = content
        if self.now() > issued + TOKEN_SECONDS:
            raise expired(issued, self.now())
        stream = self._same(name, stream_id)
        shard = stream.shard(shard_id)
        page = read(shard, number, limit, self.now())
        return stream, shard, page, None if page.number is None else self._iterator(stream, shard, page.number)

    def page_token(self, stream: KinesisStream, after: str, shard_filter: Mapping[str, Any]) -> str:
        """The token of the next page of shards.

        Args:
            stream: of the shards.
            after: the id of the last shard of this page.
            shard_filter: as JSON.
        """
        return self._seal.closed(["page", self.now(), stream.name, stream.id, after, shard_filter])

    def page(self, token: str) -> tuple[KinesisStream, str, dict[str, Any]]:
        """The stream, the id of the last shard and the filter of a token.

        Raises:
            KinesisError: not a token, an expired one, or its stream is not there any more.
        """
        content = self._seal.opened(token)
        if content is None or content[0] != "page":
            raise invalid("The NextToken is invalid.")
        _, issued, name, stream_id, after, shard_filter = content
        if self.now() > issued + TOKEN_SECONDS:
            raise KinesisError("ExpiredNextTokenException", f"The NextToken has expired after {TOKEN_SECONDS} seconds.")
        return self._same(name, stream_id), after, shard_filter

    def _same(self, name: str, stream_id: str) -> KinesisStream:
        """The stream of a token, and not a later one with its name."""
        stream = self.get(name)
        if stream.id != stream_id:
            raise no_stream(name, self.account)
        return stream

    def _sweep(self) -> None:
        for stream in self._streams.values():
            stream.expire()
