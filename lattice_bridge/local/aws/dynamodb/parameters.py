"""The parameters of requests: the names of tables, the keys of items, and what moto does not refuse by itself.

Rule: what an operation writes is known before it begins, by table and key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.events.dynamodb import item_of
from lattice_bridge.local.aws.dynamodb.errors import NotHere, invalid
from lattice_bridge.local.aws.dynamodb.stream import VIEW_TYPES
from lattice_bridge.local.aws.dynamodb.values import Item, image

WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
"""The operations that write items."""

Keys = Mapping[str, str]
"""The names of a key's attributes → type."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_TYPES: Final = ("S", "N", "B")
_MAX_BATCH: Final = 25
_PARAMETERS: Final = "One or more parameter values were invalid"
_OLDER: Final = {
    "AttributeUpdates": "UpdateExpression",
    "Expected": "ConditionExpression",
    "ConditionalOperator": "ConditionExpression",
}
"""Parameters of the time before expressions, which moto reads wrongly or ignores → what replaced them."""


# ---- tables ---------------------------------------------------------------------------------------------------------


def with_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in which each table has its name: DynamoDB accepts its ARN too."""
    found = dict(given)
    if "TableName" in found:
        found["TableName"] = _name(found["TableName"])
    if "RequestItems" in found:
        found["RequestItems"] = {_name(name): each for name, each in found["RequestItems"].items()}
    if "TransactItems" in found:
        found["TransactItems"] = [
            {kind: {**each, "TableName": _name(each["TableName"])} for kind, each in part.items()}
            for part in found["TransactItems"]
        ]
    return found


def _name(text: str) -> str:
    return text.rpartition(":table/")[2] if text.startswith("arn:") else text


def without(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Parameters, or a result, without some members."""
    return {name: value for name, value in given.items() if name not in names}


def check_name(name: str) -> None:
    """Refuses a name that no table has."""
    if _NAME.fullmatch(name) is None:
        raise invalid(f"Invalid table name: {name[:255]}. It has 3 to 255 letters, digits, _, - and .")


def types_of(given: Mapping[str, Any]) -> Keys:
    """The types of AttributeDefinitions."""
    found = {each["AttributeName"]: each["AttributeType"] for each in given["AttributeDefinitions"]}
    if wrong := set(found.values()) - set(_TYPES):
        raise invalid(f"AttributeType {min(wrong)[:40]!r} is unknown. Fix: write {', '.join(_TYPES)}")
    return found


def view_type_of(given: Mapping[str, Any]) -> str:
    """What the records of a table's stream contain; empty if it has none."""
    wanted: Mapping[str, Any] = given.get("StreamSpecification", {})
    view_type = str(wanted.get("StreamViewType", ""))
    if not wanted.get("StreamEnabled"):
        return ""
    if view_type not in VIEW_TYPES:
        raise invalid(f"StreamViewType {view_type[:40]!r} is unknown. Fix: write {', '.join(VIEW_TYPES)}")
    return view_type


# ---- items ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """What an operation does to one item.

    Attributes:
        table: its name.
        kind: `Put`, `Update`, `Delete`, or `ConditionCheck`, which only reads.
        parameters: of the write.
    """

    table: str
    kind: str
    parameters: Mapping[str, Any]

    def key(self, keys: Keys) -> Item:
        """The key of the item.

        Args:
            keys: of the table.
        """
        if older := next((each for each in _OLDER if each in self.parameters), None):
            raise NotHere(f"{self.kind}Item: the parameter {older} is not here. Fix: write a {_OLDER[older]}")
        if self.kind == "Put":
            return _key_in(self.parameters["Item"], keys)
        return key_of(self.parameters["Key"], keys)


def writes(operation: str, given: Mapping[str, Any]) -> Iterator[Write]:
    """Each item that one of WRITES may change, in its order."""
    if operation == "BatchWriteItem":
        for name, requests in given["RequestItems"].items():
            for request in requests:
                kind, parameters = _only(request)
                yield Write(name, kind.removesuffix("Request"), parameters)
    elif operation == "TransactWriteItems":
        for part in given["TransactItems"]:
            kind, parameters = _only(part)
            yield Write(parameters["TableName"], kind, parameters)
    else:
        yield Write(given["TableName"], operation.removesuffix("Item"), given)


def _only(part: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if len(part) != 1:
        raise invalid("A write of a batch or a transaction has exactly one of Put, Update, Delete and ConditionCheck")
    return next(iter(part.items()))


def check_batch(items: Iterable[tuple[str, Item]]) -> None:
    """Refuses a batch that is too long, or has an item twice.

    Args:
        items: name of the table, and key.
    """
    found = [(name, item_of(image(key))) for name, key in items]
    if len(found) > _MAX_BATCH:
        raise invalid(f"Too many items requested for the BatchWriteItem call: {_MAX_BATCH} at most")
    if len(set(found)) < len(found):
        raise invalid("Provided list of item keys contains duplicates")


def key_of(given: Item, keys: Keys) -> Item:
    """The key by which a request names an item."""
    if {name: _type(value) for name, value in given.items()} != dict(keys):
        raise invalid("The provided key element does not match the schema")
    _check_not_empty(given)
    return given


def _key_in(item: Item, keys: Keys) -> Item:
    """The key of a whole item."""
    for name, kind in keys.items():
        if name not in item:
            raise invalid(f"{_PARAMETERS}: Missing the key {name} in the item")
        if (actual := _type(item[name])) != kind:
            raise invalid(f"{_PARAMETERS}: Type mismatch for key {name} expected: {kind} actual: {actual}")
    key = {name: item[name] for name in keys}
    _check_not_empty(key)
    return key


def _check_not_empty(key: Item) -> None:
    for name, value in key.items():
        if not next(iter(value.values())):
            what = "The AttributeValue for a key attribute cannot contain an empty"
            kind = "binary" if "B" in value else "string"
            raise invalid(f"One or more parameter values are not valid. {what} {kind} value. Key: {name}")


def _type(value: Mapping[str, Any]) -> str:
    return next(iter(value))
