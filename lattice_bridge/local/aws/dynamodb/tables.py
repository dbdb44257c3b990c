"""All tables of a stack: what moto does not do, around each of its operations.

Rule: a change of an item has one record, that of the item before and after the whole operation. It is computed here
for every operation that writes, and not taken from moto's streams. A write that fails changes nothing.

Differences of moto that this removes: two INSERTs for an update of a new item, a MODIFY for a write that changes
nothing, half of an update or of a batch that failed, `us-east-1` and version 1.0 in every record, binary values in
three forms, the size of a record's JSON as SizeBytes, records that never expire, and expired items that stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError, NotInstalled, invalid, not_found
from lattice_bridge.local.aws.dynamodb.parameters import (
    WRITES,
    Write,
    check_batch,
    check_name,
    key_of,
    types_of,
    view_type_of,
    with_names,
    without,
    writes,
)
from lattice_bridge.local.aws.dynamodb.stream import Streams, TableStream
from lattice_bridge.local.aws.dynamodb.values import Item, image, memory_of

if TYPE_CHECKING:  # it imports moto
    from lattice_bridge.local.aws.dynamodb.engine import Engine, Stored

MEMORY: Final = 256 * 1024 * 1024
"""Bytes of all items, by the measure of `memory_of`: 300,000 small ones."""

_OLDEST: Final = [5, 2, 5]
"""The version of moto that pyproject.toml asks for."""
_MAX_TABLES: Final = 2500
_FIVE_YEARS: Final = 5 * 365.25 * 24 * 3600
_NEVER: Final = float("inf")
_KINDS: Final = ("HASH", "RANGE")

OPERATIONS: Final = frozenset(
    {
        *("CreateTable", "DeleteTable", "DescribeTable", "ListTables", "UpdateTable"),
        *("DescribeTimeToLive", "UpdateTimeToLive", "DescribeContinuousBackups", "UpdateContinuousBackups"),
        *("ListTagsOfResource", "TagResource", "UntagResource", "DescribeEndpoints", "DescribeLimits"),
        *("GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan"),
        *("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"),
    }
)
"""The operations that are here."""


@dataclass(slots=True)
class _Table:
    """What is known of a table beside its items.

    Attributes:
        name, arn: of the table.
        keys: names of the key's attributes → type. The hash key comes first.
        stream: the enabled one; None if there is none.
        last_stream: the one that was enabled last.
        expires_by: the attribute for TTL; empty if TTL is off.
        bytes: of memory that its items take.
        next_expiry: a time before which no item expires, in seconds since the epoch.
    """

    name: str
    arn: str
    keys: Mapping[str, str]
    stream: TableStream | None = None
    last_stream: TableStream | None = None
    expires_by: str = ""
    bytes: int = 0
    next_expiry: float = _NEVER


@dataclass(slots=True)
class _Touched:
    """An item that an operation may change.

    Attributes:
        table: of the item.
        key: of the item.
        stored: the item before, as moto keeps it.
        before: its image; None if it was not there.
    """

    table: _Table
    key: Item
    stored: Stored
    before: Item | None


def load_engine(region: str, account: str) -> Engine:
    """Imports moto.

    Raises:
        NotInstalled: it is missing.
    """
    if not is_installed():
        raise NotInstalled
    from lattice_bridge.local.aws.dynamodb.engine import Engine

    return Engine(region, account)


def is_installed(version_of: Callable[[str], str] = version) -> bool:
    """Whether tables can be served. An older moto may be there without the extra `dynamodb`, for a project's tests.

    Args:
        version_of: returns the version of an installed distribution.
    """
    try:
        numbers = [int(each) for each in version_of("moto").split(".")[:3] if each.isdigit()]
    except PackageNotFoundError:
        return False
    return numbers >= _OLDEST


class Tables:
    """The tables of a stack.

    Args:
        region, account: of the tables.
        now: seconds since the epoch.
        load: makes the engine, when the first table or request comes.
        memory: bytes of all items, by the measure of `memory_of`.
        streams: of the tables; None for new ones.

    Attributes:
        now: the clock.
        streams: of the tables, also of those that are gone.
    """

    def __init__(
        self,
        region: str,
        account: str,
        now: Callable[[], float] = time.time,
        *,
        load: Callable[[str, str], Engine] = load_engine,
        memory: int = MEMORY,
        streams: Streams | None = None,
    ) -> None:
        self.now = now
        self.streams = Streams(now) if streams is None else streams
        self._prefix = f"arn:aws:dynamodb:{region}:{account}:table/"
        self._load: Callable[[], Engine] = lambda: load(region, account)
        self._engine: Engine | None = None
        self._loading = Lock()
        self._tables: dict[str, _Table] = {}
        self._memory = memory

    def __len__(self) -> int:
        """How many tables there are."""
        return len(self._tables)

    def __contains__(self, name: str) -> bool:
        """Whether there is a table with this name."""
        return name in self._tables

    def keys_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """The names and types of a table's key, the hash key first."""
        return tuple(self._table(name).keys.items())

    def engine(self) -> Engine:
        """The engine, which is loaded first.

        Raises:
            NotInstalled: moto is missing.
        """
        with self._loading:
            if self._engine is None:
                self._engine = self._load()
            return self._engine

    @property
    def is_loaded(self) -> bool:
        """Whether the engine is there. Loading it takes a second or two, so it is done in a thread before a request."""
        return self._engine is not None

    def stream(self, arn: str) -> TableStream | None:
        """The stream with this ARN; None if there is none."""
        return self.streams.get(arn)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Does one of OPERATIONS.

        Args:
            operation: as in `PutItem`.
            parameters: as `values.parse` gives them.

        Returns:
            The result, with binary values as bytes.

        Raises:
            DynamoDbError: DynamoDB refuses it, or it is not here.
        """
        engine = self.engine()
        self.refresh()
        given = with_names(parameters)
        match operation:
            case "CreateTable":
                return self.create(given)
            case "UpdateTable":
                return self._update(given)
            case "DeleteTable":
                return self._delete(given)
            case "UpdateTimeToLive":
                return self._set_expiry(given)
            case "DescribeTimeToLive":
                return self._described_expiry(given)
            case _ if operation in WRITES:
                result = self._write(operation, given)
            case _:
                self._check(given)
                result = engine.call(operation, given)
        if operation == "DescribeTable":
            return self._described(result, self._table(given["TableName"]))
        is_counted = given.get("ReturnConsumedCapacity", "NONE") != "NONE"
        return result if is_counted else without(result, "ConsumedCapacity")

    def refresh(self) -> None:
        """Does what has become due: removes expired items, and records that are too old."""
        self.streams.expire()
        now = self.now()
        for table in self._tables.values():
            if table.next_expiry <= now:
                self._expire(table, now)

    # ---- tables -----------------------------------------------------------------------------------------------------

    def create(self, parameters: Mapping[str, Any], *, arn: str | None = None) -> Mapping[str, Any]:
        """Makes a table.

        Args:
            parameters: as in CreateTable.
            arn: of a table of the template; None for one of this stack's region and account.
        """
        name, view_type = parameters["TableName"], view_type_of(parameters)
        if arn is None:
            check_name(name)
        if name in self._tables:
            raise DynamoDbError("ResourceInUseException", f"Table already exists: {name}")
        if len(self._tables) >= _MAX_TABLES:
            raise DynamoDbError("LimitExceededException", f"There are {_MAX_TABLES} tables at most. Fix: delete some")
        types = types_of(parameters)
        engine = self.engine()
        result = engine.call("CreateTable", without(parameters, "StreamSpecification", "SSESpecification"))
        schema = sorted(parameters["KeySchema"], key=lambda each: str(each["KeyType"]))  # HASH comes before RANGE
        table = _Table(
            name, arn or self._prefix + name, {each["AttributeName"]: types[each["AttributeName"]] for each in schema}
        )
        engine.set_arn(name, table.arn)
        self._tables[name] = table
        if view_type:
            self._open(table, view_type, None)
        return self._described(result, table)

    def set_stream(self, name: str, view_type: str, stream_arn: str | None = None) -> None:
        """Enables the stream of a table, changes what its records contain, or disables it.

        Args:
            name: of the table.
            view_type: one of VIEW_TYPES; empty to disable the stream.
            stream_arn: of a stream of the template; None for one with the present time.
        """
        table = self._table(name)
        if table.stream is not None and view_type:
            table.stream.view_type = view_type
        elif view_type:
            self._open(table, view_type, stream_arn)
        elif table.stream is not None:
            table.stream.close()
            table.stream = None

    def _open(self, table: _Table, view_type: str, arn: str | None) -> None:
        arn = arn or self._new_stream_arn(table)
        stream = self.streams.get(arn)
        if stream is None:
            schema = [{"AttributeName": name, "KeyType": kind} for name, kind in zip(table.keys, _KINDS, strict=False)]
            stream = TableStream(arn, view_type, schema, self.refresh, lambda: table.next_expiry, self.now)
            self.streams.register(stream)
        stream.view_type, stream.closed = view_type, None
        table.stream = table.last_stream = stream

    def _new_stream_arn(self, table: _Table) -> str:
        at = self.now()
        while self.streams.get(arn := f"{table.arn}/stream/{_label(at)}") is not None:
            at += 0.001
        return arn

    def _update(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        table, view_type = self._table(given["TableName"]), view_type_of(given)
        if "StreamSpecification" in given and bool(view_type) == (table.stream is not None):
            what = "Table already has an enabled stream" if view_type else "Table has no stream to disable"
            raise invalid(f"{what}: TableName: {table.name}")
        result = self.engine().call("UpdateTable", without(given, "StreamSpecification", "SSESpecification"))
        if "StreamSpecification" in given:
            self.set_stream(table.name, view_type)
        return self._described(result, table)

    def _delete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        table = self._table(given["TableName"])
        result = self._described(self.engine().call("DeleteTable", given), table)
        if table.stream is not None:
            table.stream.close()
        del self._tables[table.name]
        return result

    def set_expiry(self, name: str, attribute: str) -> None:
        """Sets the attribute that contains the time at which an item expires.

        Args:
            name: of the table.
            attribute: its name; empty if no item expires.
        """
        table = self._table(name)
        table.expires_by, table.next_expiry = attribute, 0.0 if attribute else _NEVER

    def _set_expiry(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        table, wanted = self._table(given["TableName"]), given["TimeToLiveSpecification"]
        if wanted["Enabled"] == bool(table.expires_by):
            raise invalid(f"TimeToLive is already {'enabled' if table.expires_by else 'disabled'}")
        self.set_expiry(table.name, wanted["AttributeName"] if wanted["Enabled"] else "")
        return {"TimeToLiveSpecification": wanted}

    def _described_expiry(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        attribute = self._table(given["TableName"]).expires_by
        on = {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
        return {"TimeToLiveDescription": on if attribute else {"TimeToLiveStatus": "DISABLED"}}

    def _described(self, result: Mapping[str, Any], table: _Table) -> Mapping[str, Any]:
        """The description of a table with its stream."""
        ((member, description),) = result.items()
        found = {
            name: value for name, value in description.items() if value != []
        }  # AWS lists no indexes if it has none
        if table.last_stream is not None:
            found |= {"LatestStreamArn": table.last_stream.arn, "LatestStreamLabel": table.last_stream.label}
        if table.stream is not None:
            found["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream.view_type}
        return {member: found}

    def _check(self, given: Mapping[str, Any]) -> None:
        """Refuses what moto does not: a table that is not there, in DynamoDB's words, and a key of another type."""
        if "TableName" in given:
            table = self._table(given["TableName"])
            if "Key" in given:
                key_of(given["Key"], table.keys)

    def _table(self, name: str) -> _Table:
        table = self._tables.get(name)
        if table is None:
            raise not_found(f"Table: {name}")
        return table

    # ---- items ------------------------------------------------------------------------------------------------------

    def _write(self, operation: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Does an operation that writes, and adds a record for each item that it has changed."""
        engine = self.engine()
        touched = [self._touch(write) for write in writes(operation, given)]
        if operation == "BatchWriteItem":
            check_batch((one.table.name, one.key) for one in touched)
        try:
            result = engine.call(operation, given)
            settled = [engine.settle(one.table.name, one.key) for one in touched]
            after = [None if item is None else image(item) for item in settled]
            self._count(touched, after)
        except Exception:
            for one in touched:
                engine.put_back(one.table.name, one.key, one.stored)
            raise
        for one, new in zip(touched, after, strict=True):
            self._changed(one.table, one.key, one.before, new)
        return result

    def _touch(self, write: Write) -> _Touched:
        table = self._table(write.table)
        key = write.key(table.keys)
        item, stored = self.engine().take(table.name, key)
        return _Touched(table, key, stored, None if item is None else image(item))

    def _count(self, touched: list[_Touched], after: Sequence[Item | None]) -> None:
        """Counts the bytes of a write.

        Raises:
            DynamoDbError: there are too many.
        """
        grown = [_memory(new) - _memory(one.before) for one, new in zip(touched, after, strict=True)]
        if sum(grown) > 0 and sum(table.bytes for table in self._tables.values()) + sum(grown) > self._memory:
            what = f"this local stack keeps {self._memory // 1024**2} MiB of items in all its tables"
            # SDKs repeat a request after LimitExceededException, which would not help.
            raise DynamoDbError("ItemCollectionSizeLimitExceededException", f"{what}. Fix: delete items or tables")
        for one, size in zip(touched, grown, strict=True):
            one.table.bytes += size

    def _changed(
        self, table: _Table, key: Item, before: Item | None, after: Item | None, *, is_expired: bool = False
    ) -> None:
        """Adds the record of a change. A write that changes nothing has none."""
        if after is not None and table.expires_by:
            table.next_expiry = min(table.next_expiry, _expiry(after.get(table.expires_by), self.now()))
        if table.stream is not None and before != after:
            self.streams.add(table.stream, image(key), before, after, is_expired=is_expired)

    def _expire(self, table: _Table, now: float) -> None:
        """Removes the items whose time to live has ended, the oldest first."""
        engine = self.engine()
        times = [(_expiry(item.get(table.expires_by), now), item) for item in engine.items(table.name)]
        table.next_expiry = min((at for at, _ in times if at > now), default=_NEVER)
        for _, item in sorted(((at, item) for at, item in times if at <= now), key=lambda pair: pair[0]):
            key = {name: item[name] for name in table.keys}
            engine.put_back(table.name, key, None)
            before = image(item)
            table.bytes -= memory_of(before)
            self._changed(table, key, before, None, is_expired=True)


def _label(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")


def _memory(item: Item | None) -> int:
    return 0 if item is None else memory_of(item)


def _expiry(value: Mapping[str, Any] | None, now: float) -> float:
    """When an item expires, in seconds since the epoch. A time more than five years ago counts for none, as on AWS."""
    if value is None or "N" not in value:
        return _NEVER
    at = float(Decimal(value["N"]))
    return _NEVER if at < now - _FIVE_YEARS else at
