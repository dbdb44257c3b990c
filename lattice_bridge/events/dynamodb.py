"""Events of DynamoDB Streams: a batch of changes of a table → records; a change → its event.

Rule: AWS writes the ARN of the stream, so its table is evidence. The writer of an item writes its keys and attributes.
A change of an item that belongs to two tenants, before and after, belongs to none (trap E19). Changes of one item keep
their order.
Source: the Lambda guide's "Process DynamoDB records with Lambda", and events recorded on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.record import Claim, Record
from lattice_bridge.events.stream import malformed, sequence_number

SOURCE: Final = "aws:dynamodb"
"""The value of `eventSource`."""
_NAME: Final = "dynamodb"

_CHANGES: Final = ("INSERT", "MODIFY", "REMOVE")
_IMAGES: Final = ("NewImage", "OldImage")
_SERVICE: Final = "DynamoDB"
_DYNAMODB: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


# ---- event → records ------------------------------------------------------------------------------------------------


def records_of(contents: Iterable[object]) -> list[Record]:
    """The records of a batch, in order.

    Raises:
        BadRequest: `malformed_event`: a record has no sequence number, so that it could not be reported as failed.
    """
    return [_record(index, content) for index, content in enumerate(contents)]


def _record(index: int, found: object) -> Record:
    content: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    change = content.get("dynamodb")
    if not isinstance(change, Mapping):
        change = {}
    number, arn = sequence_number(index, change.get("SequenceNumber")), content.get("eventSourceARN")
    if content.get("eventSource") != SOURCE or not isinstance(arn, str):
        return Record(_NAME, number, str(arn), content, fault=malformed("eventSource or eventSourceARN", _SERVICE))
    keys = change.get("Keys")
    # A record that cannot be used keeps its place in the order: later ones of its item must not overtake it.
    group = item_of(keys) if isinstance(keys, Mapping) and keys else None
    fault = malformed("Keys", _SERVICE) if group is None else _fault(content, change)
    return Record(_NAME, number, table_of(arn), content, group=group, fault=fault)


def table_of(arn: str) -> str:
    """The ARN of the table of a stream: `…:table/NAME/stream/LABEL`."""
    return arn.partition("/stream/")[0]


def item_of(keys: Mapping[str, Any]) -> str:
    """One text for the keys of an item, the same whatever their order.

    >>> item_of({"b": {"S": "1"}, "a": {"N": "2"}})
    '{"a":{"N":"2"},"b":{"S":"1"}}'
    """
    return json.dumps(keys, sort_keys=True, separators=(",", ":"))


def _fault(content: Mapping[str, Any], change: Mapping[str, Any]) -> BadRequest | None:
    if content.get("eventName") not in _CHANGES:
        return malformed("eventName", _SERVICE)
    if any(image in change and not isinstance(change[image], Mapping) for image in _IMAGES):
        return malformed("NewImage or OldImage", _SERVICE)
    return None


# ---- the tenant that a record asks for ------------------------------------------------------------------------------


def claimed(record: Record, claim: Claim) -> object:
    """The value that a claim names; None if there is none.

    An `image` claim reads every image that the record contains: a REMOVE has the old one only, and an INSERT the new
    one.

    Raises:
        BadRequest: `images_differ`: the item had another value before the change, or none.
    """
    change = record.content["dynamodb"]
    if claim.kind == "key":
        return _text(change["Keys"].get(claim.name))
    images = [change[image] for image in _IMAGES if image in change]
    values = [_text(image.get(claim.name)) for image in images]
    if len(values) == 2 and values[0] != values[1]:
        raise BadRequest("images_differ", f"attribute {claim.name} is not the same before and after the change")
    return values[0] if values else None


def _text(attribute: object) -> object:
    """The value of an attribute of type S; None if it is absent; no text if it has another type."""
    if attribute is None:
        return None
    return attribute["S"] if isinstance(attribute, Mapping) and set(attribute) == {"S"} else _OTHER_TYPE


_OTHER_TYPE: Final = object()


# ---- change → event -------------------------------------------------------------------------------------------------


def write(
    *,
    event_id: str,
    event_name: str,
    keys: Mapping[str, Any],
    new_image: Mapping[str, Any] | None,
    old_image: Mapping[str, Any] | None,
    sequence_number: str,
    size: int,
    view_type: str,
    created: float,
    arn: str,
    is_expired: bool = False,
) -> dict[str, Any]:
    """The record that Lambda makes of a change.

    Args:
        event_id, event_name: 32 hexadecimal digits; `INSERT`, `MODIFY` or `REMOVE`.
        keys, new_image, old_image: in DynamoDB's JSON, binary values as base64; an image that the view lacks is None.
        sequence_number, size, view_type, created: decimal; bytes; as in `NEW_AND_OLD_IMAGES`; seconds since the epoch.
        is_expired: DynamoDB itself deleted the item, whose time to live had ended.
    """
    images = {"NewImage": new_image, "OldImage": old_image}
    return {
        "eventID": event_id,
        "eventName": event_name,
        "eventVersion": "1.1",
        "eventSource": SOURCE,
        "awsRegion": arn.split(":")[3],
        "dynamodb": {
            "ApproximateCreationDateTime": created,
            "Keys": dict(keys),
            **{name: dict(image) for name, image in images.items() if image is not None},
            "SequenceNumber": sequence_number,
            "SizeBytes": size,
            "StreamViewType": view_type,
        },
        **({"userIdentity": _DYNAMODB} if is_expired else {}),
        "eventSourceARN": arn,
    }
