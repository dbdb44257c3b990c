"""One stream: its shards, which together have every hash key once, and how they are split and merged.

Rule: the open shards have each hash key exactly once. So a record has one shard, and the records of a partition key
have one order: a shard's, and then that of its children.

Source: the API reference and the developer guide of Kinesis.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from hashlib import md5
from itertools import pairwise
from typing import Any, Final, NamedTuple

from lattice_bridge.events import kinesis as kinesis_event
from lattice_bridge.local.aws.budget import Budget
from lattice_bridge.local.aws.kinesis.errors import NOT_FOUND, KinesisError, constraint, invalid
from lattice_bridge.local.aws.kinesis.shard import HashKeys, KinesisShard, Record, Retention, ShardContext

HASH_KEYS: Final = 2**128
"""All of them, from 0."""
LEAST_RETENTION, MOST_RETENTION = 24, 8760
"""Hours."""
MOST_SHARDS: Final = 1000
"""Open shards of a stream; AWS's limit is one of the account."""
ON_DEMAND: Final = "ON_DEMAND"
PROVISIONED: Final = "PROVISIONED"
ON_DEMAND_SHARDS: Final = 4
"""Of a new stream of this mode. Here it keeps them, since no limit of a shard is emulated."""
LEAST_RECORD, MOST_RECORD = 1024, 10240
"""KiB of a stream's largest record."""


class Stored(NamedTuple):
    """A record that was accepted, and the id of its shard."""

    shard_id: str
    record: Record


class KinesisStream:
    """A stream of Kinesis.

    Attributes:
        name, arn: of the stream.
        id: of no other stream, also of no later one with the name.
        mode: `PROVISIONED` or `ON_DEMAND`. It decides only who may change the number of shards.
        max_record_size: KiB of a record, with its partition key.
        tags: of the stream.
        created: seconds since the epoch.
    """

    def __init__(
        self, name: str, arn: str, shard_count: int, now: Callable[[], float], budget: Budget, role_arn: str
    ) -> None:
        self.name = name
        self.id = uuid.uuid4().hex
        self.arn = arn
        self.mode = PROVISIONED
        self.max_record_size = LEAST_RECORD
        self.tags: dict[str, str] = {}
        self._now = now
        self._role_arn = role_arn
        self._retention = Retention()
        self._context = ShardContext(now, budget, self._retention, self._event)
        self._shards: dict[str, KinesisShard] = {}
        self._open: list[KinesisShard] = []
        self._next_index = 0
        starts = _starts(shard_count)
        self._replace((), [HashKeys(first, after - 1) for first, after in pairwise((*starts, HASH_KEYS))])
        self.created = now()  # not before its shards were opened

    @property
    def account(self) -> str:
        """Of the ARN."""
        return self.arn.split(":")[4]

    @property
    def retention_hours(self) -> int:
        """How long a record can be read."""
        return self._retention.hours

    @property
    def trim_horizon(self) -> float:
        """Records that arrived then, or earlier, have expired."""
        return self._retention.horizon(self._now())

    def _event(self, shard_id: str, record: Record) -> dict[str, Any]:
        return kinesis_event.write(
            shard_id=shard_id,
            sequence_number=str(record.number),
            partition_key=record.partition_key,
            data=record.data,
            arrived=record.arrived,
            arn=self.arn,
            role_arn=self._role_arn,
        )

    # ---- records ----------------------------------------------------------------------------------------------------

    def check_size(self, partition_key: str, data: bytes) -> None:
        """Checks the size of a record.

        Raises:
            KinesisError: it is larger than the stream's records may be.
        """
        size, limit = len(data) + len(partition_key.encode()), self.max_record_size * 1024
        if size > limit:
            what = f"a record with its partition key has {size} bytes, and may have {limit}"
            raise invalid(f"{self._described}: {what}. Fix: send less, or call UpdateMaxRecordSize (10240 KiB at most)")

    def put(self, partition_key: str, data: bytes, hash_key: int | None = None) -> Stored:
        """Stores a record in the shard of its partition key, or of an explicit hash key.

        Raises:
            KinesisError: the stack's streams are full.
        """
        key = hash_key_of(partition_key) if hash_key is None else hash_key
        shard = self._of(key)
        return Stored(shard.id, shard.add(partition_key, data))

    def _of(self, hash_key: int) -> KinesisShard:
        """The open shard of a hash key."""
        return self._open[bisect_right(self._open, hash_key, key=lambda shard: shard.hash_keys.first) - 1]

    # ---- shards -----------------------------------------------------------------------------------------------------

    def shards(self) -> Sequence[KinesisShard]:
        """The shards that have records, or may get some. Parents come before their children."""
        return [shard for shard in self.listed() if not shard.is_closed or shard.has_records]

    def listed(self) -> list[KinesisShard]:
        """All shards in the order of their ids, without those that were closed before the trim horizon."""
        horizon = self.trim_horizon
        for shard in list(self._shards.values()):
            if shard.closed is not None and shard.closed <= horizon:
                del self._shards[shard.id]
                shard.drop()
        return list(self._shards.values())

    def open_shards(self) -> list[KinesisShard]:
        """The shards that accept records, in the order of their hash keys."""
        return list(self._open)

    def shard(self, shard_id: str) -> KinesisShard:
        """Finds a shard.

        Raises:
            KinesisError: `ResourceNotFoundException`: there is none with this id.
        """
        self.listed()
        found = self._shards.get(shard_id)
        if found is None:
            what = f"Could not find shard {shard_id[:100]} in {self._described}."
            raise KinesisError(NOT_FOUND, what)
        return found

    def children(self, shard: KinesisShard) -> Iterator[KinesisShard]:
        """The shards that a shard was split or merged into."""
        return (each for each in self.listed() if shard.id in each.parents)

    def split(self, shard_id: str, hash_key: int) -> None:
        """Splits a shard. The second child begins with the hash key.

        Raises:
            KinesisError: no open shard of a provisioned stream, or not a hash key that leaves both children some.
        """
        self._check_provisioned()
        shard = self._to_change(shard_id)
        keys = shard.hash_keys
        if not keys.first + 1 < hash_key < keys.last:
            what = f"NewStartingHashKey {hash_key} used in SplitShard() on shard {shard.id} in {self._described}"
            reason = f"is not both greater than one plus the shard's StartingHashKey {keys.first} and less than"
            raise invalid(f"{what} {reason} the shard's EndingHashKey {keys.last}.")
        check_shard_count(len(self._open) + 1)
        self._split(shard, hash_key)

    def merge(self, shard_id: str, adjacent_id: str) -> None:
        """Merges two shards.

        Raises:
            KinesisError: not two open shards of a provisioned stream whose hash keys are next to each other.
        """
        self._check_provisioned()
        pair = (self._to_change(shard_id), self._to_change(adjacent_id))
        first, second = sorted(pair, key=lambda shard: shard.hash_keys.first)
        if first.hash_keys.last + 1 != second.hash_keys.first:
            what = f"Shards {pair[0].id} and {pair[1].id} in {self._described}"
            raise invalid(f"{what} are not an adjacent pair of shards eligible for merging")
        self._merge(pair)

    def update_shard_count(self, count: int) -> None:
        """As `resize`.

        Raises:
            KinesisError: the stream is not provisioned, or the count is none that AWS reaches in one call.
        """
        self._check_provisioned()
        present = len(self._open)
        for wrong, way in ((count > 2 * present, "up over double"), (2 * count < present, "down below half")):
            if wrong:
                what = f"UpdateShardCount cannot scale {way} your current open shard count."
                raise invalid(f"{what} Current open shard count: {present} Target shard count: {count}")
        self.resize(count)

    def resize(self, count: int) -> None:
        """Splits and merges shards, until there are so many with equally many hash keys.

        As on AWS, some shards may exist only between a split and a merge.

        Raises:
            KinesisError: no stream has so many shards, or no memory is left.
        """
        check_shard_count(count)
        wanted = _starts(count)
        for start in wanted:
            shard = self._of(start)
            if shard.hash_keys.first != start:
                self._split(shard, start)
        while extra := next((shard for shard in self._open if shard.hash_keys.first not in wanted), None):
            self._merge((self._of(extra.hash_keys.first - 1), extra))

    def _split(self, shard: KinesisShard, hash_key: int) -> None:
        keys = shard.hash_keys
        self._replace([shard], [HashKeys(keys.first, hash_key - 1), HashKeys(hash_key, keys.last)])

    def _merge(self, pair: Sequence[KinesisShard]) -> None:
        keys = [shard.hash_keys for shard in pair]
        self._replace(pair, [HashKeys(min(each.first for each in keys), max(each.last for each in keys))])

    def _replace(self, parents: Sequence[KinesisShard], wanted: Sequence[HashKeys]) -> None:
        """Closes shards, and opens others with their hash keys; neither, if there is no memory for the others."""
        children: list[KinesisShard] = []
        try:
            for index, hash_keys in enumerate(wanted, self._next_index):
                children.append(KinesisShard(index, hash_keys, self._context, parents))
        except KinesisError as error:
            for child in children:
                child.drop()
            raise KinesisError("LimitExceededException", str(error)) from None
        self._next_index += len(children)
        self._shards |= {child.id: child for child in children}
        for parent in parents:
            parent.close()
        still_open = (shard for shard in (*self._open, *children) if not shard.is_closed)
        self._open = sorted(still_open, key=lambda shard: shard.hash_keys.first)

    def _to_change(self, shard_id: str) -> KinesisShard:
        shard = self.shard(shard_id)
        if shard.is_closed:
            what = f"Shard {shard.id} in {self._described} has already been merged or split, and thus is not eligible"
            raise invalid(f"{what} for merging or splitting.")
        return shard

    def _check_provisioned(self) -> None:
        if self.mode == ON_DEMAND:
            what = f"Request is invalid. {self._described} is in On-Demand mode."
            raise KinesisError("ValidationException", what)

    @property
    def _described(self) -> str:
        return f"stream {self.name} under account {self.account}"

    # ---- settings ---------------------------------------------------------------------------------------------------

    def set_retention(self, hours: int) -> None:
        """Changes the retention period. Records that are older expire at once."""
        self.expire()
        self._retention.hours = hours
        self.expire()

    def increase_retention(self, hours: int) -> None:
        """As `set_retention`, for no shorter period.

        Raises:
            KinesisError: not such a period.
        """
        check_retention(hours)
        if hours < self.retention_hours:
            raise invalid(self._other_period(hours, "shorter", "DecreaseStreamRetentionPeriod"))
        self.set_retention(hours)

    def decrease_retention(self, hours: int) -> None:
        """As `set_retention`, for no longer period.

        Raises:
            KinesisError: not such a period.
        """
        check_retention(hours)
        if hours > self.retention_hours:
            raise invalid(self._other_period(hours, "longer", "IncreaseStreamRetentionPeriod"))
        self.set_retention(hours)

    def _other_period(self, hours: int, kind: str, operation: str) -> str:
        what = f"Requested retention period ({hours} hours) for stream {self.name} can not be {kind} than existing"
        return f"{what} retention period ({self.retention_hours} hours). Use {operation} API."

    # ---- its life ---------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Removes what is older than the retention period."""
        for shard in self.listed():
            shard.expire()

    def drop(self) -> None:
        """Gives back all memory, as the stream is deleted. Who waits for a record stops waiting."""
        for shard in self._shards.values():
            shard.drop()
        self._shards.clear()
        self._open.clear()


def hash_key_of(partition_key: str) -> int:
    """The hash key of a partition key."""
    return int.from_bytes(md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def check_retention(hours: int) -> None:
    """Raises KinesisError if there is no such retention period."""
    if hours < LEAST_RETENTION:
        what = f"Minimum allowed retention period is {LEAST_RETENTION} hours."
        raise invalid(f"{what} Requested retention period ({hours} hours) is too short.")
    if hours > MOST_RETENTION:
        what = f"Maximum allowed retention period is {MOST_RETENTION} hours."
        raise invalid(f"{what} Requested retention period ({hours} hours) is too long.")


def check_shard_count(count: int) -> None:
    """Raises KinesisError if a stream cannot have so many open shards."""
    if count < 1:
        raise constraint("ShardCount", count, "Member must have value greater than or equal to 1")
    if count > MOST_SHARDS:
        what = f"a stream of this local stack has {MOST_SHARDS} open shards at most, and {count} are asked for"
        raise KinesisError("LimitExceededException", f"{what}. Fix: use fewer; no limit of a shard is emulated")


def _starts(count: int) -> list[int]:
    """The first hash key of each of so many equal shards."""
    return [number * (HASH_KEYS // count) for number in range(count)]
