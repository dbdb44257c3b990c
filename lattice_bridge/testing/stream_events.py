"""Builds the events that Lambda makes of records of a Kinesis stream, and of changes of a DynamoDB table, for tests.

Rule: the records of an event are in the order of a shard. A record that no client can put is refused. For a forged
event, change the result.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from json import dumps
from typing import Any, Final, Literal, TypedDict, Unpack

from lattice_bridge.events import dynamodb, kinesis
from lattice_bridge.local.aws.dynamodb.errors import DynamoDbError
from lattice_bridge.local.aws.dynamodb.values import image, size_of
from lattice_bridge.testing.aggregates import aggregate
from lattice_bridge.testing.builders import ACCOUNT, REGION, TIME, microseconds

STREAM: Final = "clicks"
TABLE: Final = "orders"
"""The names of the default stream and the default table."""
STREAM_LABEL: Final = "2025-11-21T00:00:00.000"

FIRST_OF_KINESIS: Final = 49590338271490256608559692538361571095921575989136588898
FIRST_OF_DYNAMODB: Final = 4421584500000000017450439091
"""The sequence numbers of the first records, as AWS documents them."""

Data = str | bytes
View = Literal["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"]

_NAMESPACE: Final = uuid.UUID("b5a7cb9a-0a4c-4f5e-9d53-2f6f1f0f7a41")
_MAX_DATA: Final = 10 * 1024 * 1024
_IMAGES: Final[Mapping[str, tuple[bool, bool]]] = {
    "NEW_AND_OLD_IMAGES": (True, True),
    "NEW_IMAGE": (True, False),
    "OLD_IMAGE": (False, True),
    "KEYS_ONLY": (False, False),
}
"""The view of a table's stream → whether its records contain the new image, and the old one."""


# ---- Kinesis --------------------------------------------------------------------------------------------------------


class KinesisOptions(TypedDict, total=False):
    """The arguments of `kinesis_record` beside the data. Each may be left out.

    Attributes:
        stream: its name, or its ARN.
        partition_key: records with one key keep their order.
        sequence_number: its id in the batch response: decimal digits. In an event, each record without one gets a
            higher one than the record before it.
        shard: the index of its shard.
        arrived: when it was put: microseconds since 1970, or a datetime with a zone.
    """

    stream: str
    partition_key: str
    sequence_number: str
    shard: int
    arrived: int | datetime


def kinesis_event(*records: Data | Mapping[str, Any], **options: Unpack[KinesisOptions]) -> dict[str, Any]:
    """The event that a function receives from an event source mapping of a Kinesis stream. The same arguments make the
    same event.

    >>> event = kinesis_event('{"order": 7}', '{"order": 8}', partition_key="blue")
    >>> [record["kinesis"]["partitionKey"] for record in event["Records"]]
    ['blue', 'blue']

    Args:
        records: data, or records of `kinesis_record`; one record without content if none is given.
        options: of the records that are given as data, see `KinesisOptions`.

    Raises:
        ValueError: as `kinesis_record`; or the sequence numbers do not ascend.
    """
    made = [kinesis_record(one, **options) if isinstance(one, str | bytes) else one for one in records or ("{}",)]
    return {"Records": _ascending(made, FIRST_OF_KINESIS, _kinesis_number, _renumbered_kinesis)}


def kinesis_record(
    data: Data = "{}",
    *,
    json: Any = ...,
    aggregated: Iterable[tuple[str, Data]] = (),
    **options: Unpack[KinesisOptions],
) -> dict[str, Any]:
    """One record of such an event.

    >>> import base64
    >>> record = kinesis_record(json={"tenant": "blue"}, partition_key="blue")
    >>> base64.b64decode(record["kinesis"]["data"])
    b'{"tenant": "blue"}'

    Args:
        data: as put; a string is sent as UTF-8.
        json: a value to send as JSON instead of `data`.
        aggregated: the partition key and the data of each record of an aggregate of the Kinesis Producer Library, which
            is sent instead of `data`.
        options: the stream, the partition key and what else is in a record, see `KinesisOptions`.

    Raises:
        ValueError: no client can put this record; the message has the fix.
        TypeError: an argument that there is not.
    """
    _check_options(options, KinesisOptions)
    sent = _content(data, json, [(key, _bytes(one)) for key, one in aggregated])
    return kinesis.write(
        shard_id=_shard_id(options.get("shard", 0)),
        sequence_number=_number(options.get("sequence_number", str(FIRST_OF_KINESIS))),
        partition_key=_partition_key(options.get("partition_key", "key-1")),
        data=sent,
        arrived=microseconds(options.get("arrived", TIME), "arrived") // 1000 / 1000,
        arn=_arn("stream", "kinesis", options.get("stream", STREAM)),
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/bridge",
    )


def _content(data: Data, json: Any, aggregated: list[tuple[str, bytes]]) -> bytes:
    given = [
        name for name, one in (("data", data != "{}"), ("json", json is not ...), ("aggregated", aggregated)) if one
    ]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} are both given. Fix: leave one of them out")
    text = data if json is ... else dumps(json, allow_nan=False, ensure_ascii=False)
    sent = aggregate(aggregated) if aggregated else _bytes(text)
    if len(sent) > _MAX_DATA:
        raise ValueError(f"data has {len(sent):,} bytes, and Kinesis takes {_MAX_DATA:,}. Fix: write less")
    return sent


def _partition_key(key: str) -> str:
    if not 1 <= len(key) <= 256:
        raise ValueError(f"partition_key has the length {len(key)}. Fix: write 1 to 256 characters")
    return key


def _shard_id(shard: int) -> str:
    if isinstance(shard, bool) or not isinstance(shard, int) or not 0 <= shard < 10**12:
        raise ValueError(f"shard {shard!r} is not the index of one. Fix: write 0 or more")
    return f"shardId-{shard:012}"


def _bytes(data: Data) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _kinesis_number(record: Mapping[str, Any]) -> object:
    fields = record.get("kinesis")
    return fields.get("sequenceNumber") if isinstance(fields, Mapping) else None


def _renumbered_kinesis(record: Mapping[str, Any], number: str) -> dict[str, Any]:
    shard_id = str(record["eventID"]).partition(":")[0]
    return {
        **record,
        "kinesis": {**record["kinesis"], "sequenceNumber": number},
        "eventID": f"{shard_id}:{number}",
    }


# ---- DynamoDB -------------------------------------------------------------------------------------------------------


class DynamoDbOptions(TypedDict, total=False):
    """The arguments of `dynamodb_record` about the table and the change. Each may be left out.

    Attributes:
        table: its name, or its ARN.
        view: of the table's stream: the images that its records contain.
        sequence_number: its id in the batch response: decimal digits. In an event, each record without one gets a
            higher one than the record before it.
        created: when the item was changed: microseconds since 1970, or a datetime with a zone.
        expired: DynamoDB itself deleted the item, whose time to live had ended.
    """

    table: str
    view: View
    sequence_number: str
    created: int | datetime
    expired: bool


def dynamodb_event(*records: Mapping[str, Any]) -> dict[str, Any]:
    """The event that a function receives from an event source mapping of a table's stream. The same arguments make the
    same event.

    >>> event = dynamodb_event(dynamodb_record({"tenant": "blue"}), dynamodb_record({"tenant": "green"}))
    >>> [record["eventName"] for record in event["Records"]]
    ['INSERT', 'INSERT']

    Args:
        records: of `dynamodb_record`; one if none is given.

    Raises:
        ValueError: the sequence numbers do not ascend.
    """
    made = records or (dynamodb_record(),)
    return {"Records": _ascending(made, FIRST_OF_DYNAMODB, _dynamodb_number, _renumbered_dynamodb)}


def dynamodb_record(
    keys: Mapping[str, Any] | None = None,
    *,
    new: Mapping[str, Any] | None = None,
    old: Mapping[str, Any] | None = None,
    **options: Unpack[DynamoDbOptions],
) -> dict[str, Any]:
    """One record of such an event: an INSERT with `new` or with neither, a REMOVE with `old`, a MODIFY with both.

    >>> record = dynamodb_record({"id": 7}, new={"owner": "blue"}, old={"owner": "green"})
    >>> record["eventName"], record["dynamodb"]["NewImage"]
    ('MODIFY', {'id': {'N': '7'}, 'owner': {'S': 'blue'}})

    Args:
        keys: of the item: one or two strings, numbers or bytes; `{"id": "1"}` if they are left out.
        new, old: the item's other attributes after and before the change, as Python values that boto3 takes.
        options: the table, the view and what else is in a record, see `DynamoDbOptions`.

    Raises:
        ValueError: DynamoDB has no such item or change; the message has the fix.
        TypeError: an argument that there is not.
    """
    _check_options(options, DynamoDbOptions)
    own, is_expired = _keys({"id": "1"} if keys is None else keys), options.get("expired", False)
    name, new, old = _change(new, old, is_expired=is_expired)
    number, written = _number(options.get("sequence_number", str(FIRST_OF_DYNAMODB))), _attributes("keys", own)
    view, images = _images(new, old, own, options)
    return dynamodb.write(
        event_id=_event_id(number, written),
        event_name=name,
        keys=written,
        new_image=images[0],
        old_image=images[1],
        sequence_number=number,
        size=sum(size_of(one) for one in (written, *images) if one is not None),
        view_type=view,
        created=float(microseconds(options.get("created", TIME), "created") // 1_000_000),
        arn=f"{_arn('table', 'dynamodb', options.get('table', TABLE))}/stream/{STREAM_LABEL}",
        is_expired=is_expired,
    )


_Image = Mapping[str, Any] | None


def _change(new: _Image, old: _Image, *, is_expired: bool) -> tuple[str, _Image, _Image]:
    """The name of a change, with the new and the old image."""
    if is_expired and new is not None:
        raise ValueError("expired is for an item that is deleted, and new is given. Fix: leave one of them out")
    if new is None and old is None:
        new, old = (None, {}) if is_expired else ({}, None)
    return "INSERT" if old is None else "REMOVE" if new is None else "MODIFY", new, old


def _images(
    new: _Image, old: _Image, keys: Mapping[str, Any], options: DynamoDbOptions
) -> tuple[str, tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """The view, and the images that it has: the new one and the old one."""
    view = options.get("view", "NEW_AND_OLD_IMAGES")
    if view not in _IMAGES:
        raise ValueError(f"view {view!r} is not one of a stream. Fix: write one of {', '.join(_IMAGES)}")
    has_new, has_old = _IMAGES[view]
    return view, (_image("new", new if has_new else None, keys), _image("old", old if has_old else None, keys))


def _keys(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    if not 1 <= len(keys) <= 2:
        raise ValueError(
            f"keys has {len(keys)} attributes. Fix: write the partition key, and the sort key if there is one"
        )
    for name, value in keys.items():
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal | bytes) or value in ("", b""):
            fix = "write a string, a number or bytes, which are not empty"
            raise ValueError(f"keys: {name!r} is {value!r}, which no key can be. Fix: {fix}")
    return keys


def _image(argument: str, attributes: Mapping[str, Any] | None, keys: Mapping[str, Any]) -> dict[str, Any] | None:
    """An item, which contains its keys."""
    if attributes is None:
        return None
    for name in keys:
        if attributes.get(name, keys[name]) != keys[name]:
            raise ValueError(f"{argument}: {name!r} is a key, and keys has another value. Fix: leave it out")
    return _attributes(argument, {**keys, **attributes})


def _attributes(argument: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as a stream shows them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            found |= image({name: _serializer().serialize(value)})
        except (TypeError, ArithmeticError, DynamoDbError) as error:
            fix = "write a Decimal" if isinstance(value, float) else "write a value that boto3 takes"
            raise ValueError(f"{argument}: {name!r} cannot be an attribute: {error}. Fix: {fix}") from error
    return found


@cache
def _serializer() -> Any:
    from boto3.dynamodb.types import TypeSerializer  # a quarter of a second, which only tests of tables pay

    return TypeSerializer()


def _event_id(number: str, keys: Mapping[str, Any]) -> str:
    return uuid.uuid5(_NAMESPACE, repr((number, sorted(keys.items())))).hex


def _dynamodb_number(record: Mapping[str, Any]) -> object:
    change = record.get("dynamodb")
    return change.get("SequenceNumber") if isinstance(change, Mapping) else None


def _renumbered_dynamodb(record: Mapping[str, Any], number: str) -> dict[str, Any]:
    change = {**record["dynamodb"], "SequenceNumber": number}
    return {**record, "eventID": _event_id(number, change["Keys"]), "dynamodb": change}


# ---- both -----------------------------------------------------------------------------------------------------------


def _ascending(
    records: Iterable[Mapping[str, Any]],
    first: int,
    number_of: Callable[[Mapping[str, Any]], object],
    renumbered: Callable[[Mapping[str, Any], str], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The records with ascending sequence numbers: one without a number of its own gets the next one."""
    found: list[dict[str, Any]] = []
    before = -1
    for index, record in enumerate(records):
        number = number_of(record)
        if number == str(first):
            number = str(max(first, before + 1))
            record = renumbered(record, number)
        if isinstance(number, str) and number.isdecimal():
            if int(number) <= before:
                what = f"record {index + 1} has the sequence number {number}, which is not above that of the one before"
                raise ValueError(f"{what}. Fix: write sequence_number in ascending order")
            before = int(number)
        found.append(dict(record))
    return found


def _number(text: str) -> str:
    if not isinstance(text, str) or not text.isascii() or not text.isdecimal() or not 1 <= len(text) <= 128:
        raise ValueError(f"sequence_number {text!r} is not one. Fix: write 1 to 128 decimal digits, as a string")
    return text


def _check_options(options: Mapping[str, Any], known: type) -> None:
    names = known.__annotations__
    if unknown := set(options) - set(names):
        raise TypeError(f"no argument {min(unknown)!r}. Fix: write one of {', '.join(names)}")


def _arn(argument: Literal["stream", "table"], service: str, name: str) -> str:
    from lattice_bridge.config.tables.source_arns import source_fault  # for tests of streams alone

    arn = name if name.startswith("arn:") else f"arn:aws:{service}:{REGION}:{ACCOUNT}:{argument}/{name}"
    if arn.split(":", 3)[2] != service or (fault := source_fault(argument, arn)) is not None:
        if name == arn and arn.split(":", 3)[2] == service:
            raise ValueError(fault)
        what = "an ARN of another service" if name == arn else f"not the name of a {argument}"
        fix = "1 to 128" if argument == "stream" else "3 to 255"
        raise ValueError(f"{argument} {name!r} is {what}. Fix: write {fix} of A-Z a-z 0-9 _ . -, or its ARN")
    return arn
