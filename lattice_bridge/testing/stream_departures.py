"""Departures of a record from what Lambda makes of a record of a Kinesis stream, or of a change of a DynamoDB table.

Rule: the fields and their types are checked, and what can be computed: the region, the event's id, which images there
are. The flat form of Pipes is checked as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.testing.departure import Departures, Fields, Known

PUT: Final = Known("observed", "Records of Kinesis")
CHANGES: Final = Known("observed", "Records of DynamoDB Streams")

_PLACE: Final = r"arn:aws[a-z-]*:%s:[a-z0-9-]+:[0-9]{12}:"
_STREAM_ARN: Final = re.compile(_PLACE % "kinesis" + r"stream/[A-Za-z0-9_.-]{1,128}(/consumer/[A-Za-z0-9_.-]+:[0-9]+)?")
_TABLE_ARN: Final = re.compile(_PLACE % "dynamodb" + r"table/[A-Za-z0-9_.-]{3,255}/stream/[0-9T:.-]+")
_EVENT_ID: Final = re.compile(r"[0-9a-f]{32}")

_OF_PUT: Final = {
    "eventSource": "aws:kinesis",
    "eventVersion": "1.0",
    "eventName": "aws:kinesis:record",
    "eventID": None,
    "invokeIdentityArn": None,
    "awsRegion": None,
    "eventSourceARN": None,
}
_OF_CHANGE: Final = {
    "eventID": None,
    "eventName": None,
    "eventVersion": "1.1",
    "eventSource": "aws:dynamodb",
    "awsRegion": None,
    "eventSourceARN": None,
}
"""The strings of a record, and their value if it is always the same."""
_DATA: Final = {"kinesisSchemaVersion": "1.0", "partitionKey": None, "sequenceNumber": None, "data": None}
_ARRIVED: Final = "approximateArrivalTimestamp"

_VIEWS: Final[Mapping[str, frozenset[str]]] = {
    "NEW_AND_OLD_IMAGES": frozenset({"NewImage", "OldImage"}),
    "NEW_IMAGE": frozenset({"NewImage"}),
    "OLD_IMAGE": frozenset({"OldImage"}),
    "KEYS_ONLY": frozenset(),
}
_OF_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "INSERT": frozenset({"NewImage"}),
    "MODIFY": frozenset({"NewImage", "OldImage"}),
    "REMOVE": frozenset({"OldImage"}),
}
"""The view of a stream, or the name of a change → the images that its records can contain."""
_TYPES: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(("S", "N", "B"), str),
    **dict.fromkeys(("SS", "NS", "BS", "L"), list),
    **dict.fromkeys(("BOOL", "NULL"), bool),
    "M": dict,
}


# ---- Kinesis --------------------------------------------------------------------------------------------------------


def of_put(record: Fields, found: Departures) -> None:
    """Adds the departures of a record of Kinesis. Pipes writes the fields of `kinesis` beside the others."""
    own = record.get("kinesis", record)
    is_flat = own is record
    for key in record:
        if key not in (*_OF_PUT, *((*_DATA, _ARRIVED) if is_flat else ("kinesis",))):
            found.key(record, str(key), "no such key", PUT)
    _strings(record, _OF_PUT, PUT, found)
    inside = found if is_flat else found.inside("kinesis")
    if not is_flat:
        for key in own:
            if key not in (*_DATA, _ARRIVED):
                inside.key(own, str(key), "no such key", PUT)
    _strings(own, _DATA, PUT, inside)
    if not _is_number(own.get(_ARRIVED)):
        inside.key(own, _ARRIVED, "seconds since 1970, with milliseconds", PUT)
    _place(record, _STREAM_ARN, "the ARN of a stream or of its consumer", PUT, found)
    event_id, number = record.get("eventID"), own.get("sequenceNumber")
    if isinstance(event_id, str) and re.fullmatch(rf"shardId-[0-9]{{12}}:{number}", event_id) is None:
        found.key(record, "eventID", "the shard and the sequence number: shardId-000000000000:NUMBER", PUT)


# ---- DynamoDB -------------------------------------------------------------------------------------------------------


def of_change(record: Fields, found: Departures) -> None:
    """Adds the departures of a record of DynamoDB Streams."""
    for key in record:
        if key not in (*_OF_CHANGE, "dynamodb", "userIdentity"):
            found.key(record, str(key), "no such key", CHANGES)
    _strings(record, _OF_CHANGE, CHANGES, found)
    _place(record, _TABLE_ARN, "the ARN of a table's stream", CHANGES, found)
    event_id = record.get("eventID")
    if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) is None:
        found.key(record, "eventID", "32 hexadecimal digits", CHANGES)
    if isinstance(change := record.get("dynamodb"), Mapping):
        _change(change, record.get("eventName"), found.inside("dynamodb"))


def _change(change: Fields, name: object, found: Departures) -> None:
    strings = {"SequenceNumber": None, "StreamViewType": None}
    known = (*strings, "ApproximateCreationDateTime", "Keys", "NewImage", "OldImage", "SizeBytes")
    for key in change:
        if key not in known:
            found.key(change, str(key), "no such key", CHANGES)
    _strings(change, strings, CHANGES, found)
    for key in ("ApproximateCreationDateTime", "SizeBytes"):
        if not _is_number(change.get(key)):
            found.key(change, key, "a number, always there", CHANGES)
    view = change.get("StreamViewType")
    of_view, of_name = (
        table.get(one) if isinstance(one, str) else None for table, one in ((_VIEWS, view), (_OF_NAMES, name))
    )
    if isinstance(view, str) and of_view is None:
        found.key(change, "StreamViewType", f"one of {', '.join(_VIEWS)}", CHANGES)
    if of_view is not None and of_name is not None:
        for image in ("NewImage", "OldImage"):
            if (image in change) != (image in of_view & of_name):
                found.key(change, image, "an image, or none, as eventName and StreamViewType say", CHANGES)
    for part in ("Keys", "NewImage", "OldImage"):
        if isinstance(change.get(part), Mapping):
            _attributes(change[part], found.inside(part), 0)


_DEEPEST: Final = 32
"""Levels of an item, as DynamoDB limits them."""


def _attributes(values: Fields, found: Departures, level: int) -> None:
    for name, value in values.items():
        _attribute(value, found.inside(str(name)), level)


def _attribute(value: Any, found: Departures, level: int) -> None:
    if level > _DEEPEST or not isinstance(value, Mapping) or len(value) != 1:
        found.add(value, f"an object with one of {', '.join(_TYPES)}", CHANGES)
        return
    kind, content = next(iter(value.items()))
    if kind not in _TYPES or not isinstance(content, _TYPES[kind]):
        found.add(value, "a value of its type, with numbers and bytes as strings", CHANGES)
    elif kind == "M":
        _attributes(content, found.inside("M"), level + 1)
    elif kind == "L":
        for index, one in enumerate(content):
            _attribute(one, found.inside("L", str(index)), level + 1)


# ---- both -----------------------------------------------------------------------------------------------------------


def _strings(fields: Fields, expected: Mapping[str, str | None], known: Known, found: Departures) -> None:
    for key, value in expected.items():
        actual = fields.get(key)
        if not isinstance(actual, str):
            found.key(fields, key, "a string, always there", known)
        elif value is not None and actual != value:
            found.key(fields, key, value, known)


def _place(record: Fields, arn: re.Pattern[str], sends: str, known: Known, found: Departures) -> None:
    text = record.get("eventSourceARN")
    if not isinstance(text, str):
        return
    if arn.fullmatch(text) is None:
        found.key(record, "eventSourceARN", sends, known)
    elif record.get("awsRegion") != text.split(":")[3]:
        found.key(record, "awsRegion", f"the region in the ARN: {text.split(':')[3]}", known)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
