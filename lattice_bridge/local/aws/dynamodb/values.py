"""Attribute values: read from a request, written into a response, as images of a stream, and measured.

Rule: a value has one form here. Binary values are bytes, a number has the digits that DynamoDB gives back (`1.0` is
`1`), and the values of a set have an order. So two images are equal if DynamoDB calls them equal.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError, invalid

if TYPE_CHECKING:
    from botocore.model import Shape

Item = Mapping[str, Any]
"""Attribute name → value, as in `{"id": {"S": "a"}}`."""

_VALUE: Final = "AttributeValue"
_MAX_LEVELS: Final = 32
_MAX_DIGITS: Final = 38
_MAX_EXPONENT: Final = 125
_MIN_EXPONENT: Final = -130
TOO_DEEP: Final = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)
_SETS: Final = ("SS", "NS", "BS")


# ---- requests and responses -----------------------------------------------------------------------------------------


def parse(value: Any, shape: Shape) -> Any:
    """The members of a request that its model has, with attribute values in their one form.

    Args:
        value: JSON of the types that the shape has; the caller has checked them.
        shape: of botocore's model.

    Raises:
        DynamoDbError: an attribute value is not one.
    """
    if value is None:
        return None
    if shape.name == _VALUE:
        return _parsed(value, 1)
    if shape.type_name == "structure":
        members = shape.members
        return {
            name: parse(each, members[name]) for name, each in value.items() if name in members and each is not None
        }
    if shape.type_name == "map":
        return {key: parse(each, shape.value) for key, each in value.items()}
    if shape.type_name == "list":
        return [parse(each, shape.member) for each in value]
    return value


def written(result: Any, shape: Shape) -> Any:
    """The JSON of a result: the members that the model has, with binary values as base64 and times as seconds."""
    if shape.name == _VALUE:
        return _as_json(result)
    if shape.type_name == "structure":
        members = shape.members
        return {
            name: written(each, members[name]) for name, each in result.items() if name in members and each is not None
        }
    if shape.type_name == "map":
        return {key: written(each, shape.value) for key, each in result.items()}
    if shape.type_name == "list":
        return [written(each, shape.member) for each in result]
    return result.timestamp() if isinstance(result, datetime) else result


def _parsed(value: Any, level: int) -> dict[str, Any]:
    if level > _MAX_LEVELS:
        raise invalid(TOO_DEEP)
    if not isinstance(value, dict):
        raise DynamoDbError("SerializationException", "Unexpected value type in payload")
    found = {kind: each for kind, each in value.items() if each is not None}
    if len(found) != 1:
        what = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        raise invalid(what if not found else what.replace("is empty", "has more than one datatypes set"))
    ((kind, each),) = found.items()
    if kind == "M" and isinstance(each, dict):
        return {kind: {name: _parsed(one, level + 1) for name, one in each.items()}}
    if kind == "L" and isinstance(each, list):
        return {kind: [_parsed(one, level + 1) for one in each]}
    if kind in _SETS and isinstance(each, list):
        return {kind: _set([_scalar(kind[0], one) for one in each])}
    return {kind: _scalar(kind, each)}


def _scalar(kind: str, value: Any) -> Any:
    if kind == "S" and isinstance(value, str):
        return value
    if kind == "N" and isinstance(value, str):
        return _number(value)
    if kind == "B" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise DynamoDbError("SerializationException", "A binary value is not base64") from None
    if kind == "BOOL" and isinstance(value, bool):
        return value
    if kind == "NULL":
        if value is not True:
            raise invalid(f"{_PARAMETERS}: Null attribute value types must have the value of true")
        return value
    raise DynamoDbError("SerializationException", f"An attribute value of the type {kind[:10]} has another content")


_PARAMETERS: Final = "One or more parameter values were invalid"


def _set(values: list[Any]) -> list[Any]:
    if not values:
        raise invalid(f"{_PARAMETERS}: An set  may not be empty")  # two spaces, as DynamoDB writes it
    if len(set(values)) != len(values):
        raise invalid(f"{_PARAMETERS}: Input collection contains duplicates.")
    return values


def _number(text: str) -> str:
    """A number as DynamoDB stores it: no zeros before the first digit, and none behind the last one.

    Source: "Numbers" in the developer guide's "Supported data types and naming rules".
    """
    try:
        # The limit is for the time that Decimal takes. A context cannot lose digits: it is not used here.
        number = (
            Decimal(text)
            if len(text) <= 1000 and text.isascii() and text == text.strip() and "_" not in text
            else Decimal("NaN")
        )
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise invalid(f"The parameter cannot be converted to a numeric value: {text[:100]}")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    kept = list(digits)
    while len(kept) > 1 and kept[-1] == 0:
        kept.pop()
        exponent += 1
    if kept == [0]:
        return "0"
    if len(kept) > _MAX_DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    first = number.adjusted()
    if first > _MAX_EXPONENT:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    if first < _MIN_EXPONENT:
        raise invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
    return format(Decimal((sign, tuple(kept), exponent)), "f")


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, each),) = value.items()
    if kind == "M":
        return {kind: {name: _as_json(one) for name, one in each.items()}}
    if kind == "L":
        return {kind: [_as_json(one) for one in each]}
    if kind in ("N", "B"):
        return {kind: _scalar_as_json(kind, each)}
    return {kind: [_scalar_as_json(kind[0], one) for one in each] if kind in _SETS else each}


def _scalar_as_json(kind: str, value: Any) -> Any:
    """A value of a set, or one that is alone. Arithmetic of an update leaves other digits of a number."""
    return _number(value) if kind == "N" else base64.b64encode(value).decode() if kind == "B" else value


# ---- images ---------------------------------------------------------------------------------------------------------


def image(item: Item) -> dict[str, Any]:
    """An item as a stream shows it, in JSON: binary values as base64. Images of equal items are equal."""
    return {name: _image(value) for name, value in item.items()}


def _image(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, each),) = value.items()
    if kind == "M":
        return {kind: image(each)}
    if kind == "L":
        return {kind: [_image(one) for one in each]}
    return _as_json({kind: sorted(each, key=Decimal if kind == "NS" else None) if kind in _SETS else each})


def memory_of(item: Item) -> int:
    """The bytes of memory that moto takes for an item, about, as measured."""
    return 500 + size_of(item) + sum(map(_values, item.values())) * 120


def _values(value: Mapping[str, Any]) -> int:
    """How many values there are in one, with itself."""
    kind, each = next(iter(value.items()))
    inner = each.values() if kind == "M" else each if kind == "L" else ()
    return 1 + sum(map(_values, inner))


def size_of(item: Item) -> int:
    """The bytes of an image, as DynamoDB counts them.

    Source: "DynamoDB item sizes and formats" in the developer guide. The records of the guide's example of a stream
    have these sizes.
    """
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(value: Mapping[str, Any]) -> int:
    kind, each = next(iter(value.items()))
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(one) for name, one in each.items())
    if kind == "L":
        return 3 + sum(1 + _size(one) for one in each)
    if kind in _SETS:
        return sum(_size({kind[0]: one}) for one in each)
    if kind == "N":
        text = str(each)
        digits = len(text.lstrip("-").replace(".", "").strip("0")) or 1
        return (digits + 1) // 2 + 1 + text.startswith("-")
    if kind == "B":
        return len(each) // 4 * 3 - str(each).count("=")
    return len(str(each).encode()) if kind == "S" else 1
