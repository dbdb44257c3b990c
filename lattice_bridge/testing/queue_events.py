"""Builds the event that Lambda makes of messages of an SQS queue, for tests.

Rule: the local queue's own checks and checksums are used, so builder and local stack cannot disagree. A message that no
client can send is refused. For a forged event, change the result.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from ipaddress import ip_address
from json import dumps
from typing import Any, Final, TypedDict, Unpack

from lattice_bridge.config.tables.source_arns import queue_fault
from lattice_bridge.events import sqs
from lattice_bridge.local.aws.sqs.attributes import MAX_MESSAGE
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing, check, md5_of, md5_of_attributes
from lattice_bridge.testing.builders import ACCOUNT, REGION, TIME, microseconds

SENDER: Final = "AROAEXAMPLEEXAMPLE123:i-0123456789abcdef0"
"""The default sender: a session of a role."""
QUEUE: Final = "orders"

AttributeValue = str | int | float | bytes | tuple[str, str | bytes]
"""A string, a number, bytes, or a custom type with its value, as in `("String.tenant", "blue")`."""

_NAMESPACE: Final = uuid.UUID("5e0f9c51-6a0e-4f0e-9a8c-3a1f5f8f2d10")
_SEQUENCE: Final = 18_849_496_460_467_696_128
"""AWS documents numbers of 20 digits."""


class MessageOptions(TypedDict, total=False):
    """The arguments of `sqs_record` about the queue and the sender. Each may be left out.

    Attributes:
        queue: its name, or its ARN. If the name ends in `.fifo`, the record has what a FIFO queue adds.
        sender: as SQS writes it: `AROA…:SESSION` for a role, `AIDA…` for a user, an IP address for none.
        group: the message group. In a FIFO queue `group-1` if it is left out.
        attributes: the message attributes: `{"tenant": "blue"}`.
        deduplication_id: of a FIFO queue; the SHA-256 of the body if it is left out.
        message_id: a UUID on AWS; one that depends on the other arguments if it is left out.
        receive_count: how often the queue has handed the message out, this time included.
        sent: when it was sent: microseconds since 1970, or a datetime with a zone.
        trace: the sender's X-Ray trace header.
    """

    queue: str
    sender: str
    group: str | None
    attributes: Mapping[str, AttributeValue]
    deduplication_id: str | None
    message_id: str | None
    receive_count: int
    sent: int | datetime
    trace: str | None


def sqs_event(*messages: str | Mapping[str, Any], **options: Unpack[MessageOptions]) -> dict[str, Any]:
    """The event that a function behind an SQS event source mapping receives. The same arguments make the same event.

    >>> event = sqs_event('{"order": 7}', '{"order": 8}', attributes={"tenant": "blue"})
    >>> [record["body"] for record in event["Records"]]
    ['{"order": 7}', '{"order": 8}']

    Args:
        messages: bodies, or records of `sqs_record`; one message without content if none is given.
        options: of the messages that are given as bodies, see `MessageOptions`.

    Raises:
        ValueError: as `sqs_record`; or two records have one message id.
    """
    records: list[dict[str, Any]] = []
    for number, message in enumerate(messages or ("{}",)):
        given: MessageOptions = {**options}
        if isinstance(message, str):
            given.setdefault("message_id", _id(number, message, options))
            records.append(sqs_record(message, **given))
        else:
            records.append(dict(message))
    repeated = [name for name, count in Counter(record.get("messageId") for record in records).items() if count > 1]
    if repeated:
        raise ValueError(
            f"two of {len(records)} messages have the id {repeated[0]!r}, and SQS gives each its own. Fix: write "
            "message_id"
        )
    return {"Records": records}


def sqs_record(body: str = "{}", *, json: Any = ..., **options: Unpack[MessageOptions]) -> dict[str, Any]:
    """One record of such an event.

    >>> record = sqs_record(json={"tenant": "blue"}, queue="orders.fifo", group="blue")
    >>> record["attributes"]["MessageGroupId"], record["body"]
    ('blue', '{"tenant": "blue"}')

    Args:
        body: as sent.
        json: a value to send as JSON instead of `body`.
        options: the queue, the sender and what else is in a message, see `MessageOptions`.

    Raises:
        ValueError: no client can send this message, or SQS does not write it; the message has the fix.
        TypeError: an argument that there is not.
    """
    if unknown := set(options) - set(MessageOptions.__annotations__):
        raise TypeError(f"no argument {min(unknown)!r}. Fix: write one of {', '.join(MessageOptions.__annotations__)}")
    if json is not ...:
        if body != "{}":
            raise ValueError("body and json are both given. Fix: leave one of them out")
        body = dumps(json, allow_nan=False, ensure_ascii=False)
    arn = _arn(options.get("queue", QUEUE))
    is_fifo = arn.endswith(sqs.FIFO)
    attributes = {name: _attribute(name, value) for name, value in options.get("attributes", {}).items()}
    group = options.get("group") or ("group-1" if is_fifo else None)
    message = Outgoing(body, attributes, group=group, deduplication_id=options.get("deduplication_id"))
    _check(message, is_fifo=is_fifo)
    message_id = options.get("message_id") or _id(0, body, options)
    return sqs.write(
        message_id=message_id,
        receipt_handle=f"AQEB{uuid.uuid5(_NAMESPACE, message_id).hex}",
        body=body,
        attributes=_system(message, message_id, options, is_fifo=is_fifo),
        message_attributes={name: attribute.record() for name, attribute in attributes.items()},
        md5_of_body=md5_of(body),
        md5_of_message_attributes=md5_of_attributes(attributes),
        arn=arn,
    )


def _check(message: Outgoing, *, is_fifo: bool) -> None:
    if not message.body:
        raise ValueError("body is empty, and SQS takes no message without one. Fix: write one, as in '{}'")
    try:
        check(message, is_fifo=is_fifo, limit=MAX_MESSAGE)
    except SqsError as error:
        raise ValueError(f"SQS refuses the message: {error}") from error


def _system(message: Outgoing, message_id: str, options: MessageOptions, *, is_fifo: bool) -> dict[str, str]:
    """The attributes of the system, all strings."""
    sender, count, trace = options.get("sender", SENDER), options.get("receive_count", 1), options.get("trace")
    if sqs.parse_sender(sender) is None and not _is_address(sender):
        fix = (
            f"write the unique id and the session of a role, as in {SENDER!r}, the unique id of a user, or the IP "
            "address of an anonymous sender"
        )
        raise ValueError(f"sender {sender!r} is not what SQS writes. Fix: {fix}")
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"receive_count {count!r}: this receive counts too. Fix: write 1 or more")
    sent = microseconds(options.get("sent", TIME), "sent") // 1000
    found = {
        "ApproximateReceiveCount": str(count),
        "SentTimestamp": str(sent),
        "SenderId": sender,
        "ApproximateFirstReceiveTimestamp": str(sent + 1),
    }
    if message.group is not None:
        found["MessageGroupId"] = message.group
    if is_fifo:
        found["MessageDeduplicationId"] = message.deduplication_id or sha256(message.body.encode()).hexdigest()
        found["SequenceNumber"] = str(_SEQUENCE + uuid.UUID(_id(0, message_id, {})).int % 2**48)
    return found if trace is None else {**found, "AWSTraceHeader": trace}


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _id(number: int, body: str, options: MessageOptions) -> str:
    """An id that differs for other arguments."""
    return str(uuid.uuid5(_NAMESPACE, repr((number, body, sorted(options.items())))))


def _arn(queue: str) -> str:
    arn = queue if queue.startswith("arn:") else f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    if (fault := queue_fault("queue", arn)) is not None:
        raise ValueError(
            fault
            if queue == arn
            else f"queue {queue!r} is not the name of a queue. Fix: write 1 to 80 of "
            "A-Z a-z 0-9 _ -, and .fifo at the end of a FIFO queue's name"
        )
    return arn


def _attribute(name: str, value: AttributeValue) -> Attribute:
    if isinstance(value, tuple):
        return Attribute(*value)
    if isinstance(value, str | bytes):
        return Attribute("String" if isinstance(value, str) else "Binary", value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = f"attribute {name!r} is of the type {type(value).__name__}, which SQS does not have"
        raise ValueError(f"{what}. Fix: write a string, a number, bytes, or (TYPE, VALUE)")
    return Attribute("Number", str(value))
