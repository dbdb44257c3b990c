"""Departures of an event with records from what Lambda makes of the messages of an SQS queue.

Rule: the fields of each record and their types are checked, and what can be computed: the checksum, the region, that no
message is there twice. What makes the router refuse a record is found by the router's own reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from lattice_bridge.config.tables.source_arns import queue_fault
from lattice_bridge.errors import BridgeError
from lattice_bridge.events import sqs
from lattice_bridge.events.batch import batch_of
from lattice_bridge.local.aws.sqs.message import md5_of
from lattice_bridge.testing.departure import Departures, Fields, Known, Words

RECORDS: Final = Known("observed", "Records of SQS")

_STRINGS: Final = (*("messageId", "receiptHandle", "body", "md5OfBody", "eventSource", "eventSourceARN", "awsRegion"),)
_ALWAYS: Final = ("ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp")
_OF_FIFO: Final = ("MessageGroupId", "MessageDeduplicationId", "SequenceNumber")
_SOMETIMES: Final = ("MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn")
_LISTS: Final = ("stringListValues", "binaryListValues")


def of_records(event: Fields, found: Departures) -> None:
    """Adds the departures of an event with records."""
    for key in event:
        if key != "Records":
            found.key(event, str(key), "no such key", RECORDS)
    try:
        read = batch_of(event).records
    except BridgeError as refusal:
        found.inside("Records").add(
            Words(refusal.detail), "records of SQS, each with its messageId", RECORDS, refused=True
        )
        return
    for index, record in enumerate(read):
        inside = found.inside("Records", str(index))
        _record(record.content, inside)
        if record.fault is not None:
            inside.add(Words(record.fault.detail), "what SQS writes", RECORDS, refused=True)
    _batch([record.content for record in read], found)


def _batch(records: list[Fields], found: Departures) -> None:
    ids = Counter(str(record["messageId"]) for record in records)
    first = records[0].get("eventSourceARN")
    for index, record in enumerate(records):
        inside = found.inside("Records", str(index))
        if ids[str(record["messageId"])] > 1:
            inside.key(record, "messageId", "an id that no other record has", RECORDS)
        if record.get("eventSourceARN") != first:
            inside.key(record, "eventSourceARN", "the ARN of one queue, in all records", RECORDS)


def _record(record: Fields, found: Departures) -> None:
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
