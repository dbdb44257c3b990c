"""Events of Amazon Kinesis Data Streams: a batch of records of a shard → records; a record that was put → its event.

Rule: AWS writes the ARN of the stream, so it is evidence. The producer writes the partition key and the data. Records
of one partition key keep their order.
Source: the Lambda guide's "Process Amazon Kinesis Data Streams records with Lambda", and events recorded on AWS. Pipes
writes the fields of `kinesis` beside the others.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.aggregate import Part, is_aggregate, parts_of
from lattice_bridge.events.json_claim import value_in
from lattice_bridge.events.record import Claim, Record
from lattice_bridge.events.stream import malformed, sequence_number

SOURCE: Final = "aws:kinesis"
"""The value of `eventSource`."""
_NAME: Final = "kinesis"

_SERVICE: Final = "Kinesis"


# ---- event → records ------------------------------------------------------------------------------------------------


def records_of(contents: Iterable[object]) -> list[Record]:
    """The records of a batch, in order. An aggregate is one record, with the fault `aggregated`: see `deaggregated`.

    Raises:
        BadRequest: `malformed_event`: a record has no sequence number, so that it could not be reported as failed.
    """
    return [_record(index, content) for index, content in enumerate(contents)]


def _record(index: int, found: object) -> Record:
    content: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    fields = _fields(content)
    number, arn = sequence_number(index, fields.get("sequenceNumber")), content.get("eventSourceARN")
    if content.get("eventSource") != SOURCE or not isinstance(arn, str):
        return Record(_NAME, number, str(arn), content, fault=malformed("eventSource or eventSourceARN", _SERVICE))
    key = fields.get("partitionKey")
    # A record that cannot be used keeps its place in the order: later ones of its key must not overtake it.
    group = key if isinstance(key, str) and key else None
    data = _decoded(fields.get("data"))
    fault = malformed("partitionKey", _SERVICE) if group is None else _fault(data)
    return Record(_NAME, number, stream_of(arn), content, group=group, data=data, fault=fault)


def _fields(content: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = content.get("kinesis", content)
    return fields if isinstance(fields, Mapping) else {}


def stream_of(arn: str) -> str:
    """The stream's ARN. With enhanced fan-out, the event has the consumer's: `…:stream/NAME/consumer/NAME:TIME`."""
    return arn.partition("/consumer/")[0]


def _fault(data: bytes | None) -> BadRequest | None:
    if data is None:
        return malformed("data", _SERVICE)
    return _aggregated() if is_aggregate(data) else None


def _decoded(data: object) -> bytes | None:
    try:
        return binascii.a2b_base64(data, strict_mode=True) if isinstance(data, str) else None
    except ValueError:  # also for text that is not ASCII
        return None


def _aggregated() -> BadRequest:
    what = "the record is an aggregate of the Kinesis Producer Library, and may contain records of several tenants"
    return BadRequest("aggregated", f"{what}. Fix: write deaggregate = true")


# ---- aggregates -----------------------------------------------------------------------------------------------------


def deaggregated(record: Record) -> list[Record]:
    """The records in an aggregate; the record itself if it is none.

    Each has the id of the aggregate: Kinesis knows no other, and delivers all of them again if one fails. Its content
    is what AWS's deaggregation library for Python makes of it.

    >>> deaggregated(Record("kinesis", "1", "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks", {}))[0].id
    '1'
    """
    if record.fault is None or record.fault.reason != "aggregated":
        return [record]
    try:
        return [_part(record, number, part) for number, part in enumerate(parts_of(record.data or b""))]
    except BadRequest as fault:
        return [replace(record, fault=fault)]


def _part(whole: Record, number: int, part: Part) -> Record:
    own: dict[str, Any] = {
        **_fields(whole.content),
        "partitionKey": part.partition_key,
        "data": base64.b64encode(part.data).decode(),
        "subSequenceNumber": number,
        "aggregated": True,
    }
    if part.explicit_hash_key is not None:
        own["explicitHashKey"] = part.explicit_hash_key
    content = {**whole.content, "kinesis": own} if "kinesis" in whole.content else {**whole.content, **own}
    # An aggregate in an aggregate has no meaning, and could hide a tenant from a reader that does not look for it.
    fault = _aggregated() if is_aggregate(part.data) else None
    return replace(whole, content=content, group=part.partition_key, data=part.data, part=number, fault=fault)


# ---- the tenant that a record asks for ------------------------------------------------------------------------------


def claimed(record: Record, claim: Claim) -> object:
    """The value that a claim names; None if there is none.

    Raises:
        BadRequest: `claim_unreadable`: the data is not JSON in which every member has one value.
    """
    if claim.kind == "partition_key":
        return _fields(record.content).get("partitionKey")
    return value_in(record.data or b"", claim.path)


# ---- record that was put → event ------------------------------------------------------------------------------------


def write(
    *,
    shard_id: str,
    sequence_number: str,
    partition_key: str,
    data: bytes,
    arrived: float,
    arn: str,
    role_arn: str,
) -> dict[str, Any]:
    """The record that Lambda makes of a record in a stream.

    Args:
        shard_id: as in `shardId-000000000000`.
        sequence_number: decimal.
        partition_key: of the producer.
        data: of the producer.
        arrived: seconds since the epoch, with milliseconds.
        arn: of the stream.
        role_arn: of the function that reads it.
    """
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(data).decode(),
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": SOURCE,
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": role_arn,
        "awsRegion": arn.split(":")[3],
        "eventSourceARN": arn,
    }
