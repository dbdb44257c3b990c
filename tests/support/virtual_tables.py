"""Tables of the local DynamoDB whose clock stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lattice_bridge.local.aws.dynamodb.stream import Streams, TableStream
from lattice_bridge.local.aws.dynamodb.tables import Tables
from tests.support.virtual_queues import ACCOUNT, REGION, Clock

ORDERS: Final = "orders"
BOTH: Final = "NEW_AND_OLD_IMAGES"

Value = Mapping[str, Any]


def definition(name: str = ORDERS, view_type: str = BOTH, **types: str) -> dict[str, Any]:
    """The parameters of CreateTable.

    Args:
        name: of the table.
        view_type: of its stream; empty for none.
        types: of the key's attributes, the hash key first; one `id` of type S if there are none.
    """
    found: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": each, "KeyType": kind}
            for each, kind in zip(types or {"id": "S"}, ("HASH", "RANGE"), strict=False)
        ],
        "AttributeDefinitions": [
            {"AttributeName": each, "AttributeType": kind} for each, kind in (types or {"id": "S"}).items()
        ],
    }
    return found | ({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view_type}} if view_type else {})


@dataclass
class VirtualTables:
    """Tables with a clock, and one of them."""

    clock: Clock = field(default_factory=Clock)
    memory: int = 1024**2
    stream_memory: int = 1024**2
    view_type: str = BOTH
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        streams = Streams(self.clock, self.stream_memory)
        self.tables = Tables(REGION, ACCOUNT, self.clock, memory=self.memory, streams=streams)
        self.tables.call("CreateTable", definition(view_type=self.view_type, **self.keys))

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """An operation on the table."""
        named = operation in ("BatchWriteItem", "TransactWriteItems")
        return self.tables.call(operation, parameters if named else {"TableName": ORDERS, **parameters})

    def put(self, name: str, **attributes: Value) -> None:
        self.call("PutItem", Item={"id": {"S": name}, **attributes})

    def update(self, name: str, expression: str, **values: Value) -> None:
        """An update. A name of a value has no colon here."""
        given = {"ExpressionAttributeValues": {f":{key}": each for key, each in values.items()}} if values else {}
        self.call("UpdateItem", Key={"id": {"S": name}}, UpdateExpression=expression, **given)

    def delete(self, name: str) -> None:
        self.call("DeleteItem", Key={"id": {"S": name}})

    def item(self, name: str) -> Mapping[str, Any] | None:
        return self.call("GetItem", Key={"id": {"S": name}}).get("Item")

    @property
    def stream(self) -> TableStream:
        return next(iter(self.tables.streams))

    def records(self) -> list[Mapping[str, Any]]:
        """The records of the stream, as Lambda delivers them."""
        return [record.content for record in self.stream.after(0, 10_000)]

    def events(self) -> list[tuple[str, str, str]]:
        """The kind of each record, and the `n` of its old and its new image; `-` without one."""
        return [
            (one["eventName"], *(_n(one["dynamodb"].get(image)) for image in ("OldImage", "NewImage")))
            for one in self.records()
        ]


def _n(item: Mapping[str, Any] | None) -> str:
    return "-" if item is None else str(item.get("n", {}).get("N", ""))
