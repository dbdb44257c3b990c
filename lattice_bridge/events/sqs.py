"""Events of Amazon SQS: a batch of messages → records; failed records → the batch response; a message → its record.
A function's answer is read here too: it is a batch response for one record.

Rule: AWS writes `eventSourceARN` and `SenderId`, so they are evidence. The sender writes the body, the message group
and the message attributes. Only the ARN shows whether a queue is FIFO: messages of a standard queue can have a group
too (trap E10).
Source: the Lambda guide's "Using Lambda with Amazon SQS", and events recorded on AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from lattice_bridge.errors import BackendFailed, BadRequest
from lattice_bridge.events.record import Claim, Record
from lattice_bridge.message import Sender

SOURCE: Final = "aws:sqs"
"""The value of `eventSource`."""
FIFO: Final = ".fifo"
"""The end of the name of a FIFO queue."""

_SENDER: Final = re.compile(r"([A-Z0-9]{12,128})(?::([\x21-\x7e]{1,128}))?")
"""A unique id of IAM (`AROA…` of a role, `AIDA…` of a user) or an account's number; a role's has its session's name."""


# ---- event → records ------------------------------------------------------------------------------------------------


def records_of(event: Mapping[str, Any]) -> list[Record]:
    """Splits an event into its records, in order.

    Raises:
        BadRequest: `malformed_event`: a record has no id, so that it could not be reported as failed.
    """
    return [_record(index, content) for index, content in enumerate(event["Records"])]


def _record(index: int, content: object) -> Record:
    message_id = content.get("messageId") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(message_id, str) or not message_id:
        raise BadRequest("malformed_event", f"record {index + 1} of the event has no messageId")
    arn, attributes = content.get("eventSourceARN"), content.get("attributes")
    if content.get("eventSource") != SOURCE or not isinstance(arn, str) or not isinstance(attributes, dict):
        return Record(message_id, str(arn), content, fault=_malformed("eventSource, eventSourceARN or attributes"))
    group, sender = attributes.get("MessageGroupId"), attributes.get("SenderId")
    trace = attributes.get("AWSTraceHeader")
    # Of an anonymous sender, SQS writes an IP address: such a record has no sender. Its source is its only evidence.
    sent_by = parse_sender(sender) if isinstance(sender, str) else None
    in_order = arn.endswith(FIFO)
    return Record(
        message_id,
        arn,
        content,
        # A record that cannot be used keeps its place in the group: later ones must not overtake it.
        group=group if in_order and isinstance(group, str) and group else None,
        sender=sent_by,
        trace=trace if isinstance(trace, str) and trace else None,
        receive_count=_receive_count(attributes),
        fault=_fault(content, group if in_order else "-", sender),
    )


def parse_sender(text: str) -> Sender | None:
    """The sender that a `SenderId` names; None if it is no id, such as the IP address of an anonymous sender.

    >>> parse_sender("AROAEXAMPLEEXAMPLE123:i-0123")
    Sender(id='AROAEXAMPLEEXAMPLE123', session='i-0123')
    """
    match = _SENDER.fullmatch(text)
    return Sender(match[1], match[2]) if match else None


def _fault(content: Mapping[str, Any], group: object, sender: object) -> BadRequest | None:
    if not isinstance(content.get("body"), str):
        return _malformed("body")
    if not (isinstance(group, str) and group):
        return _malformed("MessageGroupId")
    return None if isinstance(sender, str) and sender else _malformed("SenderId")


def _receive_count(attributes: Mapping[str, Any]) -> int | None:
    count = attributes.get("ApproximateReceiveCount")
    return int(count) if isinstance(count, str) and len(count) < 10 and count.isascii() and count.isdigit() else None


def _malformed(field: str) -> BadRequest:
    return BadRequest("malformed_event", f"the record's {field} is not what SQS writes")


# ---- the tenant that a record asks for ------------------------------------------------------------------------------


def claimed(record: Record, claim: Claim) -> str:
    """Reads the tenant that a record asks for. It is not decoded and not trimmed.

    Raises:
        BadRequest: `claim_missing` if there is none; `claim_unreadable` if it is not a string, or the body is not JSON
            in which every member has one value, or a member on the path occurs in another spelling as well.
    """
    value = _value(record, claim)
    if value is None:
        raise BadRequest("claim_missing", f"the record has no {_named(claim)}")
    if not isinstance(value, str):
        raise BadRequest("claim_unreadable", f"{_named(claim)} is not a string")
    return value


def _value(record: Record, claim: Claim) -> object:
    if claim.kind == "message_group":
        return record.content["attributes"].get("MessageGroupId")
    if claim.kind == "attribute":
        attributes = record.content.get("messageAttributes")
        attribute = attributes.get(claim.name) if isinstance(attributes, dict) else None
        if not isinstance(attribute, dict):
            return None if attribute is None else _OTHER_TYPE
        # A custom type such as String.tenant is another type, and its values could mean something else.
        return attribute.get("stringValue") if attribute.get("dataType") == "String" else _OTHER_TYPE
    value: object = _parsed(record.content["body"])
    for name in claim.path:
        value = _member(value, name)
    return value


def _member(value: object, name: str) -> object:
    """Some readers of JSON ignore case: for them `tenant` and `Tenant` are one member that occurs twice."""
    if not isinstance(value, dict):
        return None
    folded = name.casefold()
    if any(other.casefold() == folded for other in value if other != name):
        raise BadRequest("claim_unreadable", "a member on the claim's path occurs in two spellings")
    return value.get(name)


_OTHER_TYPE: Final = object()


def _parsed(body: str) -> object:
    try:
        # Long integers are slow to read, and floats are not. No claim is a number.
        return json.loads(body, object_pairs_hook=_members, parse_constant=_no_constant, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise BadRequest("claim_unreadable", "the body is not JSON, or a member occurs twice in it") from error


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Two readers of a repeated member could take different values, and so different tenants."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _named(claim: Claim) -> str:
    if claim.kind == "message_group":
        return "message group"
    return f"attribute {claim.name}" if claim.kind == "attribute" else f"member {'/'.join(claim.path)} in its body"


# ---- record → the event of the function; failed records → response --------------------------------------------------


# A record was read from JSON, so it contains no circle.
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)
_ESCAPING: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def payload(record: Record) -> bytes:
    """The event that the function receives: the record alone, as SQS wrote it.

    It is UTF-8 without escapes: they would make two or three bytes into six, and a message that SQS takes too large for
    an asynchronous invocation.
    """
    event = {"Records": [record.content]}
    try:
        return _ENCODER.encode(event).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only a hand-made event contains
        return _ESCAPING.encode(event).encode()


def response(failed: Iterable[str]) -> dict[str, Any]:
    """The partial batch response: the queue keeps the messages with these ids, and Lambda deletes the others."""
    return {_FAILURES: [{"itemIdentifier": message_id} for message_id in failed]}


_FAILURES: Final = "batchItemFailures"
_MAX_BRACKETS: Final = 100_000
"""Opening brackets of an answer that is read. With two million in 6 MB, each takes 130 MB of the router's memory, and
many are read at a time."""
_DONE: Final = (b"null", b"{}", b'{"batchItemFailures":[]}', b'{"batchItemFailures": []}')
"""The usual answers of a function that has processed its record."""


def check_answer(answer: bytes, record: Record) -> None:
    """Reads the answer of a function that received one record, as a partial batch response for it.

    `null`, an empty string, list or object, and an object without failures are a success. Everything that is neither a
    success nor a report of this record is a failure too: a record is never deleted because an answer was not
    understood. So `BatchItemFailures`, as some languages write it, is not an object without failures.

    Raises:
        BackendFailed: `backend_reported` if the answer reports the record; `backend_unreadable` if it is not JSON, is
            another value, or names another record.
    """
    if answer in _DONE:
        return
    if answer.count(b"[") + answer.count(b"{") > _MAX_BRACKETS:
        raise BackendFailed("backend_unreadable", f"the answer has more than {_MAX_BRACKETS:,} opening brackets")
    try:
        # Decoded here: json would also guess UTF-16, which is no JSON for others.
        found = json.loads(answer.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BackendFailed("backend_unreadable", "the answer is not JSON, or a member occurs twice in it") from error
    if isinstance(found, dict) and any(_is_misspelt(name) for name in found):
        raise BackendFailed("backend_unreadable", f"the answer has {_FAILURES} in another spelling")
    failures = found.get(_FAILURES) if isinstance(found, dict) else None
    if failures is None or failures == []:
        if not isinstance(found, dict) and found not in (None, "", []):
            raise BackendFailed("backend_unreadable", "the answer is neither a batch response nor empty")
        return
    if not isinstance(failures, list) or any(failure != {"itemIdentifier": record.id} for failure in failures):
        raise BackendFailed("backend_unreadable", "batchItemFailures names another record, or is not a list of records")
    raise BackendFailed("backend_reported", "batchItemFailures names the record")


def _is_misspelt(name: str) -> bool:
    return name != _FAILURES and name.replace("_", "").casefold() == _FAILURES.casefold()


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
