"""Departures of a record from what Lambda makes of a message of an SQS queue.

Rule: the fields and their types are checked, and what can be computed: the checksum and the region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lattice_bridge.config.tables.source_arns import queue_fault
from lattice_bridge.events import sqs
from lattice_bridge.local.aws.sqs.message import md5_of
from lattice_bridge.testing.departure import Departures, Fields, Known

RECORDS: Final = Known("observed", "Records of SQS")

_STRINGS: Final = (*("messageId", "receiptHandle", "body", "md5OfBody", "eventSource", "eventSourceARN", "awsRegion"),)
_ALWAYS: Final = ("ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp")
_OF_FIFO: Final = ("MessageGroupId", "MessageDeduplicationId", "SequenceNumber")
_SOMETIMES: Final = ("MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn")
_LISTS: Final = ("stringListValues", "binaryListValues")


def of_message(record: Fields, found: Departures) -> None:
    """Adds the departures of one record."""
    known = {*_STRINGS, "attributes", "messageAttributes", "md5OfMessageAttributes"}
    for key in record:
        if key not in known:
            found.key(record, str(key), "no such key", RECORDS)
    for key in _STRINGS:
        if not isinstance(record.get(key), str):
            found.key(record, key, "a string, always there", RECORDS)
    arn, body = record.get("eventSourceARN"), record.get("body")
    if isinstance(arn, str):
        if queue_fault("eventSourceARN", arn) is not None:
            found.key(record, "eventSourceARN", "the ARN of a queue", RECORDS)
        elif record.get("awsRegion") != arn.split(":")[3]:
            found.key(record, "awsRegion", f"the queue's region: {arn.split(':')[3]}", RECORDS)
    if isinstance(body, str) and record.get("md5OfBody") != md5_of(body):
        found.key(record, "md5OfBody", f"the MD5 of the body: {md5_of(body)}", RECORDS)
    if isinstance(attributes := record.get("attributes"), Mapping):
        _system(attributes, found.inside("attributes"), is_fifo=isinstance(arn, str) and arn.endswith(sqs.FIFO))
    if isinstance(given := record.get("messageAttributes"), Mapping):
        for name, attribute in given.items():
            _attribute(attribute, found.inside("messageAttributes", str(name)))
    else:
        found.key(record, "messageAttributes", "an object, always there", RECORDS)


def _system(attributes: Fields, found: Departures, *, is_fifo: bool) -> None:
    always = (*_ALWAYS, *_OF_FIFO) if is_fifo else _ALWAYS
    for name in always:
        if name not in attributes:
            found.key(attributes, name, "a string, always there", RECORDS)
    for name, value in attributes.items():
        if name not in (*always, *_SOMETIMES):
            found.key(attributes, str(name), "no such key", RECORDS)
        elif not isinstance(value, str):
            found.key(attributes, str(name), "a string, also of a number", RECORDS)


def _attribute(attribute: object, found: Departures) -> None:
    if not isinstance(attribute, Mapping):
        found.add(attribute, "an object with dataType and a value", RECORDS)
        return
    kind = attribute.get("dataType")
    is_binary = isinstance(kind, str) and kind.partition(".")[0] == "Binary"
    member = "binaryValue" if is_binary else "stringValue"
    for key in ("dataType", member):
        if not isinstance(attribute.get(key), str):
            found.key(attribute, key, "a string", RECORDS)
    for key in _LISTS:
        if attribute.get(key) != []:
            found.key(attribute, key, "an empty list", RECORDS)
    for key in attribute:
        if key not in ("dataType", member, *_LISTS):
            found.key(attribute, str(key), "no such key", RECORDS)
