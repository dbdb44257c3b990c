"""The batches of records that are measured: the same for all peers."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.configuration import SENDER
from benchmarks.request import TENANT

ARN: Final = "arn:aws:sqs:us-east-1:123456789012:orders"
FIFO_ARN: Final = f"{ARN}.fifo"


def record(arn: str, number: int) -> dict[str, Any]:
    """A record as SQS writes it, with a body of 1 KB. An attribute names the tenant, and it has a group of its own."""
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
