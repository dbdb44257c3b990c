"""Puts clicks into the stream and orders into the table: good ones, poison, and one on which the function fails."""

from __future__ import annotations

import json
from typing import Any

CLICKS = (
    ("visitor-1", {"tenant": "blue", "page": "/home"}),
    ("visitor-2", {"tenant": "green", "page": "/home"}),
    ("visitor-3", {"page": "/home"}),  # no tenant: quarantined
    ("visitor-4", {"tenant": "red", "page": "/home"}),  # suspended: quarantined
    ("visitor-1", {"tenant": "blue", "page": "nowhere"}),  # the function fails: tried again, then discarded
    ("visitor-1", {"tenant": "blue", "page": "/cart"}),  # waits for the one before it
    ("visitor-2", {"tenant": "green", "page": "/cart"}),  # another visitor: does not wait
)
"""Partition key and data. Clicks of one visitor keep their order."""

ORDERS = (
    {"tenant": "blue", "order": "b-1", "state": "placed"},
    {"tenant": "green", "order": "g-1", "state": "placed"},
    {"tenant": "purple", "order": "p-1", "state": "placed"},  # no such tenant: quarantined
    {"tenant": "blue", "order": "b-1", "state": "shipped"},
)
"""Items. The last one changes the first one."""


def put(kinesis: Any, dynamodb: Any) -> None:
    """Puts all of them. A PutRecords has the order that it is written in, per shard."""
    records = [{"PartitionKey": key, "Data": json.dumps(click).encode()} for key, click in CLICKS]
    answer = kinesis.put_records(StreamName="clicks", Records=records)
    if answer["FailedRecordCount"]:
        raise RuntimeError("Kinesis took only a part of the records: a producer has to send the others again")
    for order in ORDERS:
        dynamodb.put_item(TableName="orders", Item={name: {"S": value} for name, value in order.items()})


if __name__ == "__main__":
    import boto3

    put(boto3.client("kinesis"), boto3.client("dynamodb"))
