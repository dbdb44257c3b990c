"""Sends the messages of a quarantine back to their own queues, and deletes each copy that was sent.

    python redrive.py QUARANTINE_URL [REASON]

The bridge decides each message again. SQS writes the id of the role or user that runs this program as the sender, so a
map with rules by `sender` needs one for it: without one, each message comes back to the quarantine.
"""

from __future__ import annotations

import json
import sys
from typing import Any

OURS = "lattice-bridge"
"""The attribute that the bridge adds to each copy. It stays: it ends a message that is quarantined too often."""


def redrive(sqs: Any, quarantine: str, reason: str | None = None) -> int:
    """Sends back the messages that are there for a reason, or all of them. Returns how many it sent.

    Each message that is in the quarantine now is read once: one that comes back meanwhile is not sent again.
    """
    asked = sqs.get_queue_attributes(QueueUrl=quarantine, AttributeNames=["ApproximateNumberOfMessages"])
    left, sent = int(asked["Attributes"]["ApproximateNumberOfMessages"]), 0
    while found := receive(sqs, quarantine, min(left, 10)) if left > 0 else []:
        left -= len(found)
        for message in found:
            note = json.loads(message["MessageAttributes"][OURS]["StringValue"])
            if reason in (None, note["reason"]):
                sqs.send_message(QueueUrl=url_of(sqs, note["source"]), **copy_of(message, note))
                sqs.delete_message(QueueUrl=quarantine, ReceiptHandle=message["ReceiptHandle"])
                sent += 1
    return sent


def receive(sqs: Any, quarantine: str, limit: int) -> list[dict[str, Any]]:
    """Receives messages. One that is not sent back stays invisible for ten minutes, and with it those behind it in its
    group of a FIFO queue."""
    answer = sqs.receive_message(
        QueueUrl=quarantine, MaxNumberOfMessages=limit, MessageAttributeNames=["All"], VisibilityTimeout=600
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def url_of(sqs: Any, arn: str) -> str:
    """The URL of a queue."""
    *_, account, name = arn.split(":")
    url: str = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    return url


def copy_of(message: dict[str, Any], note: dict[str, Any]) -> dict[str, Any]:
    """The message as its sender sent it, with the bridge's attribute. The attributes keep their values."""
    kept = {
        name: {key: value for key, value in attribute.items() if key in ("DataType", "StringValue", "BinaryValue")}
        for name, attribute in message["MessageAttributes"].items()
    }
    copy = {"MessageBody": message["Body"], "MessageAttributes": kept}
    if note["source"].endswith(".fifo"):  # a copy that was sent twice, because this program was ended, counts once
        return {**copy, "MessageGroupId": note["group"], "MessageDeduplicationId": message["MessageId"]}
    return {**copy, "MessageGroupId": note["group"]} if note["group"] else copy


if __name__ == "__main__":
    import boto3

    print("sent back:", redrive(boto3.client("sqs"), *sys.argv[1:]))
