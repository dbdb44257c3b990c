"""The batches of records that are measured: the same for all peers."""

from __future__ import annotations

import json
from typing import Any, Final

from benchmarks.configuration import SENDER
from benchmarks.request import TENANT
from lattice_bridge.events import dynamodb, kinesis

ARN: Final = "arn:aws:sqs:us-east-1:123456789012:orders"
FIFO_ARN: Final = f"{ARN}.fifo"
STREAM_ARN: Final = "arn:aws:kinesis:us-east-1:123456789012:stream/orders"
TABLE_ARN: Final = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def record(arn: str, number: int) -> dict[str, Any]:
    """A record of 1 KB as Lambda writes it, of a queue, a stream or a table. It names the tenant, and no other record
    has to wait for it."""
    service = arn.split(":")[2]
    if service == "kinesis":
        return _of_stream(number)
    return _of_table(number) if service == "dynamodb" else _of_queue(arn, number)


def _of_stream(number: int) -> dict[str, Any]:
    """Its data names the tenant, in JSON."""
    return kinesis.write(
        shard_id="shardId-000000000000",
        sequence_number=f"{49590338271490256608559692538361571095921575989136588898 + number}",
        partition_key=f"order-{number}",
        data=json.dumps({"tenant": TENANT, "order": "x" * 985}).encode(),
        arrived=1545084650.987,
        arn=STREAM_ARN,
        role_arn="arn:aws:iam::123456789012:role/router",
    )


def _of_table(number: int) -> dict[str, Any]:
    """The key of the item names the tenant."""
    keys = {"tenant": {"S": TENANT}, "id": {"S": f"order-{number}"}}
    return dynamodb.write(
        event_id=f"{number:032x}",
        event_name="INSERT",
        keys=keys,
        new_image={**keys, "order": {"S": "x" * 960}},
        old_image=None,
        sequence_number=f"{4421584500000000017450439091 + number}",
        size=1024,
        view_type="NEW_AND_OLD_IMAGES",
        created=1479499740.0,
        arn=f"{TABLE_ARN}/stream/2026-01-01T00:00:00.000",
    )


def _of_queue(arn: str, number: int) -> dict[str, Any]:
    """An attribute names the tenant. In a FIFO queue it has a group of its own."""
    in_order = {
        "MessageGroupId": f"order-{number}",
        "MessageDeduplicationId": f"{number}",
        "SequenceNumber": f"{18849496460467696128 + number}",
    }
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-{number:012x}",
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a" + "x" * 350,
        "body": "x" * 1024,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1545082649183",
            "SenderId": f"{SENDER}:i-0c7f5a1e",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
            **(in_order if arn == FIFO_ARN else {}),
        },
        "messageAttributes": {
            "tenant": {"stringValue": TENANT, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        },
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "md5OfMessageAttributes": "94f61a9bd6d5b8b3a0a04dfd8a1ffd3f",
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": "us-east-1",
    }


def batch_of(arn: str, size: int) -> dict[str, Any]:
    return {"Records": [record(arn, number) for number in range(size)]}
