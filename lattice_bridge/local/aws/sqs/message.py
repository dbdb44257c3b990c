"""Messages as clients send and receive them: limits, grammar and checksums.

Source: the API reference of SendMessage, the developer guide's "Amazon SQS message metadata" with the calculation of
MD5OfMessageAttributes, and error messages that LocalStack's tests recorded on AWS.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final

from lattice_bridge.local.aws.sqs.errors import SqsError, invalid_value, missing

_NO_BODY: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 does not have. SQS refuses them also in JSON."""
_ID: Final = re.compile("[!-~]{1,128}")
_TRACE_HEADER: Final = re.compile("[ -~]{1,1000}")
_NAME: Final = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_RESERVED: Final = ("aws.", "amazon.")
_TYPE: Final = re.compile(r"(String|Number|Binary)(\.[A-Za-z0-9_.-]+)?")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,38}(\.[0-9]{0,38})?|\.[0-9]{1,38})([eE][+-]?[0-9]{1,3})?")
_MAX_ATTRIBUTES: Final = 10
_MAX_TYPE: Final = 256


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute.

    Attributes:
        data_type: `String`, `Number` or `Binary`, with or without a custom label, as in `Number.int`.
        value: bytes of a binary one.
    """

    data_type: str
    value: str | bytes

    @property
    def encoded(self) -> bytes:
        return self.value if isinstance(self.value, bytes) else self.value.encode()

    def record(self) -> dict[str, Any]:
        """The attribute as a record of an event contains it."""
        member = "binaryValue" if isinstance(self.value, bytes) else "stringValue"
        return {member: self._text, "stringListValues": [], "binaryListValues": [], "dataType": self.data_type}

    def response(self) -> dict[str, str]:
        """The attribute as the API's responses contain it."""
        member = "BinaryValue" if isinstance(self.value, bytes) else "StringValue"
        return {member: self._text, "DataType": self.data_type}

    @property
    def _text(self) -> str:
        return base64.b64encode(self.value).decode("ascii") if isinstance(self.value, bytes) else self.value


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is sent.

    Attributes:
        body: of the message.
        attributes: of the sender, by name.
        delay: in seconds; None for the queue's.
        group: `MessageGroupId`.
        deduplication_id: `MessageDeduplicationId`.
        sender_id: as IAM identifies the sender, `AROA…:session` or `AIDA…`.
        trace_header: `AWSTraceHeader`.
    """

    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    delay: int | None = None
    group: str | None = None
    deduplication_id: str | None = None
    sender_id: str = "AIDALOCAL000000000000"
    trace_header: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the queue has accepted.

    Attributes:
        message_id: a UUID. A repeated message of a FIFO queue has the id of the first.
        sequence_number: 20 digits; None in a standard queue.
        md5_of_body, md5_of_attributes, md5_of_system_attributes: of what was sent now; None if there are none.
    """

    message_id: str
    sequence_number: str | None
    md5_of_body: str
    md5_of_attributes: str | None
    md5_of_system_attributes: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A received message.

    Attributes:
        id: a UUID.
        receipt_handle: of this receive.
        body: as sent.
        md5_of_body: hexadecimal.
        attributes: of the system, all strings.
        sender_attributes: of the sender, by name.
        md5_of_message_attributes: hexadecimal; None if there are none.
    """

    id: str
    receipt_handle: str
    body: str
    md5_of_body: str
    attributes: Mapping[str, str]
    sender_attributes: Mapping[str, Attribute]
    md5_of_message_attributes: str | None

    @property
    def message_attributes(self) -> dict[str, dict[str, Any]]:
        """The sender's attributes, as a record of an event contains them."""
        return {name: attribute.record() for name, attribute in self.sender_attributes.items()}


# ---- checks ---------------------------------------------------------------------------------------------------------


def check(outgoing: Outgoing, *, is_fifo: bool, limit: int) -> int:
    """Checks a message, and returns its size in bytes: the body, and the attributes with names and types.

    Args:
        outgoing: the message.
        is_fifo: whether the queue is FIFO.
        limit: the queue's MaximumMessageSize.

    Raises:
        SqsError: what AWS refuses.
    """
    if not outgoing.body:
        raise missing("MessageBody")
    if not outgoing.body.isprintable() and _NO_BODY.search(outgoing.body):
        raise SqsError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to "
            "#xFFFD | #x10000 to #x10FFFF",
        )
    _check_queue_type(outgoing, is_fifo=is_fifo)
    if outgoing.attributes:
        _check_attributes(outgoing.attributes)
    size = size_of(outgoing)
    if size > limit:
        what = f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        raise SqsError("InvalidParameterValueException", what)
    return size


def size_of(outgoing: Outgoing) -> int:
    """The size of a message in bytes."""
    size = _length(outgoing.body)
    for name, attribute in outgoing.attributes.items():
        size += _length(name) + _length(attribute.data_type) + _length(attribute.value)
    return size


def _length(value: str | bytes) -> int:
    if isinstance(value, bytes) or value.isascii():
        return len(value)
    return len(value.encode("utf-8", "surrogatepass"))  # a lone surrogate is refused later, with its own error


def _check_queue_type(outgoing: Outgoing, *, is_fifo: bool) -> None:
    not_for_type = "The request include parameter that is not valid for this queue type."
    delay, group, deduplication_id = outgoing.delay, outgoing.group, outgoing.deduplication_id
    if delay is not None and not 0 <= delay <= 900:
        raise invalid_value("DelaySeconds", delay, "DelaySeconds must be >= 0 and <= 900.")
    if is_fifo and group is None:
        raise missing("MessageGroupId")
    if is_fifo and delay:
        raise invalid_value("DelaySeconds", delay, not_for_type)
    if not is_fifo and deduplication_id is not None:
        raise invalid_value("MessageDeduplicationId", deduplication_id, not_for_type)
    for name, value in (("MessageGroupId", group), ("MessageDeduplicationId", deduplication_id)):
        check_id(name, value)
    if outgoing.trace_header is not None and _TRACE_HEADER.fullmatch(outgoing.trace_header) is None:
        reason = "A trace header has 1 to 1000 visible ASCII characters."
        raise invalid_value("AWSTraceHeader", outgoing.trace_header, reason)


def check_id(name: str, value: str | None) -> None:
    """Checks an id that a client chooses.

    Raises:
        SqsError: it is too long, or has a space or another character that AWS refuses.
    """
    if value is not None and _ID.fullmatch(value) is None:
        reason = f"{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise invalid_value(name, value, reason)


def _check_attributes(attributes: Mapping[str, Attribute]) -> None:
    if len(attributes) > _MAX_ATTRIBUTES:
        what = f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{_MAX_ATTRIBUTES}]."
        raise SqsError("InvalidParameterValueException", what)
    for name, attribute in attributes.items():
        fault = _fault_of(name, attribute)
        if fault is not None:
            raise SqsError("InvalidParameterValueException", fault)


def _fault_of(name: str, attribute: Attribute) -> str | None:
    shown = f"Message (user) attribute '{name[:300]}'"
    if _NAME.fullmatch(name) is None or name.lower().startswith(_RESERVED):
        return (
            f"{shown} has an invalid name. Fix: write 1 to 256 letters, digits, '_', '-' and single '.', not at an "
            "end, and not 'AWS.' or 'Amazon.' at the beginning"
        )
    kind = _TYPE.fullmatch(attribute.data_type)
    if kind is None or len(attribute.data_type) > _MAX_TYPE:
        types = "the set of supported type prefixes is Binary, Number, and String."
        return f"{shown} has an invalid message attribute type, {types}"
    is_binary = isinstance(attribute.value, bytes)
    if not attribute.value or is_binary != (kind[1] == "Binary"):
        return f"{shown} must contain a non-empty value of type '{kind[1]}'."
    if isinstance(attribute.value, bytes):
        return None
    if _NO_BODY.search(attribute.value):
        return f"{shown} contains a character that SQS does not accept."
    if kind[1] == "Number" and _NUMBER.fullmatch(attribute.value) is None:
        return f"Can't cast the value of message (user) attribute '{name}' to a number."
    return None


# ---- checksums ------------------------------------------------------------------------------------------------------


def md5_of(text: str) -> str:
    """The MD5 of a body, as hex."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, Attribute]) -> str | None:
    """The MD5 of attributes, as hex; None if there are none."""
    if not attributes:
        return None
    parts = [part for name in sorted(attributes) for part in _parts(name, attributes[name])]
    return md5(b"".join(parts), usedforsecurity=False).hexdigest()


def _parts(name: str, attribute: Attribute) -> Iterator[bytes]:
    """Name, type and value, each behind its length; before the value a byte that tells a string from bytes."""
    for part in (name.encode(), attribute.data_type.encode()):
        yield len(part).to_bytes(4, "big") + part
    yield b"\x02" if isinstance(attribute.value, bytes) else b"\x01"
    yield len(attribute.encoded).to_bytes(4, "big") + attribute.encoded
