"""Events of Amazon SQS: a batch of messages → records; a message → its record.

Rule: AWS writes `eventSourceARN` and `SenderId`, so they are evidence. The sender writes the body, the message group
and the message attributes. Only the ARN shows whether a queue is FIFO: messages of a standard queue can have a group
too (trap E10).
Source: the Lambda guide's "Using Lambda with Amazon SQS", and events recorded on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lattice_bridge.errors import BackendFailed, BadRequest
from lattice_bridge.events.json_claim import value_in
from lattice_bridge.events.record import Claim, Record, Stored
from lattice_bridge.message import Sender

SOURCE: Final = "aws:sqs"
"""The value of `eventSource`."""
_NAME: Final = "sqs"
FIFO: Final = ".fifo"
"""The end of the name of a FIFO queue."""

_SENDER: Final = re.compile(r"([A-Z0-9]{12,128})(?::([\x21-\x7e]{1,128}))?")
"""A unique id of IAM (`AROA…` of a role, `AIDA…` of a user) or an account's number; a role's has its session's name."""


# ---- event → records ------------------------------------------------------------------------------------------------


def records_of(contents: Iterable[object]) -> list[Record]:
    """The records of a batch, in order.

    Raises:
        BadRequest: `malformed_event`: a record has no id, so that it could not be reported as failed.
    """
    senders: dict[str, Sender | None] = {}
    return [_record(index, content, senders) for index, content in enumerate(contents)]


def _record(index: int, content: object, senders: dict[str, Sender | None]) -> Record:
    """A record. `senders` has what other records of the batch made of their `SenderId`."""
    message_id = content.get("messageId") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(message_id, str) or not message_id:
        raise BadRequest("malformed_event", f"record {index + 1} of the event has no messageId")
    arn, attributes = content.get("eventSourceARN"), content.get("attributes")
    if content.get("eventSource") != SOURCE or not isinstance(arn, str) or not isinstance(attributes, dict):
        return Record(
            _NAME, message_id, str(arn), content, fault=_malformed("eventSource, eventSourceARN or attributes")
        )
    in_order, group = arn.endswith(FIFO), attributes.get("MessageGroupId")
    sender, trace = attributes.get("SenderId"), attributes.get("AWSTraceHeader")
    # Of an anonymous sender, SQS writes an IP address: such a record has no sender. Its source is its only evidence.
    sent_by = None
    if isinstance(sender, str):
        sent_by = senders[sender] if sender in senders else senders.setdefault(sender, parse_sender(sender))
    return Record(
        _NAME,
        message_id,
        arn,
        content,
        # A record that cannot be used keeps its place in the group: later ones must not overtake it.
        group if in_order and isinstance(group, str) and group else None,
        sent_by,
        None,
        trace if isinstance(trace, str) and trace else None,
        _receive_count(attributes.get("ApproximateReceiveCount")),
        fault=_fault(content.get("body"), group if in_order else "-", sender),
    )


def parse_sender(text: str) -> Sender | None:
    """The sender that a `SenderId` names; None if it is no id, such as the IP address of an anonymous sender.

    >>> parse_sender("AROAEXAMPLEEXAMPLE123:i-0123")
    Sender(id='AROAEXAMPLEEXAMPLE123', session='i-0123')
    """
    match = _SENDER.fullmatch(text)
    return Sender(match[1], match[2]) if match else None


def _fault(body: object, group: object, sender: object) -> BadRequest | None:
    if not isinstance(body, str):
        return _malformed("body")
    if not (isinstance(group, str) and group):
        return _malformed("MessageGroupId")
    return None if isinstance(sender, str) and sender else _malformed("SenderId")


def _receive_count(count: object) -> int | None:
    return int(count) if isinstance(count, str) and len(count) < 10 and count.isascii() and count.isdigit() else None


def _malformed(field: str) -> BadRequest:
    return BadRequest("malformed_event", f"the record's {field} is not what SQS writes")


# ---- the tenant that a record asks for ------------------------------------------------------------------------------


def claimed(record: Record, claim: Claim) -> object:
    """The value that a claim names; None if there is none.

    Raises:
        BadRequest: `claim_unreadable`: the body is not JSON in which every member has one value.
    """
    if claim.kind == "message_group":
        return record.content["attributes"].get("MessageGroupId")
    if claim.kind == "attribute":
        attributes = record.content.get("messageAttributes")
        attribute = attributes.get(claim.name) if isinstance(attributes, dict) else None
        if not isinstance(attribute, dict):
            return None if attribute is None else _OTHER_TYPE
        # A custom type such as String.tenant is another type, and its values could mean something else.
        return attribute.get("stringValue") if attribute.get("dataType") == "String" else _OTHER_TYPE
    return value_in(record.content["body"], claim.path)


_OTHER_TYPE: Final = object()


# ---- record → copy for the quarantine -------------------------------------------------------------------------------


def stored(record: Record) -> Stored:
    """What the copy in a quarantine has of a record.

    Raises:
        BackendFailed: `quarantine_failed`: a part of the record is not what SQS writes, so that it cannot be copied.
    """
    body = record.content.get("body")
    if not isinstance(body, str) or not body:
        raise BackendFailed("quarantine_failed", "the record has no body, and SQS takes no message without one")
    group = record.content["attributes"].get("MessageGroupId")
    return Stored(body, record.content.get("messageAttributes") or {}, group)


# ---- message → record -----------------------------------------------------------------------------------------------


def write(
    *,
    message_id: str,
    receipt_handle: str,
    body: str,
    attributes: Mapping[str, str],
    message_attributes: Mapping[str, Mapping[str, Any]],
    md5_of_body: str,
    md5_of_message_attributes: str | None,
    arn: str,
) -> dict[str, Any]:
    """The record that Lambda makes of a message.

    Args:
        message_id, receipt_handle, body: of the message.
        attributes: of the system, as in `SenderId`.
        message_attributes: of the sender, in the record's form.
        md5_of_body: hexadecimal.
        md5_of_message_attributes: hexadecimal; None if there are none.
        arn: of the queue.
    """
    md5 = {} if md5_of_message_attributes is None else {"md5OfMessageAttributes": md5_of_message_attributes}
    return {
        "messageId": message_id,
        "receiptHandle": receipt_handle,
        "body": body,
        "attributes": dict(attributes),
        "messageAttributes": dict(message_attributes),
        **md5,
        "md5OfBody": md5_of_body,
        "eventSource": SOURCE,
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }
