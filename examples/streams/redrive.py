"""Gives what was set aside to the bridge again, and deletes each message whose records it has taken.

    python redrive.py BRIDGE QUEUE_URL [REASON]

BRIDGE is the name or ARN of the bridge, with its alias. The queue is one of these:

* a quarantine of streams, tables or a bus: each message is a copy of a record, or of an event,
* the on-failure queue of a mapping: each message is the place of a batch. Its records are read from the stream,
* the on-failure queue of a bridge behind a bus: each message contains an event.

The bridge decides each record again, by its source. A record that it refuses again is in the quarantine again. Records
run now, and so after the later ones of their keys. Those of a batch that were done run again.

The right to invoke the bridge is the right to write the source and the account into a record. Give it to the person who
redrives, for that time only.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

OURS = "lattice-bridge"
"""The attribute that the bridge adds to each copy."""


def redrive(client: Callable[[str], Any], bridge: str, queue: str, reason: str | None = None) -> int:
    """Invokes the bridge for the messages that are there for a reason, or for all. Returns how many it has taken.

    Each message that is in the queue now is read once: one that comes back meanwhile is not tried again.
    """
    sqs, functions = client("sqs"), client("lambda")
    asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    left, taken = int(asked["Attributes"]["ApproximateNumberOfMessages"]), 0
    while found := receive(sqs, queue, min(left, 10)) if left > 0 else []:
        left -= len(found)
        for message in found:
            note = json.loads(message.get("MessageAttributes", {}).get(OURS, {}).get("StringValue", "{}"))
            if reason in (None, note.get("reason")) and is_taken(functions, bridge, event_of(message["Body"], client)):
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                taken += 1
    return taken


def receive(sqs: Any, queue: str, limit: int) -> list[dict[str, Any]]:
    """Receives messages. One that is not taken stays invisible for ten minutes."""
    answer = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=limit, MessageAttributeNames=["All"], VisibilityTimeout=600
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def is_taken(functions: Any, bridge: str, event: dict[str, Any]) -> bool:
    """Whether the bridge has processed all records, or has stored them in the quarantine again."""
    answer = functions.invoke(FunctionName=bridge, Payload=json.dumps(event, default=written).encode())
    result = json.loads(answer["Payload"].read())
    return "FunctionError" not in answer and not (result or {}).get("batchItemFailures")


def event_of(body: str, client: Callable[[str], Any]) -> dict[str, Any]:
    """The event with which the bridge is invoked: what its source sent."""
    found: dict[str, Any] = json.loads(body)
    if "KinesisBatchInfo" in found:
        return {"Records": clicks_of(client("kinesis"), found["KinesisBatchInfo"])}
    if "DDBStreamBatchInfo" in found:
        return {"Records": changes_of(client("dynamodbstreams"), found["DDBStreamBatchInfo"])}
    found = found.get("requestPayload", found)
    return {"Records": [found]} if "eventSource" in found else found


# ---- the records of a batch that Lambda has discarded ---------------------------------------------------------------


def clicks_of(kinesis: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a batch of a Kinesis stream, as a mapping sends them."""
    iterator = kinesis.get_shard_iterator(
        StreamARN=batch["streamArn"],
        ShardId=batch["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=batch["startSequenceNumber"],
    )
    source = {"eventSource": "aws:kinesis", "eventSourceARN": batch["streamArn"]}
    names = {"partitionKey": "PartitionKey", "sequenceNumber": "SequenceNumber", "data": "Data"}
    return [
        {**source, "kinesis": {ours: record[name] for ours, name in names.items()}}
        for record in read(kinesis, iterator, batch, lambda record: record["SequenceNumber"])
    ]


def changes_of(streams: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a batch of a table, as a mapping sends them."""
    iterator = streams.get_shard_iterator(
        StreamArn=batch["streamArn"],
        ShardId=batch["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=batch["startSequenceNumber"],
    )
    found = read(streams, iterator, batch, lambda record: record["dynamodb"]["SequenceNumber"])
    return [{**record, "eventSourceARN": batch["streamArn"]} for record in found]


def read(
    client: Any, iterator: dict[str, Any], batch: dict[str, Any], number: Callable[[Any], str]
) -> Iterator[dict[str, Any]]:
    """Reads a shard until the last record of a batch. Sequence numbers are integers, written as text."""
    place, last = iterator.get("ShardIterator"), int(batch["endSequenceNumber"])
    while place is not None:
        answer = client.get_records(ShardIterator=place)
        for record in answer["Records"]:
            if int(number(record)) > last:
                return
            yield record
            if int(number(record)) == last:
                return
        place = answer.get("NextShardIterator")


def written(value: Any) -> Any:
    """A value of boto3 as Lambda writes it: bytes as base64, a time in seconds."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.timestamp()


if __name__ == "__main__":
    import boto3

    print("taken:", redrive(boto3.client, *sys.argv[1:]))
