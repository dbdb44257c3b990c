"""Gives records and events that were set aside to the bridge again, and deletes each that it has taken.

    python redrive.py BRIDGE QUEUE_URL [REASON]

BRIDGE is the name or ARN of the bridge, with its alias. The queue is a quarantine of streams, tables or a bus, or the
OnFailure queue of a bridge behind a bus. The bridge decides each record again, by its source. A record that it refuses
again is in the quarantine again.

A record runs now, so it runs after the later ones of its key. The right to invoke the bridge is the right to write the
source and the account into a record: give it to the person who redrives, for that time only.
"""

from __future__ import annotations

import json
import sys
from typing import Any

OURS = "lattice-bridge"
"""The attribute that the bridge adds to each copy."""


def redrive(sqs: Any, functions: Any, bridge: str, queue: str, reason: str | None = None) -> int:
    """Invokes the bridge with what is there for a reason, or with all of it. Returns how many records it has taken.

    Each message that is in the queue now is read once: one that comes back meanwhile is not tried again.
    """
    asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    left, taken = int(asked["Attributes"]["ApproximateNumberOfMessages"]), 0
    while found := receive(sqs, queue, min(left, 10)) if left > 0 else []:
        left -= len(found)
        for message in found:
            note = json.loads(message.get("MessageAttributes", {}).get(OURS, {}).get("StringValue", "{}"))
            if reason in (None, note.get("reason")) and is_taken(functions, bridge, event_of(message["Body"])):
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


def event_of(body: str) -> dict[str, Any]:
    """The event with which the bridge is invoked: for a record a batch of one, as a mapping sends it."""
    found: dict[str, Any] = json.loads(body)
    found = found.get("requestPayload", found)  # of Lambda's record about a failure
    return {"Records": [found]} if "eventSource" in found else found


def is_taken(functions: Any, bridge: str, event: dict[str, Any]) -> bool:
    """Whether the bridge has processed a record, or has stored it in the quarantine again."""
    answer = functions.invoke(FunctionName=bridge, Payload=json.dumps(event).encode())
    result = json.loads(answer["Payload"].read())
    return "FunctionError" not in answer and not (result or {}).get("batchItemFailures")


if __name__ == "__main__":
    import boto3

    print("taken:", redrive(boto3.client("sqs"), boto3.client("lambda"), *sys.argv[1:]))
