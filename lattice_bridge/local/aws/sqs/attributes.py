"""The attributes of a queue: from strings, as the API has them, to typed values, and back.

Source: the API reference of CreateQueue and SetQueueAttributes, and error messages that LocalStack's tests recorded on
AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lattice_bridge.local.aws.sqs.errors import SqsError, invalid_value

MAX_MESSAGE: Final = 1024 * 1024
"""Bytes of a message, and of a batch: 1 MiB since August 2025."""
MAX_VISIBILITY: Final = 12 * 3600
"""Seconds for which a message can be invisible after it was received."""
MAX_WAIT: Final = 20
"""Seconds of a long poll."""
_MAX_SOURCES: Final = 10
_TWO_KINDS_OF_SSE: Final = (
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
)
_MAX_TEXT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """Where messages go that were received too often.

    Attributes:
        dead_letter_arn: of the dead-letter queue.
        max_receive_count: a message that was received so often goes there in place of a further receive.
    """

    dead_letter_arn: str
    max_receive_count: int

    def written(self) -> str:
        return json.dumps(
            {"deadLetterTargetArn": self.dead_letter_arn, "maxReceiveCount": self.max_receive_count},
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True)
class RedriveAllowPolicy:
    """Which queues may use this one as their dead-letter queue.

    Attributes:
        permission: `allowAll`, `denyAll` or `byQueue`.
        source_arns: with `byQueue`: the queues.
    """

    permission: str
    source_arns: tuple[str, ...] = ()

    def allows(self, arn: str) -> bool:
        """Whether the queue with this ARN may use it."""
        return self.permission == "allowAll" or (self.permission == "byQueue" and arn in self.source_arns)

    def written(self) -> str:
        sources = {"sourceQueueArns": list(self.source_arns)} if self.source_arns else {}
        return json.dumps({"redrivePermission": self.permission, **sources}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """The attributes that can be set, with AWS's default values. Times in seconds, sizes in bytes."""

    visibility_timeout: int = 30
    maximum_message_size: int = MAX_MESSAGE
    message_retention_period: int = 4 * 24 * 3600
    delay_seconds: int = 0
    receive_message_wait_time_seconds: int = 0
    redrive_policy: RedrivePolicy | None = None
    redrive_allow_policy: RedriveAllowPolicy | None = None
    policy: str = ""
    kms_master_key_id: str = ""
    kms_data_key_reuse_period_seconds: int = 300
    sqs_managed_sse_enabled: bool = True
    content_based_deduplication: bool = False
    deduplication_scope: str = "queue"
    fifo_throughput_limit: str = "perQueue"


FIFO_QUEUE: Final = "FifoQueue"
_NUMBERS: Final = {
    "VisibilityTimeout": ("visibility_timeout", 0, MAX_VISIBILITY),
    "MaximumMessageSize": ("maximum_message_size", 1024, MAX_MESSAGE),
    "MessageRetentionPeriod": ("message_retention_period", 60, 14 * 24 * 3600),
    "DelaySeconds": ("delay_seconds", 0, 900),
    "ReceiveMessageWaitTimeSeconds": ("receive_message_wait_time_seconds", 0, MAX_WAIT),
    "KmsDataKeyReusePeriodSeconds": ("kms_data_key_reuse_period_seconds", 60, 86_400),
}
"""The name of an attribute → field, least, most."""
_BOOLEANS: Final = {
    "SqsManagedSseEnabled": "sqs_managed_sse_enabled",
    "ContentBasedDeduplication": "content_based_deduplication",
}
_TEXTS: Final = {"Policy": "policy", "KmsMasterKeyId": "kms_master_key_id"}
_CHOICES: Final = {
    "DeduplicationScope": ("deduplication_scope", ("queue", "messageGroup")),
    "FifoThroughputLimit": ("fifo_throughput_limit", ("perQueue", "perMessageGroupId")),
}
_FIFO_ONLY: Final = ("ContentBasedDeduplication", *_CHOICES)
SETTABLE: Final = (*_NUMBERS, *_BOOLEANS, *_TEXTS, *_CHOICES, "RedrivePolicy", "RedriveAllowPolicy")
"""The names of the attributes that can be set, beside FifoQueue."""


def parse(given: Mapping[str, str], *, is_fifo: bool, before: QueueAttributes | None = None) -> QueueAttributes:
    """Parses attributes.

    Args:
        given: as strings, by name.
        is_fifo: whether the queue is FIFO.
        before: the queue's present attributes; None for the default values.

    Raises:
        SqsError: an unknown attribute, or a value that AWS refuses.
    """
    found = {}
    for name, value in given.items():
        if name != FIFO_QUEUE:
            field, parsed = _parse_one(name, value, is_fifo=is_fifo)
            found[field] = parsed
    if found.get("kms_master_key_id"):
        if found.get("sqs_managed_sse_enabled"):
            raise SqsError("InvalidAttributeName", _TWO_KINDS_OF_SSE)
        found["sqs_managed_sse_enabled"] = False
    elif found.get("sqs_managed_sse_enabled"):
        found["kms_master_key_id"] = ""
    attributes: QueueAttributes = replace(before or QueueAttributes(), **found)
    if attributes.fifo_throughput_limit == "perMessageGroupId" and attributes.deduplication_scope != "messageGroup":
        raise _invalid(
            "FifoThroughputLimit", "perMessageGroupId requires the value messageGroup for DeduplicationScope."
        )
    return attributes


def check_type(name: str, given: Mapping[str, str]) -> bool:
    """Returns whether a new queue is FIFO.

    Raises:
        SqsError: the name and FifoQueue do not agree.
    """
    wanted = given.get(FIFO_QUEUE)
    if wanted is not None and wanted.lower() not in ("true", "false"):
        raise _invalid(FIFO_QUEUE, "Must be true or false.")
    is_fifo = (wanted or "").lower() == "true"
    if wanted is not None and not is_fifo:
        raise SqsError("InvalidAttributeName", f"Unknown Attribute {FIFO_QUEUE}.")
    if is_fifo and not name.endswith(".fifo"):
        raise invalid_value("QueueName", name, "The name of a FIFO queue can only end with .fifo")
    if not is_fifo and name.endswith(".fifo"):
        what = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        raise invalid_value("QueueName", name, what + ". Fix: set FifoQueue to true, or leave out .fifo")
    return is_fifo


def written(attributes: QueueAttributes, *, is_fifo: bool) -> dict[str, str]:
    """The attributes as GetQueueAttributes describes them. Without a value there is no attribute."""
    found = {name: str(getattr(attributes, field)) for name, (field, *_) in _NUMBERS.items()}
    if not attributes.kms_master_key_id:
        del found["KmsDataKeyReusePeriodSeconds"]
    found |= {name: value for name, field in _TEXTS.items() if (value := getattr(attributes, field))}
    for name, policy in (
        ("RedrivePolicy", attributes.redrive_policy),
        ("RedriveAllowPolicy", attributes.redrive_allow_policy),
    ):
        if policy is not None:
            found[name] = policy.written()
    found["SqsManagedSseEnabled"] = _boolean(value=attributes.sqs_managed_sse_enabled)
    if is_fifo:
        found[FIFO_QUEUE] = "true"
        found["ContentBasedDeduplication"] = _boolean(value=attributes.content_based_deduplication)
        found |= {name: getattr(attributes, field) for name, (field, _) in _CHOICES.items()}
    return found


def _boolean(*, value: bool) -> str:
    return "true" if value else "false"


def _parse_one(name: str, value: str, *, is_fifo: bool) -> tuple[str, Any]:
    """Returns the field of an attribute, and its value."""
    if name in _FIFO_ONLY and not is_fifo:
        unknown = f"You can specify the {name} only when FifoQueue is set to true."
        raise SqsError("InvalidAttributeName", unknown if name in _CHOICES else f"Unknown Attribute {name}.")
    if name in _NUMBERS:
        field, least, most = _NUMBERS[name]
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 9 else -1
        if not least <= number <= most:
            raise _invalid(name, f"Must be a whole number from {least} to {most}.")
        return field, number
    if name in _BOOLEANS:
        if value.lower() not in ("true", "false"):
            raise _invalid(name, "Must be true or false.")
        return _BOOLEANS[name], value.lower() == "true"
    if name in _CHOICES:
        field, choices = _CHOICES[name]
        if value not in choices:
            raise _invalid(name, f"Must be {' or '.join(choices)}.")
        return field, value
    if name in _TEXTS:
        return _TEXTS[name], _text(name, value)
    if name == "RedrivePolicy":
        return "redrive_policy", _redrive_policy(value) if value else None
    if name == "RedriveAllowPolicy":
        return "redrive_allow_policy", _redrive_allow_policy(value) if value else None
    raise SqsError("InvalidAttributeName", f"Unknown Attribute {name[:100]}.")


def _text(name: str, value: str) -> str:
    if len(value) > _MAX_TEXT:
        raise _invalid(name, f"Must have {_MAX_TEXT} characters at most.")
    if name == "Policy" and value:
        _object(name, value)
    return value


def _redrive_policy(value: str) -> RedrivePolicy:
    found = _object("RedrivePolicy", value)
    arn, count = found.get("deadLetterTargetArn"), found.get("maxReceiveCount")
    if not isinstance(arn, str) or not arn:
        raise invalid_value(
            "RedrivePolicy", value, "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."
        )
    if count is None:
        raise invalid_value(
            "RedrivePolicy", value, "Redrive policy does not contain mandatory attribute: maxReceiveCount."
        )
    number = int(count) if isinstance(count, int | str) and str(count).isdigit() and len(str(count)) < 9 else 0
    if not 1 <= number <= 1000:
        raise invalid_value(
            "RedrivePolicy", value, "Invalid value for maxReceiveCount: must be a whole number from 1 to 1000."
        )
    return RedrivePolicy(arn, number)


def _redrive_allow_policy(value: str) -> RedriveAllowPolicy:
    found = _object("RedriveAllowPolicy", value)
    permission, sources = found.get("redrivePermission"), found.get("sourceQueueArns", [])
    if permission not in ("allowAll", "denyAll", "byQueue"):
        raise invalid_value("RedriveAllowPolicy", value, "redrivePermission must be allowAll, denyAll or byQueue.")
    are_arns = isinstance(sources, list) and all(isinstance(arn, str) for arn in sources)
    if not are_arns or bool(sources) != (permission == "byQueue") or len(sources) > _MAX_SOURCES:
        reason = f"sourceQueueArns must be a list of 1 to {_MAX_SOURCES} ARNs with byQueue, and is absent otherwise."
        raise invalid_value("RedriveAllowPolicy", value, reason)
    return RedriveAllowPolicy(permission, tuple(sources))


def _object(name: str, value: str) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if len(value) <= _MAX_TEXT else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid(name, "Must be a JSON object.")
    return found


def _invalid(name: str, reason: str) -> SqsError:
    return SqsError("InvalidAttributeValue", f"Invalid value for the parameter {name}. Reason: {reason}")
