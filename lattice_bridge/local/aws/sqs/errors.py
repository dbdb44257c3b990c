"""The errors of SQS.

Source: the API reference of SQS 2012-11-05, and answers that LocalStack's tests recorded on AWS. SQS had the query
protocol before: each error keeps its older name in the header `x-amzn-query-error`, and SDKs show that name.
"""

from __future__ import annotations

from typing import Final

from lattice_bridge.local.web.printable import printable

_PREFIX: Final = "AWS.SimpleQueueService."

OLDER_NAMES: Final = {
    "BatchEntryIdsNotDistinct": f"{_PREFIX}BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": f"{_PREFIX}BatchRequestTooLong",
    "EmptyBatchRequest": f"{_PREFIX}EmptyBatchRequest",
    "InvalidAddress": "InvalidAddress",
    "InvalidAttributeName": "InvalidAttributeName",
    "InvalidAttributeValue": "InvalidAttributeValue",
    "InvalidBatchEntryId": f"{_PREFIX}InvalidBatchEntryId",
    "InvalidMessageContents": "InvalidMessageContents",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
    "OverLimit": "OverLimit",
    "PurgeQueueInProgress": f"{_PREFIX}PurgeQueueInProgress",
    "QueueDoesNotExist": f"{_PREFIX}NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "ReceiptHandleIsInvalid": "ReceiptHandleIsInvalid",
    "ResourceNotFoundException": "ResourceNotFoundException",
    "TooManyEntriesInBatchRequest": f"{_PREFIX}TooManyEntriesInBatchRequest",
    "UnsupportedOperation": f"{_PREFIX}UnsupportedOperation",
}
"""The name of an error → its name in the query protocol."""

_STATUS: Final = {"PurgeQueueInProgress": 403, "ResourceNotFoundException": 404}


class SqsError(Exception):
    """A request that SQS refuses. The message is for the caller, whose tool writes it to a terminal.

    Attributes:
        name: of the error, as in `QueueDoesNotExist`.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(printable(message))
        self.name = name

    @property
    def older_name(self) -> str:
        """The name that SDKs show, as in `AWS.SimpleQueueService.NonExistentQueue`."""
        return OLDER_NAMES[self.name]

    @property
    def status(self) -> int:
        """Of the HTTP response."""
        return _STATUS.get(self.name, 400)


class QueueNotFound(SqsError):
    """There is no queue with this name."""

    def __init__(self) -> None:
        super().__init__("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_value(parameter: str, value: object, reason: str) -> SqsError:
    """The error for the value of a parameter. A long value is shortened."""
    text = str(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    what = f"Value {shown} for parameter {parameter} is invalid. Reason: {reason}"
    return SqsError("InvalidParameterValueException", what)


_SHOWN: Final = 300


def missing(parameter: str) -> SqsError:
    """The error for a parameter that is required."""
    return SqsError("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def full(mebibytes: int) -> SqsError:
    """The error for a message that does not fit into the memory of all queues."""
    return SqsError(
        "OverLimit",
        f"this local stack keeps {mebibytes} MiB of messages in all its queues. Fix: delete messages, purge a queue, "
        "or lower MessageRetentionPeriod",
    )
